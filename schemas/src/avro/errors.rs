//! Why an event did not become bytes, or bytes no event.
//!
//! The one question callers ask is [`DecodeError::is_unknown`]: stop the partition until the
//! program is newer, or set the record aside as a dead letter.

use crate::topics::Topic;

/// An event that cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A value that its schema cannot hold, as a position above the largest Avro long.
    #[error("{subject} cannot be encoded: {reason}")]
    Unfit {
        /// Subject of the schema.
        subject: &'static str,
        /// What did not fit.
        reason: String,
    },
    /// Longer than [`MAX_EVENT_BYTES`](super::MAX_EVENT_BYTES).
    #[error("{subject} of {size_bytes} bytes is over the limit of 1 MiB")]
    TooLarge {
        /// Subject of the schema.
        subject: &'static str,
        /// Encoded size.
        size_bytes: usize,
    },
}

/// Bytes that are no event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Well framed, under a schema this build has never heard of: an upgrade is needed, and going
    /// on would lose the record. The partition stops.
    #[error("no schema with fingerprint {fingerprint:016x} is known: upgrade needed")]
    UnknownSchema {
        /// CRC-64-AVRO of the writer's schema.
        fingerprint: u64,
    },
    /// Not what it should be, whichever build reads it. The record becomes a dead letter.
    #[error("malformed event: {0}")]
    Malformed(#[from] Malformed),
}

impl DecodeError {
    /// True when a newer build may be able to read it; false when none ever will.
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::UnknownSchema { .. } => true,
            Self::Malformed(_) => false,
        }
    }
}

/// What is wrong with bytes that no build can read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Longer than [`MAX_EVENT_BYTES`](super::MAX_EVENT_BYTES).
    #[error("{size_bytes} bytes are over the limit of 1 MiB")]
    TooLarge {
        /// How long it is.
        size_bytes: usize,
    },
    /// Not `C3 01` and eight bytes of fingerprint.
    #[error("no single-object frame")]
    Frame,
    /// A record that belongs to another topic.
    #[error("{subject} is no record of {topic}")]
    WrongTopic {
        /// Subject of the schema it was written under.
        subject: &'static str,
        /// The topic it should be of.
        topic: Topic,
    },
    /// The datum breaks off, has a value that is not canonical, or does not match its schema.
    #[error("{subject}: {reason}")]
    Datum {
        /// Subject of the schema it was written under.
        subject: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// The datum is whole, but more bytes follow.
    #[error("{subject}: {left_bytes} bytes follow the datum")]
    Trailing {
        /// Subject of the schema it was written under.
        subject: &'static str,
        /// How many.
        left_bytes: usize,
    },
}
