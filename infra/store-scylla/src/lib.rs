//! The table store on Apache Cassandra and ScyllaDB.
//!
//! A build of a table is a table of its own with typed columns (`messages_g1`), made of the one
//! definition; no table's name stands here. A row's version is its write timestamp, so that older
//! never overwrites newer, wherever and in whatever order writes arrive. Mutations of one partition
//! travel as one unlogged batch to a node that holds it; partitions of a call travel side by side,
//! a bounded number of them in all.
//!
//! Durability: a write is answered when a quorum of the local data centre has it, so
//! [`sync`](infra_ports::store::TableStore::sync) has nothing left to do. How durable a node's word
//! is, is the node's setting (`commitlog_sync`). Nothing is cached here but prepared statements:
//! any number of processes may use the same tables.
#![allow(
    clippy::disallowed_methods,
    reason = "an adapter: it waits for servers, in their time"
)]

mod binding;
mod config;
mod connect;
mod errors;
mod lock;
mod prepared;
mod reading;
mod rows;
mod schema;
mod slot;
mod store;
mod writing;

pub use config::{Compaction, Config};
pub use errors::ConnectError;
pub use lock::Claim;
pub use store::ScyllaStore;
