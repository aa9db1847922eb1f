//! The load program: how fast and how small a node is, beside what the machine can do at all.
//!
//! ```text
//!  raw/        loops without us: write+fdatasync, echo, sends, scan, bare store   ─┐
//!  fleet/      many sockets that check what they receive                           ├─▶ figure ─▶ report ─▶ render
//!  scenarios/  open-loop load on a real node, over sockets                         │
//!  parts/      the same from several processes                                     │
//!  inside/     log, store, folds and rebuild in this process, without sockets      │
//!  cluster/    Kafka, Cassandra and the link, on real servers                     ─┘
//! ```
//!
//! Every figure is a ratio against a raw loop measured in the same run, the median of several
//! interleaved runs with their spread. Correctness is checked while measuring: a run that loses,
//! repeats or swaps one message is a failed run and says so, and gives no figure.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::wildcard_enum_match_arm,
        reason = "tests may fail loudly"
    )
)]
#![allow(
    clippy::disallowed_methods,
    reason = "stands beside a node, on real threads, time and sockets"
)]

pub mod circumstances;
pub mod cluster;
pub mod command;
pub mod figure;
pub mod fleet;
pub mod inside;
pub mod parts;
pub mod progress;
pub mod raw;
pub mod render;
pub mod report;
pub mod scenarios;
pub mod sockets;
