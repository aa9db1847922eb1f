//! A log around another, for tests: every call is passed on, but for those that a test changes.

use async_trait::async_trait;
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use crate::log::{EventLog, LogError, LogTail, NewRecord, Positions, Record, Visibility};

/// What a log around another does otherwise.
#[async_trait]
pub trait Around: Send + Sync + 'static {
    /// The log that all else goes to.
    fn inner(&self) -> &dyn EventLog;

    /// Whether a partition may hold up what is appended to it alone.
    fn has_leaders(&self) -> bool {
        self.inner().has_leaders()
    }

    /// Takes a batch.
    async fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<NewRecord>,
    ) -> Result<Offset, LogError> {
        self.inner().append(topic, partition, records).await
    }

    /// Takes several batches: one after the other, as above.
    async fn append_all(
        &self,
        topic: Topic,
        batches: Vec<(Partition, Vec<NewRecord>)>,
    ) -> Result<Vec<Offset>, LogError> {
        let mut offsets = Vec::with_capacity(batches.len());
        for (partition, records) in batches {
            offsets.push(self.append(topic, partition, records).await?);
        }
        Ok(offsets)
    }

    /// Makes durable what was appended.
    async fn sync(&self, topic: Topic) -> Result<(), LogError> {
        self.inner().sync(topic).await
    }

    /// Asks whether it can be reached.
    async fn reach(&self, topic: Topic) -> Result<(), LogError> {
        self.inner().reach(topic).await
    }

    /// Reads without waiting.
    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        max_records: usize,
        visibility: Visibility,
    ) -> Result<Vec<Record>, LogError> {
        let log = self.inner();
        log.read(topic, partition, from, max_records, visibility)
            .await
    }

    /// Starts to tail.
    async fn tail(
        &self,
        topic: Topic,
        from: Vec<(Partition, Offset)>,
        visibility: Visibility,
    ) -> Result<Box<dyn LogTail>, LogError> {
        self.inner().tail(topic, from, visibility).await
    }
}

/// The log that an [`Around`] makes.
pub struct AroundLog<A>(pub A);

#[async_trait]
impl<A: Around> EventLog for AroundLog<A> {
    async fn create_topics(&self, topics: &[Topic]) -> Result<(), LogError> {
        self.0.inner().create_topics(topics).await
    }

    fn partitions(&self) -> u32 {
        self.0.inner().partitions()
    }

    fn has_leaders(&self) -> bool {
        self.0.has_leaders()
    }

    async fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<NewRecord>,
    ) -> Result<Offset, LogError> {
        self.0.append(topic, partition, records).await
    }

    async fn append_all(
        &self,
        topic: Topic,
        batches: Vec<(Partition, Vec<NewRecord>)>,
    ) -> Result<Vec<Offset>, LogError> {
        self.0.append_all(topic, batches).await
    }

    async fn sync(&self, topic: Topic) -> Result<(), LogError> {
        self.0.sync(topic).await
    }

    async fn reach(&self, topic: Topic) -> Result<(), LogError> {
        self.0.reach(topic).await
    }

    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        max_records: usize,
        visibility: Visibility,
    ) -> Result<Vec<Record>, LogError> {
        let log = &self.0;
        log.read(topic, partition, from, max_records, visibility)
            .await
    }

    async fn tail(
        &self,
        topic: Topic,
        from: Vec<(Partition, Offset)>,
        visibility: Visibility,
    ) -> Result<Box<dyn LogTail>, LogError> {
        self.0.tail(topic, from, visibility).await
    }

    async fn positions(&self, topic: Topic, partition: Partition) -> Result<Positions, LogError> {
        self.0.inner().positions(topic, partition).await
    }

    async fn positions_of(
        &self,
        topic: Topic,
        partitions: &[Partition],
    ) -> Result<Vec<Positions>, LogError> {
        self.0.inner().positions_of(topic, partitions).await
    }

    async fn close(&self) -> Result<(), LogError> {
        self.0.inner().close().await
    }
}
