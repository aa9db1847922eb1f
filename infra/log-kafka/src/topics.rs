//! Creating topics as the design keeps them, and checking those that are there.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use infra_ports::log::LogError;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaErrorCode;
use schemas::topics::{TOPICS, Topic};

use crate::config::{Config, MAX_MESSAGE_BYTES};
use crate::errors::{ConnectError, unavailable};

/// How often it is asked whether a topic that was created has leaders already.
const ASK_EVERY: Duration = Duration::from_millis(20);
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What a cluster has.
pub(crate) struct Found {
    /// Those of the platform's topics that are there, with how many partitions.
    pub(crate) topics: HashMap<Topic, u32>,
    /// How many brokers.
    pub(crate) brokers: usize,
}

/// What the cluster has, of that which the log knows.
pub(crate) fn found(consumer: &BaseConsumer, config: &Config) -> Result<Found, KafkaError> {
    let metadata = consumer.fetch_metadata(None, config.answer_within)?;
    let there = |topic: &MetadataTopic| topic.error().is_none() && led(topic);
    let count = |topic: &MetadataTopic| u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX);
    let of = |spec: &schemas::topics::TopicSpec| {
        let name = config.name(spec.topic);
        let mut topics = metadata.topics().iter();
        let topic = topics.find(|topic| topic.name() == name && there(topic))?;
        Some((spec.topic, count(topic)))
    };
    Ok(Found {
        topics: TOPICS.iter().filter_map(of).collect(),
        brokers: metadata.brokers().len(),
    })
}

/// True when each partition has a leader: before that nothing can be appended.
fn led(topic: &MetadataTopic) -> bool {
    !topic.partitions().is_empty() && topic.partitions().iter().all(|p| p.leader() >= 0)
}

/// Refuses a topic with another partition count: it is part of the data format.
pub(crate) fn check(found: &HashMap<Topic, u32>, config: &Config) -> Result<(), ConnectError> {
    match found.iter().find(|(_, n)| **n != config.partitions) {
        None => Ok(()),
        Some((topic, count)) => Err(ConnectError::Partitions {
            topic: config.name(*topic),
            found: *count,
            configured: config.partitions,
        }),
    }
}

/// How often a topic that is created is kept.
pub(crate) fn replication(config: &Config) -> TopicReplication<'static> {
    TopicReplication::Fixed(config.replicas.map_or(-1, i32::from))
}

/// Creates topics; those that are there already stay as they are.
pub(crate) async fn create(
    admin: &AdminClient<DefaultClientContext>,
    config: &Config,
    topics: &[Topic],
) -> Result<(), LogError> {
    let named: Vec<(Topic, String)> = topics.iter().map(|t| (*t, config.name(*t))).collect();
    let kept: Vec<String> = topics.iter().map(|topic| retention(*topic)).collect();
    let largest = MAX_MESSAGE_BYTES.to_string();
    let new = named.iter().zip(&kept).map(|((_, name), kept)| {
        let replicas = replication(config);
        let partitions = i32::try_from(config.partitions).unwrap_or(i32::MAX);
        NewTopic::new(name, partitions, replicas)
            .set("cleanup.policy", "delete")
            .set("retention.ms", kept)
            .set("max.message.bytes", &largest)
            .set("message.timestamp.type", "CreateTime")
            // Times are those of the events, not of their arrival.
            .set("message.timestamp.after.max.ms", "9223372036854775807")
    });
    let new: Vec<NewTopic<'_>> = new.collect();
    make(admin, config, &new).await
}

/// Creates topics, each unless it is there.
pub(crate) async fn make(
    admin: &AdminClient<DefaultClientContext>,
    config: &Config,
    new: &[NewTopic<'_>],
) -> Result<(), LogError> {
    let options = AdminOptions::new().operation_timeout(Some(config.answer_within));
    let options = options.request_timeout(Some(config.answer_within));
    let created = admin.create_topics(new, &options).await;
    for outcome in created.map_err(|error| unavailable(&error))? {
        match outcome {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                let reason = format!("topic {name} cannot be created: {code}");
                return Err(LogError::Unavailable(reason));
            }
        }
    }
    Ok(())
}

/// Waits until each partition of these topics has a leader; the topics that are there then.
pub(crate) fn wait_for(
    consumer: &BaseConsumer,
    config: &Config,
    wanted: &[Topic],
) -> Result<Found, LogError> {
    let deadline = Instant::now() + config.answer_within;
    loop {
        let found = found(consumer, config).map_err(|error| unavailable(&error))?;
        if wanted.iter().all(|topic| found.topics.contains_key(topic)) {
            check(&found.topics, config).map_err(|error| unavailable(&error))?;
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(LogError::Unavailable("a topic has no leader".to_owned()));
        }
        thread::sleep(ASK_EVERY);
    }
}

/// How long records are kept, in milliseconds, as Kafka says it; -1 is for ever.
fn retention(topic: Topic) -> String {
    let days = topic.spec().retention_days;
    days.map_or("-1".to_owned(), |days| {
        (u64::from(days) * DAY_MS).to_string()
    })
}
