//! The event log: partitioned topics of records, appended at the end and never changed.
//!
//! ```text
//!  partition     first                    durable_end       end
//!      │           │                           │             │
//!      ▼           ▼                           ▼             ▼
//!      ░░░░░░░░░░░ │ r │ r │ r │ r │ r │ r │ r │ r │ r │ r │
//!       (dropped)  └─ readable as Durable ─────┘
//!                  └─ readable as Appended ────────────────┘
//! ```
//!
//! Ordering: offsets of a partition are dense and rise by one; two appends to one partition are
//! in the order in which they were called, the records of one append stand together. Durability:
//! [`Durability::EachAppend`](schemas::topics::Durability) topics are durable when `append`
//! returns, `Synced` ones when [`EventLog::sync`] returns. A fold reads `Durable` only.

use async_trait::async_trait;
use bytes::Bytes;
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::Topic;

/// The largest record, key and value together: 1 MiB.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// What is to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// The key's bytes; empty where the topic has none.
    pub key: Bytes,
    /// The value: one event, single-object encoded.
    pub value: Bytes,
    /// When it was made, stamped at the edge.
    pub at: Timestamp,
}

impl NewRecord {
    /// Bytes of key and value.
    pub fn size_bytes(&self) -> usize {
        self.key.len() + self.value.len()
    }

    /// Refuses a record over [`MAX_RECORD_BYTES`].
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn fits(&self) -> Result<(), LogError> {
        match self.size_bytes() {
            size_bytes if size_bytes > MAX_RECORD_BYTES => Err(LogError::TooLarge { size_bytes }),
            _ => Ok(()),
        }
    }
}

/// What stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in its partition.
    pub offset: Offset,
    /// The key's bytes.
    pub key: Bytes,
    /// The value's bytes.
    pub value: Bytes,
    /// When it was made.
    pub at: Timestamp,
}

/// Records of one partition, in offset order, without a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    /// Their partition.
    pub partition: Partition,
    /// At least one.
    pub records: Vec<Record>,
}

/// How far a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Up to the durable end: what no crash takes back.
    Durable,
    /// Up to the end: what was appended, durable or not.
    Appended,
}

/// The ends of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    /// The oldest record that is kept (or the end, when there is none).
    pub first: Offset,
    /// One past the newest durable record.
    pub durable_end: Offset,
    /// One past the newest record.
    pub end: Offset,
}

/// What can go wrong with the log.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The topic was not created in this log.
    #[error("unknown topic {0}")]
    UnknownTopic(Topic),
    /// The partition is not below the log's partition count.
    #[error("topic {0} has no partition {1}")]
    UnknownPartition(Topic, Partition),
    /// A record is over [`MAX_RECORD_BYTES`]; nothing was written.
    #[error("record of {size_bytes} bytes is over the limit of 1 MiB")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
    },
    /// No room; nothing was written, appends resume when there is room.
    #[error("the log is full: {0}")]
    Full(String),
    /// The records asked for are no longer kept; `first` is the oldest that is.
    #[error("offset {asked} of {topic}/{partition} is no longer kept, the first is {first}")]
    OutOfRange {
        /// Topic.
        topic: Topic,
        /// Partition.
        partition: Partition,
        /// The offset asked for.
        asked: Offset,
        /// The first one kept.
        first: Offset,
    },
    /// A write may or may not have happened; the log takes no more appends until reopened.
    #[error("the log is poisoned: {0}")]
    Poisoned(String),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// It did not answer in time or could not be reached; the append may have happened.
    #[error("the log is unavailable: {0}")]
    Unavailable(String),
    /// The bytes at a place are damaged.
    #[error("damaged record in {topic}/{partition} at {offset}: {reason}")]
    Damaged {
        /// Topic.
        topic: Topic,
        /// Partition.
        partition: Partition,
        /// Where.
        offset: Offset,
        /// What is wrong.
        reason: String,
    },
}

