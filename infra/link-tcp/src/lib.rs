//! The link between workers and gateways over TCP: one connection a pair, for all users of the gateway.
//!
//! ```text
//!  worker process                                       gateway process
//!  Feed ──▶ deliver ──encode once──▶ outbox ═══TLS═══▶ link thread ──decode──▶ Deliveries
//!   (the thread that made the batch      ◀══════════════ outbox ◀── subscribe, unsubscribe
//!    writes it to the socket itself)
//! ```
//!
//! Each end has one thread with all its connections; what is sent is written by whoever sends it, as
//! long as the socket takes it. Order: as sent, both ways. What is told is handed over as many records
//! together as were read together. Both queues are bounded by bytes: a gateway that takes too slowly is
//! cut, the others are not held up. A connection that breaks, overflows or falls silent is given up and
//! made anew; the gateway is told `detached` for every partition it heard of over it, and all its users
//! are subscribed again: nothing is lost without a word, and what was told before is not told again by
//! the link.
//!
//! Every connection is TLS 1.3 (the `wire` room). Over it both ends prove to know the same secret, to be the
//! two ends of this very connection, and which versions they speak (the `hello` room), before a byte of
//! anybody's. That keeps out strangers, old recordings and who stands on the path between them; no
//! certificates are needed.
#![allow(
    clippy::disallowed_methods,
    reason = "an adapter: sockets, a thread and timers of its own"
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::wildcard_enum_match_arm,
        reason = "tests may fail loudly"
    )
)]

mod config;
mod connection;
mod frames;
mod gateway;
mod hello;
mod outbox;
mod subscribers;
mod thread;
mod wire;
mod worker;

#[cfg(test)]
mod tests;

pub use config::{Config, Secret, SecretError};
pub use frames::{Frame, FrameError, MAX_FRAME_BYTES};
pub use gateway::{State, TcpLink};
pub use worker::LinkServer;
