//! Warming producers up. A producer asks for an id when it reaches its first broker, and librdkafka
//! looks for one every half second only: the first append of a fresh producer takes up to a second.
//!
//! So each producer appends an empty record for each broker to a topic that nobody reads, before the
//! log is of use: it has its id then, and a connection to each broker. No topic of the platform gets
//! a record of it.

use std::time::Duration;

use bytes::Bytes;
use infra_ports::log::{LogError, NewRecord};
use rdkafka::admin::{AdminClient, NewTopic};
use rdkafka::client::DefaultClientContext;
use schemas::position::Timestamp;

use crate::config::Config;
use crate::producing::Producing;
use crate::topics;

/// The topic's name, behind the prefix.
const NAME: &str = "warm-up";
/// How long its records are kept.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// Warms all producers up. Whatever goes wrong is no harm: the first append takes longer then.
pub(crate) async fn warm_up(
    admin: &AdminClient<DefaultClientContext>,
    config: &Config,
    producing: &Producing,
    brokers: usize,
) {
    let warming = warm(admin, config, producing, brokers);
    let in_time = tokio::time::timeout(config.answer_within, warming).await;
    match in_time {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "kafka: producers could not be warmed up"),
        Err(_) => tracing::warn!("kafka: producers could not be warmed up in time"),
    }
}

async fn warm(
    admin: &AdminClient<DefaultClientContext>,
    config: &Config,
    producing: &Producing,
    brokers: usize,
) -> Result<(), LogError> {
    let name = format!("{}{NAME}", config.topic_prefix);
    let partitions = i32::try_from(brokers.max(1)).unwrap_or(1);
    let kept = KEPT.as_millis().to_string();
    let topic = NewTopic::new(&name, partitions, topics::replication(config));
    topics::make(admin, config, &[topic.set("retention.ms", &kept)]).await?;
    let nothing = NewRecord {
        key: Bytes::new(),
        value: Bytes::new(),
        at: Timestamp(0),
    };
    let mut answers = Vec::new();
    for producer in producing.lines() {
        for partition in 0..partitions {
            let nothing = std::slice::from_ref(&nothing);
            answers.push(producer.send(&name, partition, nothing).await?);
        }
    }
    for answer in answers {
        answer.await.unwrap_or(Err(LogError::Closed))?;
    }
    Ok(())
}
