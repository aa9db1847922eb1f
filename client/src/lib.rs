//! Client library: connects, resumes, resends, hands over each event once and in order.
//!
//! [`Session`] decides and does nothing: frames, commands and times go in, [`Output`]s come out; it
//! knows no socket, no clock and no chance, so a simulation can run thousands of it. [`Client`] is
//! the thin async shell around one `Session`: a task that holds the WebSocket, the timer and the
//! bounded queues to its user.
//!
//! What the user is promised, whatever happens to sockets and servers: every command is settled
//! once (accepted with its seq, or refused with its code); every event of a chat is handed over
//! exactly once and in seq order. A user who is slow to take events makes the client stop reading its
//! socket: nothing piles up.
//!
//! Over restarts too, for a user who keeps [`Progress`]: whoever writes it down after handling an event
//! and before taking the next one gets every event, none of them twice, wherever its process dies;
//! for an entry counts as delivered only when its user comes for more. Whoever writes it down more
//! seldom gets again what came since, of a chat that was not in it yet the newest 50 entries at most,
//! and of those only the ones that a chat list shows on its first screen.
//!
//! Sockets are `ws://`: this crate has no TLS of its own, a `wss://` server is not reached. Where the way
//! to the server is not private, let a proxy beside each end it.
//!
//! This crate speaks only the frames of `schemas::frames`; it knows nothing of logs and tables.

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
mod output;
mod progress;
mod session;

#[allow(
    clippy::disallowed_methods,
    reason = "where the client meets tokio: it runs in its user's process, not in a node"
)]
mod client;
mod hands;
mod pending;
#[allow(
    clippy::disallowed_methods,
    reason = "where the client meets tokio: it runs in its user's process, not in a node"
)]
mod shell;

pub use client::{Client, ClientError, Group};
pub use config::{Backoff, Config, Marking, Observer, SessionConfig, TokenIn, TokenSource};
pub use output::{Event, Lost, Moment, Outcome, Output, Sent, State, Ticket};
pub use pending::Pending;
pub use progress::Progress;
pub use session::Session;
