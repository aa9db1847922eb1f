//! Why a projection stands still. Each needs a person, a newer build or a rebuild: nothing here is
//! healed by trying again.

use infra_ports::groups::GroupError;
use infra_ports::{LogError, StoreError};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

/// Why a projection stopped.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Stop {
    /// A record of a type or rules version that this build does not know.
    #[error("upgrade_required: {topic}/{partition} at {offset}: {reason}")]
    UpgradeRequired {
        /// Topic.
        topic: Topic,
        /// Partition.
        partition: Partition,
        /// The record.
        offset: Offset,
        /// What is not known.
        reason: String,
    },
    /// A row that this build does not know how to read.
    #[error("upgrade_required: {0}")]
    NewerRow(StoreError),
    /// The log no longer has, or never had, what comes after the checkpoint.
    #[error(
        "rebuild_required: the checkpoint of {topic}/{partition} is {checkpoint}, \
         the log has {first} to {end}"
    )]
    RebuildRequired {
        /// Topic.
        topic: Topic,
        /// Partition.
        partition: Partition,
        /// The offset to be read next.
        checkpoint: Offset,
        /// The first offset kept.
        first: Offset,
        /// The durable end.
        end: Offset,
    },
    /// The log failed for good.
    #[error("log: {0}")]
    Log(LogError),
    /// The store failed for good.
    #[error("store: {0}")]
    Store(StoreError),
    /// The consumer group failed for good.
    #[error("group: {0}")]
    Group(GroupError),
    /// It was told to stop while a port did not answer; what was not written is folded again at the
    /// next start.
    #[error("gave up when told to stop: {0}")]
    GaveUp(String),
    /// An invariant of the projection itself does not hold.
    #[error("broken: {0}")]
    Broken(String),
}

impl Stop {
    /// A short word for metrics and health.
    pub fn word(&self) -> &'static str {
        match self {
            Self::UpgradeRequired { .. } | Self::NewerRow(_) => "upgrade_required",
            Self::RebuildRequired { .. } => "rebuild_required",
            Self::Log(_) => "log",
            Self::Store(_) => "store",
            Self::Group(_) => "group",
            Self::GaveUp(_) => "gave_up",
            Self::Broken(_) => "broken",
        }
    }
}

impl From<LogError> for Stop {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl From<GroupError> for Stop {
    fn from(error: GroupError) -> Self {
        Self::Group(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match matches!(error, StoreError::Newer { .. }) {
            true => Self::NewerRow(error),
            false => Self::Store(error),
        }
    }
}
