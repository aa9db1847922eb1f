//! A log that answers what it has not done.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use infra_ports::log::NewRecord;
use infra_ports::{EventLog, LogError, LogTail, Positions, Record, Runtime, Visibility};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use super::Flaw;

/// How long after its answer an append is made.
const LATE: Duration = Duration::from_millis(100);

/// A sound log behind a liar.
pub struct FlawedLog {
    /// What it lies about.
    pub flaw: Flaw,
    /// The sound one.
    pub log: Arc<dyn EventLog>,
    /// For what is done late.
    pub runtime: Arc<dyn Runtime>,
}

#[async_trait]
impl EventLog for FlawedLog {
    async fn create_topics(&self, topics: &[Topic]) -> Result<(), LogError> {
        self.log.create_topics(topics).await
    }

    fn partitions(&self) -> u32 {
        self.log.partitions()
    }

    async fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<NewRecord>,
    ) -> Result<Offset, LogError> {
        let end = self.log.positions(topic, partition).await?.end;
        match (self.flaw, topic) {
            (Flaw::DroppedMark, Topic::Receipts) => return Ok(end),
            (Flaw::EarlyAcknowledgement, Topic::Chats) => {}
            _ => return self.log.append(topic, partition, records).await,
        }
        let (log, late) = (Arc::clone(&self.log), self.runtime.sleep(LATE));
        let append = async move {
            late.await;
            if let Err(error) = log.append(topic, partition, records).await {
                tracing::debug!(%error, "the late append failed, as it may");
            }
        };
        self.runtime.spawn("late-append", Box::pin(append));
        Ok(end)
    }

    async fn sync(&self, topic: Topic) -> Result<(), LogError> {
        self.log.sync(topic).await
    }

    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        max_records: usize,
        visibility: Visibility,
    ) -> Result<Vec<Record>, LogError> {
        self.log.read(topic, partition, from, max_records, visibility).await
    }

    async fn tail(
        &self,
        topic: Topic,
        from: Vec<(Partition, Offset)>,
        visibility: Visibility,
    ) -> Result<Box<dyn LogTail>, LogError> {
        self.log.tail(topic, from, visibility).await
    }

    async fn positions(&self, topic: Topic, partition: Partition) -> Result<Positions, LogError> {
        self.log.positions(topic, partition).await
    }

    async fn close(&self) -> Result<(), LogError> {
        self.log.close().await
    }
}
