//! Settings of the log on Kafka, and what librdkafka is told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, fs, io};

use infra_ports::log::Visibility;
use rdkafka::ClientConfig;
use schemas::avro::SchemaIds;
use schemas::topics::{DEFAULT_PARTITIONS, Topic};
use serde::{Deserialize, Serialize, Serializer};

use crate::errors::ConnectError;

/// The largest message a topic takes: [`MAX_RECORD_BYTES`](infra_ports::log::MAX_RECORD_BYTES) and
/// what Kafka adds, generously.
pub(crate) const MAX_MESSAGE_BYTES: usize = 2 << 20;
/// What a consumer fetches ahead at most, in KiB.
const FETCHED_AHEAD_KIB: usize = 16 << 10;

/// How long a broker lets a fetch wait for records. One that waits does not ask for partitions that
/// a tail gained meanwhile.
const FETCH_WAITS_MS: &str = "100";
/// How long one waits at a [`Pace::Gathered`] tail, and for how many bytes.
const GATHERS_MS: &str = "50";
const GATHERS_BYTES: &str = "65536";

/// How soon a tail has what was appended. A fetch names all partitions and is answered for one record,
/// so readers at the first pace cost a broker a request for nearly each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At once: a message is on its way there.
    AtOnce,
    /// Within [`GATHERS_MS`], together with others: tables are made of it.
    Gathered,
}

impl Pace {
    /// Of whoever tails a topic and sees so far: messages pass through `chats`, and through `users` to
    /// those who hand them out, who read what is not durable yet.
    pub(crate) fn of(topic: Topic, visibility: Visibility) -> Self {
        match (topic, visibility) {
            (Topic::Chats, _) | (_, Visibility::Appended) => Self::AtOnce,
            (
                Topic::Receipts | Topic::Accounts | Topic::Users | Topic::DeadLetters,
                Visibility::Durable,
            ) => Self::Gathered,
        }
    }
}

/// Settings of the log.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Brokers to begin with: `host:port`, with commas between.
    pub brokers: String,
    /// What stands before each topic's name, so that several platforms can share a cluster.
    pub topic_prefix: String,
    /// Partitions of every topic. Fixed when the topics are created, checked at every connection.
    pub partitions: u32,
    /// Replicas of topics that are created; without it, the cluster's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u16>,
    /// Producers of messages and what follows from them, each of which has its share of the partitions
    /// and a connection to each broker. A broker answers the requests of one connection one after the
    /// other, and a request bears records of one partition. One more appends all else, as marks.
    pub producers: u16,
    /// How long an append may take, sending it again included, before it is answered as unavailable.
    #[serde(with = "humantime_serde")]
    pub append_within: Duration,
    /// How long the brokers may take to answer a question.
    #[serde(with = "humantime_serde")]
    pub answer_within: Duration,
    /// Passed on to librdkafka as they are: TLS, SASL, compression. What Cursus
    /// relies on cannot be set here. Values are not printed.
    #[serde(serialize_with = "names_only")]
    pub properties: BTreeMap<String, String>,
    /// File with more of them, `name=value` a line: passwords and keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_properties: Option<PathBuf>,
    /// Ids of schemas in the heads of records; no setting, but learnt where a registry gives its own.
    #[serde(skip)]
    pub schema_ids: Arc<SchemaIds>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            topic_prefix: String::new(),
            partitions: DEFAULT_PARTITIONS,
            replicas: None,
            producers: 4,
            append_within: Duration::from_secs(10),
            answer_within: Duration::from_secs(10),
            properties: BTreeMap::new(),
            secret_properties: None,
            schema_ids: SchemaIds::fixed(),
        }
    }
}

/// What is printed in place of a property's value, which may be a secret.
const NOT_PRINTED: &str = "(not printed)";

fn names_only<S: Serializer>(
    properties: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(properties.keys().map(|name| (name, NOT_PRINTED)))
}

