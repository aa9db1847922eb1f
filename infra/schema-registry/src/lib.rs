//! The schema registry that other people's readers and writers ask: the REST API of Confluent's, for
//! Avro, over a journal.
//!
//! Nothing of the platform asks it: ids of its events are fixed, and it has them from the start. Stock
//! tools that read our topics do, and may keep schemas of their own here. What of the API is here, and
//! what is not, stands in `docs/schema-registry.md`.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::wildcard_enum_match_arm,
        clippy::too_many_lines,
        reason = "tests may fail loudly"
    )
)]

pub mod avro;
mod http;
mod levels;
pub mod other;
mod records;
mod refusals;
mod registry;
mod state;
mod writers;

pub use http::router;
pub use other::Other;
pub use registry::Registry;
pub use writers::Writers;
