//! A whole platform in a test: nodes, clients, faults, simulation and the history checker.
//!
//! Nothing here is linked into the product. Tests and the load, torture and demo programs stand on
//! it.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::wildcard_enum_match_arm,
        clippy::cast_possible_truncation,
        clippy::too_many_lines,
        reason = "tests may fail loudly"
    )
)]
#![allow(
    clippy::disallowed_methods,
    reason = "stands beside a node, on real threads, time and sockets; flaws inside one use its ports"
)]

pub mod checker;
pub mod clock;
pub mod cluster;
pub mod demo;
pub mod flaws;
pub mod later;
pub mod platform;
pub mod process;
pub mod prometheus;
pub mod raw;
pub mod recorder;
pub mod scale;
pub mod simulation;
pub mod torture;
pub mod valves;
