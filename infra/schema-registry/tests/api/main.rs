//! The registry as its clients see it: routes, codes, and two nodes at once on one journal.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

mod caller;
mod compatibility;
mod deleting;
mod journal;
mod malice;
mod other;
mod registering;
mod settings;
