//! Settings of the log on Kafka, and what librdkafka is told.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;
use schemas::topics::{DEFAULT_PARTITIONS, Topic};
use serde::Deserialize;

/// The largest message a topic takes: [`MAX_RECORD_BYTES`](infra_ports::log::MAX_RECORD_BYTES) and
/// what Kafka adds, generously.
pub(crate) const MAX_MESSAGE_BYTES: usize = 2 << 20;
/// What a consumer fetches ahead at most, in KiB.
const FETCHED_AHEAD_KIB: usize = 16 << 10;

/// Settings of the log.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Brokers to begin with, `host:port` and commas.
    pub brokers: String,
    /// What stands before each topic's name, so that several platforms can share a cluster.
    pub topic_prefix: String,
    /// Partitions of each topic; fixed when the topics are created.
    pub partitions: u32,
    /// Replicas of topics that are created; without it, the cluster's default.
    pub replicas: Option<u16>,
    /// How long an append may take, its retries included, before it is answered `Unavailable`.
    pub append_within_ms: u64,
    /// How long the brokers may take to answer a question.
    pub answer_within_ms: u64,
    /// Passed on to librdkafka as it is: TLS, SASL, compression. What Cursus relies on cannot be
    /// set here.
    pub properties: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            topic_prefix: String::new(),
            partitions: DEFAULT_PARTITIONS,
            replicas: None,
            append_within_ms: 10_000,
            answer_within_ms: 10_000,
            properties: BTreeMap::new(),
        }
    }
}

/// Names of properties only: their values may be secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("brokers", &self.brokers)
            .field("topic_prefix", &self.topic_prefix)
            .field("partitions", &self.partitions)
            .field("replicas", &self.replicas)
            .field("append_within_ms", &self.append_within_ms)
            .field("answer_within_ms", &self.answer_within_ms)
            .field("properties", &self.properties.keys())
            .finish()
    }
}

impl Config {
    /// A topic's name in the cluster.
    pub(crate) fn name(&self, topic: Topic) -> String {
        format!("{}{}", self.topic_prefix, topic.name())
    }

    pub(crate) fn answer_within(&self) -> Duration {
        Duration::from_millis(self.answer_within_ms)
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        for (name, value) in &self.properties {
            client.set(name, value);
        }
        client
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "cursus")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            .set("topic.metadata.refresh.fast.interval.ms", "50");
        client
    }

    /// A producer: no lingering, so that what waits leaves as soon as the broker can take it.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut producer = self.client();
        producer
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("message.max.bytes", MAX_MESSAGE_BYTES.to_string())
            .set("message.timeout.ms", self.append_within_ms.to_string())
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "1048576")
            .set("allow.auto.create.topics", "false");
        producer
    }

    /// A consumer that is told where to read and never commits.
    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut consumer = self.client();
        consumer
            .set("group.id", format!("{}cursus", self.topic_prefix))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.error.backoff.ms", "50")
            .set("queued.max.messages.kbytes", FETCHED_AHEAD_KIB.to_string())
            .set("fetch.message.max.bytes", MAX_MESSAGE_BYTES.to_string())
            .set("allow.auto.create.topics", "false");
        consumer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let mut config = Config::default();
        let name = "sasl.password".to_owned();
        config.properties.insert(name, "hunter2".to_owned());
        let printed = format!("{config:?}");
        assert!(printed.contains("sasl.password"));
        assert!(!printed.contains("hunter2"));
    }

    #[test]
    fn what_the_log_relies_on_cannot_be_set() {
        let mut config = Config::default();
        config.properties.insert("acks".to_owned(), "0".to_owned());
        config
            .properties
            .insert("security.protocol".to_owned(), "ssl".to_owned());
        let producer = config.producer();
        assert_eq!(producer.get("acks"), Some("all"));
        assert_eq!(producer.get("security.protocol"), Some("ssl"));
    }
}
