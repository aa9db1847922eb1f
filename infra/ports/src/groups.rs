//! Consumer groups: which partitions of a topic each of several processes reads now.
//!
//! ```text
//!  member A   given 0 1 2 3 ─────────── taken 2 3 ── writes the rest ── release 2 3
//!  member B            joins ───────────────────────────────────────────── given 2 3
//! ```
//!
//! All members of a group share the partitions of one topic. A partition is given to one member at a
//! time: it is taken from the one before, which says when it has let go, or has left. Only a member
//! that does not answer for a while is not waited for: it is told `Lost` when it comes back, and
//! may act on a partition that is another's already. So whatever is written must bear two writers,
//! as versioned rows do; of what the group keeps itself, the committed offsets, a member that lost a
//! partition can change nothing.
//!
//! How far a partition has been applied is not the group's matter: that stands beside the rows. The
//! committed offset mirrors it for tools that show how far a group is behind.

use std::sync::Arc;

use async_trait::async_trait;
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

/// What a member learns. No list is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// These are the member's from now on.
    Given(Vec<Partition>),
    /// These are to be let go: nobody has them before [`release`](GroupMember::release).
    Taken(Vec<Partition>),
    /// These are gone and may be another's already: nothing more is to be written for them. The
    /// member is back in the group and is given others.
    Lost(Vec<Partition>),
}

/// What can go wrong with a group.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The topic was not created.
    #[error("unknown topic {0}")]
    UnknownTopic(Topic),
    /// The partition is not the member's (any more); nothing was changed.
    #[error("partition {0} is not this member's")]
    NotOurs(Partition),
    /// The member has left, or the log was closed.
    #[error("the member has left the group")]
    Left,
    /// The group could not be reached, or did not answer in time.
    #[error("the group is unavailable: {0}")]
    Unavailable(String),
}

impl GroupError {
    /// True when trying again later may help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// The groups of a log.
#[async_trait]
pub trait ConsumerGroups: Send + Sync + 'static {
    /// Joins a group over the partitions of a topic; it begins to be when its first member comes.
    /// Groups of different names know nothing of each other; one name has one topic.
    ///
    /// # Errors
    /// `UnknownTopic`; `Unavailable`.
    async fn join(&self, group: &str, topic: Topic) -> Result<Arc<dyn GroupMember>, GroupError>;
}

/// A member of a group, until it leaves. Dropping it leaves too, without waiting for it.
#[async_trait]
pub trait GroupMember: Send + Sync {
    /// Waits for the next change. To be called again and again, by one caller at a time: a member
    /// that does not listen for long counts as dead.
    ///
    /// Cancel safety: when dropped before it answers, no change is lost.
    async fn change(&self) -> Result<Change, GroupError>;

    /// Lets go of partitions that were taken: this member reads and writes nothing more of them.
    async fn release(&self, partitions: &[Partition]) -> Result<(), GroupError>;

    /// Commits the offset to read next of partitions that are the member's, those that were taken
    /// and not released included.
    async fn commit(&self, next: &[(Partition, Offset)]) -> Result<(), GroupError>;

    /// What the group has committed for a partition, by whichever member.
    async fn committed(&self, partition: Partition) -> Result<Option<Offset>, GroupError>;

    /// Leaves: all its partitions are let go at once. Idempotent; every later call, and a waiting
    /// [`change`](Self::change), answers `Left`.
    async fn leave(&self) -> Result<(), GroupError>;
}
