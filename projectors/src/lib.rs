//! Projectors: the folds that make tables of the log, and the engine that runs them.
//!
//! Four projections, each from exactly one topic, none knowing of another:
//!
//! | projection | from | makes |
//! |---|---|---|
//! | [`chats`] | `chats` | chats, members, messages, changes, overlays, its fold states; news for `users` |
//! | [`inbox`] | `users` | the chat list of each user |
//! | [`receipts`] | `receipts` | marks, cursors, status counters; ticks for `users` |
//! | [`settings`] | `accounts` | mute, archive, pin, hidden messages; news for `users` |
//!
//! Each fold is a pure function in a file without `async`; [`engine`] does everything else, as rule
//! 5 says: emit, then remember, then move on. [`rebuild`] makes the same tables from offset 0.
//! Nothing here serves a read or decides who may connect.

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

pub mod chats;
pub mod inbox;
pub mod receipts;
pub mod settings;

pub mod config;
pub mod engine;
pub mod generations;
pub mod metrics;
pub mod rebuild;
pub mod share;
mod start;

pub use config::Config;
pub use engine::config::EngineConfig;
pub use engine::status::{Health, Hurry, Progress, Status};
pub use engine::stop::Stop;
pub use engine::{Ports, Running};
pub use share::Share;
pub use start::{PROJECTIONS, Projectors, origin, start};
