//! A journal on Kafka: a compacted topic of one partition, which every process of the platform reads
//! whole.

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use infra_ports::journal::{Entry, Journal, JournalError, NewEntry};
use infra_ports::log::{LogError, NewRecord, Record};
use rdkafka::admin::{AdminClient, NewTopic};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::BaseConsumer;
use schemas::position::{Offset, Timestamp};

use crate::asking::Asking;
use crate::config::Config;
use crate::errors::ConnectError;
use crate::producing::Line;
use crate::reading::read_kept;
use crate::topics;

/// The only partition.
const PARTITION: i32 = 0;

/// A journal on a Kafka cluster.
pub struct KafkaJournal {
    config: Config,
    topic: String,
    line: Line,
    asking: Asking,
}

impl std::fmt::Debug for KafkaJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaJournal")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl KafkaJournal {
    /// Connects to the journal in a topic of this name, behind the platform's prefix; the topic is
    /// created when there is none.
    ///
    /// # Errors
    /// When the settings are wrong, no broker answers, or the topic cannot be created.
    pub async fn connect(config: Config, name: &str) -> Result<Self, ConnectError> {
        let config = config.with_secrets()?;
        let topic = format!("{}{name}", config.topic_prefix);
        create(&config, &topic).await?;
        let journal = Self {
            line: Line::alone(&config)?,
            asking: Asking::start(&config)?,
            topic,
            config,
        };
        let ready = journal.read(u64::MAX).await;
        ready.map_err(|error| ConnectError::Journal(error.to_string()))?;
        Ok(journal)
    }
}

/// Creates the topic, unless it is there.
async fn create(config: &Config, topic: &str) -> Result<(), ConnectError> {
    let admin: AdminClient<DefaultClientContext> = config
        .producer()
        .create()
        .map_err(|error| ConnectError::config(&error))?;
    let new = NewTopic::new(topic, 1, topics::replication(config)).set("cleanup.policy", "compact");
    let made = topics::make(&admin, config, &[new]).await;
    made.map_err(|error| ConnectError::Journal(error.to_string()))
}

fn unavailable(error: &LogError) -> JournalError {
    JournalError::Unavailable(error.to_string())
}

#[async_trait]
impl Journal for KafkaJournal {
    async fn append(&self, entries: Vec<NewEntry>) -> Result<(), JournalError> {
        if entries.is_empty() {
            return Ok(());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = now.map_or(1, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        let record = |entry: NewEntry| NewRecord {
            key: entry.key.into(),
            value: entry.value,
            at: Timestamp(now_ms),
        };
        let new: Vec<NewRecord> = entries.into_iter().map(record).collect();
        let sent = self.line.send(&self.topic, PARTITION, &new).await;
        let answer = sent.map_err(|error| unavailable(&error))?.await;
        let stands = answer.unwrap_or(Err(LogError::Closed));
        stands.map(drop).map_err(|error| unavailable(&error))
    }

    async fn read(&self, from: u64) -> Result<Vec<Entry>, JournalError> {
        let (config, topic) = (self.config.clone(), self.topic.clone());
        let question = move |consumer: &BaseConsumer| {
            read_kept(consumer, &config, &topic, PARTITION, Offset(from))
        };
        let read = self.asking.ask(question).await;
        let entry = |record: Record| Entry {
            place: record.offset.0,
            key: String::from_utf8_lossy(&record.key).into_owned(),
            value: record.value,
        };
        let read = read.map_err(|error| unavailable(&error))?;
        Ok(read.into_iter().map(entry).collect())
    }
}
