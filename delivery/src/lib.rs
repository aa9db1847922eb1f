//! Worker, link and gateway: from the `users` log to sockets, and every read.
//!
//! ```text
//!  users log ──▶ worker ──▶ link ──▶ gateway ──▶ session ──▶ outbox ──▶ socket
//!   (tailed)     who is      (a       (encodes     (drops      (written out by
//!                subscribed  batch     once a       what the    the thread that
//!                here?       each)     message)     device has) made the batch)
//! ```
//!
//! The gateway holds sockets and decides nothing: commands go to whoever implements [`Commands`],
//! and what was told to a user comes back through the log. Reads join table rows and write none.
//! In one process the link is a call; where there are several workers the [`Router`] is the gateway's
//! link to all of them. Tasks, time and chance come from the `Runtime` port only.
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

mod config;
mod generation;
pub mod metrics;
mod seams;

mod gateway;
mod worker;

mod http;
mod reads;

mod roles;
mod router;
mod watch;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use generation::LiveGeneration;
pub use reads::Reads;
pub use roles::{Delivery, GatewayPorts, GatewayRole, StartError, WorkerRole};
pub use router::{Dial, Reached, Router, Sharing};
pub use seams::{Applied, Commands, StampedMark};
pub use watch::VerdictWatch;
