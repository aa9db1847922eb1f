//! Malice: bytes that nobody sane would send, for what reads clients' frames and requests, events,
//! segments and rows. The link between processes and the schema registry are tried so where they are.
//!
//! A *target* takes bytes and hands them to one reader of the platform; it panics when the reader
//! breaks a promise. `drive` makes the bytes (proptest mutates valid samples, or makes noise), runs
//! a target on them while it counts every byte that the target's thread allocates, catches panics,
//! and shrinks what it finds. `corpus` keeps what was found: each case is run again by every test
//! run. Nothing here is linked into the product.
//!
//! A target is deterministic: the same bytes give the same outcome, so a found case can be kept as
//! a file of bytes and nothing else.
#![allow(
    clippy::disallowed_methods,
    reason = "a test program: time and threads are its own"
)]

pub mod corpus;
pub mod drive;
pub mod mutation;
pub mod targets;

pub use drive::{Finding, Report, Settings, drive};
pub use targets::{Target, all, named};
