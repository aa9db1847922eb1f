//! From a client's wish to an appended event: authenticate, check, limit, append, acknowledge.
//!
//! ```text
//!  token ──▶ tokens ──▶ Identity ┐
//!                                ├─▶ limit ─▶ check ─▶ event ─▶ accept: encode, append ─▶ `sent`
//!  frame or HTTP body ─▶ Command ┘        (pure)                        │ durable
//!                                                                       ▼
//!                                                            log: chats, accounts, receipts
//! ```
//!
//! Ingest owns every command and reads no table: it checks token, shape, size and rate, and whether
//! an event counts is decided later by a fold. An answer is given after the append is durable, never
//! before. The gateway calls [`Ingest`] for frames; [`router`] serves the same over HTTP and waits
//! for the verdict through [`Verdicts`], which the node bridges to delivery.
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

mod accept;
pub mod check;
mod config;
mod failures;
mod http;
mod limit;
pub mod metrics;
pub mod tokens;

#[cfg(test)]
mod testing;

pub use accept::{Ingest, StampedMark};
pub use config::{Config, Rate};
pub use http::{Verdicts, Watch, router};
pub use limit::Network;
pub use tokens::{KeyError, Keys, development_key};
