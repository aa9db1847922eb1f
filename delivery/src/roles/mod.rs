//! What a process runs of delivery: a worker, a gateway, or both.

mod both;
mod gateway;
mod worker;

pub use both::Delivery;
pub use gateway::{GatewayPorts, GatewayRole};
pub use worker::{StartError, WorkerRole};
