//! The composition root: puts adapters, ingest, projectors and delivery together, those that a
//! process has as its roles, serves them on one port, and takes them down in order. Holds no domain
//! logic.

#![allow(
    clippy::disallowed_methods,
    reason = "the composition root runs on tokio itself"
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::wildcard_enum_match_arm,
        reason = "tests may fail loudly"
    )
)]

mod adapters;
pub mod applied;
mod applied_by_all;
pub mod bridge;
pub mod cli;
pub mod config;
pub mod contradictions;
pub mod node;

mod folding;
mod following;
mod health;
mod http;
pub mod keys;
mod links;
mod metrics;
mod parts;
mod process;
pub mod roles;
pub mod schema_registry;
pub mod telemetry;
pub mod traces;
mod troubles;

mod chat;
