//! The log: the port's methods, each checked here and done in the room that it belongs to.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use infra_ports::log::{EventLog, LogError, LogTail, NewRecord, Positions, Record, Visibility};
use parking_lot::RwLock;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use crate::asking::Asking;
use crate::closing::Closing;
use crate::config::{Config, Pace};
use crate::errors::ConnectError;
use crate::producing::Producing;
use crate::{finding, reaching, reading, tail, topics, warming};

/// The event log on a Kafka cluster.
pub struct KafkaLog {
    config: Config,
    producing: Producing,
    admin: Arc<AdminClient<DefaultClientContext>>,
    asking: Asking,
    topics: RwLock<HashSet<Topic>>,
    closing: Arc<Closing>,
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaLog")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl KafkaLog {
    /// Connects, checks the partition counts of the topics that are there, and warms its producers
    /// up, so that the first append costs no more than others.
    ///
    /// # Errors
    /// When the settings are wrong, no broker answers or lets us in, or a topic has another partition
    /// count.
    pub async fn connect(config: Config) -> Result<Self, ConnectError> {
        let config = config.with_secrets()?;
        let admin = config
            .producer()
            .create()
            .map_err(|error| ConnectError::config(&error))?;
        let log = Self {
            producing: Producing::start(&config)?,
            admin: Arc::new(admin),
            asking: Asking::start(&config)?,
            topics: RwLock::default(),
            closing: Arc::default(),
            config,
        };
        let unreachable = |reason| match log.producing.refusal() {
            Some(refusal) => refusal.at(&log.config.brokers),
            None => ConnectError::Unreachable {
                brokers: log.config.brokers.clone(),
                reason,
            },
        };
        let asked = log.config.clone();
        let found = log
            .asking
            .ask(move |consumer| Ok(topics::found(consumer, &asked)));
        let found = found.await.unwrap_or(Err(KafkaError::Canceled));
        let found = found.map_err(unreachable)?;
        topics::check(&found.topics, &log.config)?;
        *log.topics.write() = found.topics.into_keys().collect();
        warming::warm_up(&log.admin, &log.config, &log.producing, found.brokers).await;
        Ok(log)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Whether it has this topic.
    pub(crate) fn has(&self, topic: Topic) -> bool {
        self.topics.read().contains(&topic)
    }

    /// Whether the log is open and has this topic, and all of these partitions.
    fn known(
        &self,
        topic: Topic,
        partitions: impl IntoIterator<Item = Partition>,
    ) -> Result<(), LogError> {
        self.closing.check()?;
        if !self.has(topic) {
            return Err(LogError::UnknownTopic(topic));
        }
        let mut partitions = partitions.into_iter();
        match partitions.find(|partition| partition.0 >= self.config.partitions) {
            Some(partition) => Err(LogError::UnknownPartition(topic, partition)),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    async fn create_topics(&self, wanted: &[Topic]) -> Result<(), LogError> {
        self.closing.check()?;
        topics::create(&self.admin, &self.config, wanted).await?;
        let (config, wanted) = (self.config.clone(), wanted.to_vec());
        let found = self
            .asking
            .ask(move |consumer| topics::wait_for(consumer, &config, &wanted));
        let found = found.await?;
        self.topics.write().extend(found.topics.into_keys());
        Ok(())
    }

    fn partitions(&self) -> u32 {
        self.config.partitions
    }

    fn has_leaders(&self) -> bool {
        true
    }

    async fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<NewRecord>,
    ) -> Result<Offset, LogError> {
        let offsets = self.append_all(topic, vec![(partition, records)]).await?;
        let first = offsets.first().copied();
        first.ok_or_else(|| LogError::Unavailable("no offset".to_owned()))
    }

    async fn append_all(
        &self,
        topic: Topic,
        batches: Vec<(Partition, Vec<NewRecord>)>,
    ) -> Result<Vec<Offset>, LogError> {
        self.known(topic, batches.iter().map(|(partition, _)| *partition))?;
        let mut all = batches.iter().flat_map(|(_, new)| new);
        all.try_for_each(NewRecord::fits)?;
        let name = self.config.name(topic);
        let mut answers = Vec::with_capacity(batches.len());
        for (partition, new) in &batches {
            answers.push(match new.is_empty() {
                true => None,
                false => Some(self.producing.send(topic, &name, *partition, new).await?),
            });
        }
        let mut offsets = Vec::with_capacity(batches.len());
        for ((partition, new), answer) in batches.into_iter().zip(answers) {
            let Some(answer) = answer else {
                offsets.push(self.positions(topic, partition).await?.end);
                continue;
            };
            offsets.push(match answer.await.unwrap_or(Err(LogError::Closed))? {
                Some(offset) => offset,
                None => finding::find(&self.asking, &self.config, topic, partition, new).await?,
            });
        }
        Ok(offsets)
    }

    async fn sync(&self, topic: Topic) -> Result<(), LogError> {
        self.known(topic, [])
    }

    async fn reach(&self, topic: Topic) -> Result<(), LogError> {
        self.known(topic, [])?;
        reaching::reach(&self.admin, self.config.name(topic)).await
    }

    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        max_records: usize,
        _visibility: Visibility,
    ) -> Result<Vec<Record>, LogError> {
        self.known(topic, [partition])?;
        let config = self.config.clone();
        let read = self.asking.ask(move |consumer| {
            reading::read(consumer, &config, topic, partition, from, max_records)
        });
        read.await
    }

    async fn tail(
        &self,
        topic: Topic,
        from: Vec<(Partition, Offset)>,
        visibility: Visibility,
    ) -> Result<Box<dyn LogTail>, LogError> {
        self.known(topic, from.iter().map(|(partition, _)| *partition))?;
        let closing = Arc::clone(&self.closing);
        let pace = Pace::of(topic, visibility);
        let tail = tail::start(&self.config, (topic, pace), &from, closing)?;
        Ok(Box::new(tail))
    }

    async fn positions(&self, topic: Topic, partition: Partition) -> Result<Positions, LogError> {
        self.known(topic, [partition])?;
        let config = self.config.clone();
        let ends = self
            .asking
            .ask(move |consumer| reading::positions(consumer, &config, topic, partition));
        ends.await
    }

    async fn positions_of(
        &self,
        topic: Topic,
        partitions: &[Partition],
    ) -> Result<Vec<Positions>, LogError> {
        self.known(topic, partitions.iter().copied())?;
        let (config, partitions) = (self.config.clone(), partitions.to_vec());
        let ends = self
            .asking
            .ask(move |consumer| reading::positions_of(consumer, &config, topic, &partitions));
        ends.await
    }

    async fn close(&self) -> Result<(), LogError> {
        self.closing.close();
        self.producing.finish().await;
        Ok(())
    }
}
