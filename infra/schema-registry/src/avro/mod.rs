//! Avro schemas, and whether data written under one can be read under another.
//!
//! The reference implementation checks that a text is a schema. It does not decide what reads what:
//! of an enum that lacks a symbol and of an optional field made of a required one its checker says the
//! same, though only the first is fine. [`problems`] follows the specification's rules of resolution.

mod reads;
mod shape;

pub use reads::{Problem, problems};
pub use shape::{AvroSchema, Unfit};
