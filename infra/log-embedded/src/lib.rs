//! The embedded event log: one chain of segment files a topic, group commit, crash recovery.
//!
//! ```text
//!  append ─▶ queue ─▶ committer ─┬─ one write ─▶ page cache ─ one fdatasync ─▶ answers
//!                                └─ view: newest records in memory, ends, index ─▶ tails
//!  append (synced topics) ─▶ write at once ─▶ view          sync ─▶ committer ─ fdatasync
//! ```
//!
//! The format, its limits and the rules of recovery stand in `docs/embedded-log.md`. Nothing here
//! knows what a record means. Threads: one committer a topic, one keeper (zeros and files ahead,
//! indexes), one reader (files, for who is behind).
#![allow(
    clippy::disallowed_methods,
    reason = "an adapter: its threads and its measured times are its own"
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::wildcard_enum_match_arm,
        clippy::too_many_lines,
        reason = "tests may fail loudly"
    )
)]

mod log;

mod active;
mod committer;
mod crowd;
mod keeper;
mod poison;
mod spare;
mod topic;
mod writer;

mod blocks;
mod frames;
mod read;
mod reader;
mod retention;
mod sealed;
mod tail;
mod verify;
mod view;
mod walk;

mod checkpoint;
mod recovery;
mod tear;

mod journal;

mod format;
mod index;
mod segment;
mod storage;

#[cfg(test)]
mod tests;

pub mod config;
pub mod errors;
pub mod metrics;

pub use config::Config;
pub use errors::OpenError;
pub use journal::FileJournal;
pub use log::{EmbeddedLog, RecoveryReport};
pub use recovery::{Cut, TopicRecovery};
pub use verify::{Damage, TopicVerified};
