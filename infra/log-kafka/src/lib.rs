//! The event log on Apache Kafka.
//!
//! A few idempotent producers with `acks=all`, each for its share of the partitions; appends are
//! answered by delivery reports. Of a partition one request at most is unanswered; what is appended
//! meanwhile waits and leaves together. A tail is a
//! consumer of its own on a thread of its own, which feeds a bounded channel: whoever takes slowly
//! is not fetched for. What must be asked of the brokers is asked on threads of their own as well,
//! because librdkafka blocks.
//!
//! Durability: what is appended is durable when it is answered, on every topic: in the memory of
//! as many replicas as the topic's `min.insync.replicas`. [`sync`](infra_ports::log::EventLog::sync)
//! has nothing left to do. Atomicity: records of one append reach the broker in order, but a broker
//! that fails in between may keep only the first of them; the append then answers `Unavailable`.
//! Once: the producer is idempotent; in which two cases a broker that was killed forgets it, and what
//! then holds, stands in ADR-0013.
#![allow(
    clippy::disallowed_methods,
    reason = "an adapter: librdkafka needs threads of its own"
)]

mod asking;
mod closing;
mod config;
mod delivery;
mod due;
mod errors;
mod finding;
mod groups;
mod journal;
mod log;
mod producing;
mod reaching;
mod reading;
mod records;
mod tail;
mod topics;
mod warming;

pub use config::Config;
pub use errors::ConnectError;
pub use journal::KafkaJournal;
pub use log::KafkaLog;
