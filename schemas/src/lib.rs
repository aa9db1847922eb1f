//! Shapes only: ids, positions, events, topics, tables, client frames and their codecs.
//!
//! This is ring 0: synchronous and pure. Nothing here reads a clock, opens a file or talks to a
//! network. Everything that crosses a process, a disk or a version has its shape defined here, in
//! three families that are never mixed: *log* types ([`events`]), *table* types ([`tables`]) and
//! *wire* types ([`frames`]).
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

pub mod ids;
pub mod position;

pub mod topics;

pub mod events;

pub mod avro;

pub mod tables;

pub mod errors;
pub mod frames;
