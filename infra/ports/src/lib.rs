//! The ports: what the domain needs of the world, as traits.
//!
//! Each port has a *law suite* in [`laws`], a function that takes an adapter and runs the same
//! tests on it, and an in-memory adapter in [`memory`] for fast tests and simulation. Domain crates
//! know these traits only; adapters implement them and know nothing of the domain.
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

pub mod ceilings;
pub mod groups;
pub mod journal;
pub mod link;
pub mod log;
pub mod metric;
pub mod registry;
pub mod runtime;
pub mod store;
pub mod transport;
pub mod watch;

pub mod memory;

pub mod laws;

pub use log::{EventLog, LogError, LogTail, Positions, Record, RecordBatch, Visibility};
pub use registry::{RegistryError, SessionRegistry};
pub use runtime::{BoxFuture, Runtime};
pub use store::{Mutation, ScanRange, StoreError, StoredRow, TableStore, TableStoreExt};
pub use transport::{FrameReader, FrameWriter, Inbound, TransportError};
