//! The embedded table store: ordered keys on fjall, one keyspace a table and generation.
//!
//! Bounds: a key of at most 65,535 bytes; memory of about `block_cache_bytes` and, for each table,
//! twice `memtable_bytes` under load ([`Config`]). One process a directory, by a file lock.
//!
//! ```text
//! <path>/LOCK      held while open
//! <path>/FORMAT    "cursus-store 1"
//! <path>/HORIZON   a sequence number above those of all created and dropped tables
//! <path>/tables/   fjall's own; keyspace <table>_g<generation>
//!
//! key    [partition key][clustering key]           ordered bytes, see schemas::tables
//! value  [version, 8 bytes, big-endian][1 put, 0 deleted][tagged values]
//! ```
//!
//! Ordering and durability: older never overwrites newer, by comparison with what the key holds
//! under a lock striped by partition (spared where ceilings, kept by chat, show that nothing there
//! can be newer: [`infra_ports::ceilings`]); a deleted row stays as a tombstone of its version, so
//! that an older write does not bring it back. All mutations of one call are one atomic batch; readers see
//! those of a partition together. What was written survives the death of the process, and that of
//! the machine up to a suffix of the writes; [`sync`](infra_ports::TableStore::sync) makes all
//! durable.
//!
//! Calls block: reads touch memory and page cache, writes copy into the operating system's buffers
//! (tens of microseconds a batch), so they run in the caller's thread; a hand-over to another one
//! would cost more than they take. Only a sync waits for the disk, and a write when compaction falls
//! far behind: those who write much and sync (projectors) have threads of their own.
//!
//! Opening takes as long as reading the journal back. It may go on beside
//! ([`EmbeddedStore::open_behind`]): calls made meanwhile wait, without holding a thread.
//!
//! Creating and dropping: durable at once, whatever was opened before. fjall alone does not keep
//! that over reopenings: rows of a dropped table come back under its successor, or a new table is
//! gone. The module `horizon` says why, and keeps it.
//!
//! After a failed write or sync the store takes no further write until it is opened again
//! ([`Poisoned`](infra_ports::StoreError::Poisoned)); reads go on. It does not open itself again:
//! after a failed sync the kernel may call the next one a success without the rows, and a checkpoint
//! could then outlive the rows before it. Projections stop and health says so.
//!
//! Damage: fjall's journal does not tell bit rot from a torn tail. These tables can be made again
//! from the log, which does.
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
#![allow(
    clippy::disallowed_methods,
    reason = "an adapter: its measured times are its own"
)]

mod bulk;
mod config;
mod directory;
mod engine;
mod errors;
mod found;
mod horizon;
pub mod metrics;
mod room;
mod slot;
mod store;
mod stripes;
mod value;
mod writes;

pub use crate::config::Config;
pub use crate::directory::{Held, hold, is_store};
pub use crate::errors::OpenError;
pub use crate::store::EmbeddedStore;
