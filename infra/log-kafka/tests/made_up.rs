//! What a broker says that librdkafka has no good answer to, said by a made-up one: that it has a
//! record already and no longer knows where; that a record's number is not the next.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests may fail loudly"
)]

use std::time::Duration;

use bytes::Bytes;
use infra_log_kafka::{Config, KafkaLog};
use infra_ports::log::{EventLog, LogError, NewRecord};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::Topic;

fn record(value: &'static str) -> NewRecord {
    NewRecord {
        key: Bytes::new(),
        value: Bytes::from_static(value.as_bytes()),
        at: Timestamp(1),
    }
}

/// A cluster that says what it is told to say, and a log on it.
async fn made_up() -> (MockCluster<'static, DefaultProducerContext>, KafkaLog) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(Topic::Chats.name(), 1, 1).unwrap();
    let config = Config {
        brokers: cluster.bootstrap_servers(),
        partitions: 1,
        append_within: Duration::from_secs(3),
        // It makes no topics, so nothing is warmed up.
        answer_within: Duration::from_secs(3),
        ..Config::default()
    };
    let log = KafkaLog::connect(config).await.unwrap();
    (cluster, log)
}

async fn append(log: &KafkaLog, values: &[&'static str]) -> Result<Offset, LogError> {
    let new = values.iter().map(|value| record(value)).collect();
    log.append(Topic::Chats, Partition(0), new).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_is_answered_by_where_the_record_stands() {
    let (cluster, log) = made_up().await;
    for value in ["a", "b", "c"] {
        append(&log, &[value]).await.unwrap();
    }
    let duplicate = RDKafkaRespErr::RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER;
    cluster.request_errors(RDKafkaApiKey::Produce, &[duplicate]);
    // One record: of two, the second may travel in a request of its own, and then it is no duplicate.
    assert_eq!(append(&log, &["b"]).await.unwrap(), Offset(1));
    cluster.request_errors(RDKafkaApiKey::Produce, &[duplicate]);
    let unknown = append(&log, &["d"]).await.unwrap_err();
    assert!(matches!(unknown, LogError::Unavailable(_)), "{unknown}");
    assert_eq!(append(&log, &["e"]).await.unwrap(), Offset(3), "it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_producer_takes_over_from_one_that_was_given_up() {
    let (cluster, log) = made_up().await;
    append(&log, &["a"]).await.unwrap();
    let out_of_order = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    cluster.request_errors(RDKafkaApiKey::Produce, &[out_of_order]);
    let unknown = append(&log, &["b"]).await.unwrap_err();
    assert!(matches!(unknown, LogError::Unavailable(_)), "{unknown}");
    let offset = loop {
        match append(&log, &["c"]).await {
            Ok(offset) => break offset,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    };
    assert_eq!(offset, Offset(1), "it goes on");
}