impl LogError {
    /// True when trying again later may help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Unavailable(_))
    }
}

/// The event log. All methods may be called from many tasks at once.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Creates the topics that do not exist yet. Idempotent. Retention and durability come from
    /// [`schemas::topics::TOPICS`].
    async fn create_topics(&self, topics: &[Topic]) -> Result<(), LogError>;

    /// Partitions of every topic of this log; fixed when it was created.
    fn partitions(&self) -> u32;

    /// Whether a partition may hold up what is appended to it while others take what they are given:
    /// each is led by some server. Else appends to several of them are best made in one go.
    fn has_leaders(&self) -> bool {
        false
    }

    /// Appends records to one partition, together and in order, and returns the offset of the
    /// first. Durable when it returns for `EachAppend` topics. An empty batch is answered with the
    /// end. An error other than `Poisoned` and `Unavailable` means that nothing was written.
    ///
    /// Cancel safety: dropping the future leaves the batch either wholly appended or not at all.
    async fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<NewRecord>,
    ) -> Result<Offset, LogError>;

    /// Appends batches to several partitions of a topic in one go, in the given order, and returns
    /// the first offset of each. Atomic per batch, not across.
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

    /// Makes everything durable that was appended to the topic before the call.
    async fn sync(&self, topic: Topic) -> Result<(), LogError>;

    /// Asks whether the log can be reached: its servers, where it has any, never what this process
    /// remembers of them. Of the topic's partitions some must be there; that others are not is no
    /// error. Answers within ten seconds, at the cost of one small question.
    async fn reach(&self, topic: Topic) -> Result<(), LogError> {
        // A log without servers is there as long as it is open.
        self.positions(topic, Partition(0)).await.map(drop)
    }

    /// Reads up to `max_records` records from `from` on, without waiting; fewer or none at the end.
    ///
    /// `OutOfRange` when `from` is below the first offset; empty when at or past the end.
    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        max_records: usize,
        visibility: Visibility,
    ) -> Result<Vec<Record>, LogError>;

    /// Starts to tail partitions of a topic, each from the given offset on.
    async fn tail(
        &self,
        topic: Topic,
        from: Vec<(Partition, Offset)>,
        visibility: Visibility,
    ) -> Result<Box<dyn LogTail>, LogError>;

    /// The ends of a partition.
    async fn positions(&self, topic: Topic, partition: Partition) -> Result<Positions, LogError>;

    /// The ends of several partitions, in the order given; as cheap as the log can.
    async fn positions_of(
        &self,
        topic: Topic,
        partitions: &[Partition],
    ) -> Result<Vec<Positions>, LogError> {
        let mut all = Vec::with_capacity(partitions.len());
        for partition in partitions {
            all.push(self.positions(topic, *partition).await?);
        }
        Ok(all)
    }

    /// Waits for what is under way, makes everything durable and closes; later calls answer
    /// `Closed`, waiting tails end with `Closed`. Idempotent.
    async fn close(&self) -> Result<(), LogError>;
}

/// A reader that waits for new records of several partitions of one topic.
#[async_trait]
pub trait LogTail: Send {
    /// Waits until there are records and returns what waits, at most `max_records` in all and at
    /// least one batch; each partition in offset order, no record twice, none left out.
    ///
    /// Cancel safety: when dropped before it answers, nothing is skipped.
    async fn next(&mut self, max_records: usize) -> Result<Vec<RecordBatch>, LogError>;

    /// Changes what is tailed, without waiting: `lost` partitions are not read any more, and nothing of
    /// them comes from now on; `gained` ones, which are tailed not at all or are lost now, are read from
    /// the offsets given. The others go on as if nothing had happened.
    ///
    /// # Errors
    /// `UnknownPartition`: nothing was changed. After another error the tail is of no use any more.
    fn change(
        &mut self,
        gained: &[(Partition, Offset)],
        lost: &[Partition],
    ) -> Result<(), LogError>;
}
