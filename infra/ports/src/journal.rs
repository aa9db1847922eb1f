//! A journal: one short sequence of keyed entries that several processes write and all read alike.
//!
//! For what is decided seldom and must be agreed on by whoever asks, as the schemas of a registry:
//! *the journal decides*, by the order in which entries stand. An entry may be dropped once a later
//! one has its key (compaction), so places rise and may leave gaps; whoever folds a journal must come
//! to the same with and without what was dropped.

use async_trait::async_trait;
use bytes::Bytes;

/// What is to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Later entries of the same key replace this one. Not empty.
    pub key: String,
    /// Anything.
    pub value: Bytes,
}

/// What stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place: larger than that of every entry before.
    pub place: u64,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Bytes,
}

/// What can go wrong with a journal.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// It did not answer; what was to be appended may stand or not.
    #[error("the journal is unavailable: {0}")]
    Unavailable(String),
    /// Its bytes are damaged; nothing more can be read or appended.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
}

/// A journal. All methods may be called from many tasks and processes at once.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Appends entries in this order; durable when it returns. Entries of others may stand between.
    ///
    /// # Errors
    /// `Unavailable`: the first of them may stand, or all.
    async fn append(&self, entries: Vec<NewEntry>) -> Result<(), JournalError>;

    /// All entries from a place on, in order, up to the end as it is when asked: at least what was
    /// appended, by whomever, before the call.
    ///
    /// # Errors
    /// When it does not answer, or is damaged.
    async fn read(&self, from: u64) -> Result<Vec<Entry>, JournalError>;
}