/// Names of properties only: their values may be secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("brokers", &self.brokers)
            .field("topic_prefix", &self.topic_prefix)
            .field("partitions", &self.partitions)
            .field("replicas", &self.replicas)
            .field("producers", &self.producers)
            .field("append_within", &self.append_within)
            .field("answer_within", &self.answer_within)
            .field("properties", &self.properties.keys())
            .field("secret_properties", &self.secret_properties)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// A topic's name in the cluster.
    pub(crate) fn name(&self, topic: Topic) -> String {
        format!("{}{}", self.topic_prefix, topic.name())
    }

    /// The same with the properties of the file that it names.
    pub(crate) fn with_secrets(mut self) -> Result<Self, ConnectError> {
        let Some(path) = self.secret_properties.take() else {
            return Ok(self);
        };
        let unreadable = |source| ConnectError::Secrets(path.clone(), source);
        let text = fs::read_to_string(&path).map_err(unreadable)?;
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some((name, value)) = line.split_once('=') else {
                let reason = "a line is no name=value";
                return Err(unreadable(io::Error::new(
                    io::ErrorKind::InvalidData,
                    reason,
                )));
            };
            let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
            self.properties.insert(name, value);
        }
        Ok(self)
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

    /// A producer: no lingering, so that what waits leaves as soon as the broker can take it. One
    /// request under way at a time: what is appended meanwhile gathers behind it, and a broker that
    /// is asked again knows the last request of a producer whatever befell it.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut producer = self.client();
        producer
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("max.in.flight.requests.per.connection", "1")
            .set("message.max.bytes", MAX_MESSAGE_BYTES.to_string())
            .set(
                "message.timeout.ms",
                self.append_within.as_millis().to_string(),
            )
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "1048576")
            .set("allow.auto.create.topics", "false");
        producer
    }

    /// A member of a group that fetches nothing.
    pub(crate) fn member(&self, group: &str) -> ClientConfig {
        let mut member = self.consumer();
        member
            .set("group.id", format!("{}{group}", self.topic_prefix))
            .set("group.protocol", "consumer")
            .set("auto.offset.reset", "earliest");
        member
    }

    /// A consumer for a tail.
    pub(crate) fn tailing(&self, pace: Pace) -> ClientConfig {
        let mut consumer = self.consumer();
        if pace == Pace::Gathered {
            consumer
                .set("fetch.wait.max.ms", GATHERS_MS)
                .set("fetch.min.bytes", GATHERS_BYTES);
        }
        consumer
    }

    /// A consumer that is told where to read and never commits.
    pub(crate) fn consumer(&self) -> ClientConfig {
        let mut consumer = self.client();
        consumer
            .set("group.id", format!("{}cursus", self.topic_prefix))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            // A broker whose host is gone answers nothing and closes nothing, and only a fetch that is
            // not answered shows it. Others lead its partitions long before librdkafka's 60 s.
            .set("socket.timeout.ms", "10000")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.wait.max.ms", FETCH_WAITS_MS)
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
        for printed in [
            format!("{config:?}"),
            serde_json::to_string(&config).unwrap(),
        ] {
            assert!(printed.contains("sasl.password"), "{printed}");
            assert!(!printed.contains("hunter2"), "{printed}");
        }
    }

    #[test]
    fn secrets_of_a_file_reach_librdkafka_and_no_message() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        let config = Config {
            secret_properties: Some(file.clone()),
            ..Config::default()
        };
        fs::write(&file, "# of the cluster\n\nsasl.password = hunter=2\n").unwrap();
        let read = config.clone().with_secrets().unwrap();
        assert_eq!(read.consumer().get("sasl.password"), Some("hunter=2"));
        fs::write(&file, "hunter2\n").unwrap();
        let refused = config.with_secrets().unwrap_err().to_string();
        assert!(refused.contains("secrets"), "{refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
    }

    #[tokio::test]
    async fn a_property_that_librdkafka_does_not_know_is_named_and_its_value_is_not() {
        let mut config = Config::default();
        let misspelt = "sasl.pasword".to_owned();
        config.properties.insert(misspelt.clone(), "hunter2".into());
        let refused = crate::KafkaLog::connect(config).await.unwrap_err();
        for printed in [refused.to_string(), format!("{refused:?}")] {
            assert!(printed.contains(&misspelt), "{printed}");
            assert!(!printed.contains("hunter2"), "{printed}");
        }
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

    #[test]
    fn only_a_tail_that_tables_are_made_of_waits_for_company() {
        let waits = |topic, visibility| {
            let tail = Config::default().tailing(Pace::of(topic, visibility));
            tail.get("fetch.min.bytes").is_some()
        };
        assert!(!waits(Topic::Chats, Visibility::Durable));
        assert!(!waits(Topic::Users, Visibility::Appended));
        assert!(waits(Topic::Users, Visibility::Durable));
        assert!(waits(Topic::Receipts, Visibility::Durable));
    }
}
