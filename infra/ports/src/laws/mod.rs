//! The laws of the ports, run by every adapter.

pub mod groups;
pub mod journal;
pub mod link;
pub mod log;
pub mod registry;
pub mod runtime;
pub mod store;
pub mod transport;
