//! The format of the log: what was ever released must be read for ever, by us and by others.
//!
//! Golden bytes and released schemas live in `schemas/avro/released`; these tests are the reason
//! why a change of an event needs a new file there.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    clippy::too_many_lines,
    reason = "tests may fail loudly"
)]

mod any_event;
mod compatibility;
mod evolution;
mod garbage;
mod golden;
mod interop;
mod one_event;
mod round_trip;
