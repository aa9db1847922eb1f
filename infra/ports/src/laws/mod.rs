//! The laws of the ports, run by every adapter.

pub mod log;
pub mod runtime;
pub mod store;
pub mod transport;
