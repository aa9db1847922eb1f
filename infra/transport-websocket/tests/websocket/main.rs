//! The WebSocket transport over real sockets on loopback, against tungstenite's client.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    clippy::too_many_lines,
    clippy::disallowed_methods,
    reason = "tests may fail loudly"
)]

mod sessions;
mod support;
mod wire;

use support::{Loopback, timely};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_laws_of_the_port_on_two_workers() {
    timely(async { infra_ports::laws::transport::check(&Loopback::start().await).await }).await;
}

#[tokio::test]
async fn keeps_the_laws_of_the_port_on_one_thread() {
    timely(async { infra_ports::laws::transport::check(&Loopback::start().await).await }).await;
}
