//! Table `messages`: the entries of a chat that stand for themselves (sends, membership, title),
//! by seq, made from the topic `chats`. Rows never change.
//!
//! A partition is a bucket of [`BUCKET_SEQS`] places, so that no chat makes one too large. Together
//! with `changes`, merged by seq, this is the chat's timeline.

use bytes::Bytes;

use crate::ids::{ChatId, UserId};
use crate::position::{Ordinal, Seq, Timestamp};

/// Places in a bucket: a constant of the format.
pub const BUCKET_SEQS: u64 = 1_000;

/// A stretch of [`BUCKET_SEQS`] places of a chat; from 0, which has one place fewer since seq
/// begins at 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(pub u64);

impl Bucket {
    /// The lowest place in it.
    pub const fn first(self) -> Seq {
        Seq(self.0.saturating_mul(BUCKET_SEQS))
    }

    /// The highest place in it.
    pub const fn last(self) -> Seq {
        Seq(self
            .0
            .saturating_mul(BUCKET_SEQS)
            .saturating_add(BUCKET_SEQS - 1))
    }

    /// The one before, if there is one.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }

    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The bucket a place is in.
pub const fn bucket(seq: Seq) -> Bucket {
    Bucket(seq.0 / BUCKET_SEQS)
}

partition!(
    /// Partition key of what is kept by chat and bucket.
    BucketPartition {
        /// The chat.
        chat: ChatId,
        /// The bucket of the place.
        bucket: Bucket,
    }
);

impl BucketPartition {
    /// The partition that holds a place of a chat.
    pub fn of(chat: ChatId, seq: Seq) -> Self {
        Self {
            chat,
            bucket: bucket(seq),
        }
    }
}

table! {
    /// An entry of a chat's timeline that stands for itself.
    "messages", MessageRow, MessageKey, BucketPartition;
    part {
        /// The chat.
        chat: ChatId,
        /// [`bucket`] of `seq`.
        bucket: Bucket,
    }
    cluster {
        /// Its place.
        seq: Seq => Asc,
    }
    values {
        /// Countable messages up to and including it.
        1 ordinal: Ordinal,
        /// Chat time.
        2 at: Timestamp,
        /// Who did it.
        3 author: UserId,
        /// The event of `chats`, single-object encoded.
        4 event: Bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_in_exactly_one_bucket() {
        for seq in [0, 1, 999, 1_000, 1_001, 1_999, 2_000].map(Seq) {
            let bucket = bucket(seq);
            assert!(bucket.first() <= seq && seq <= bucket.last());
            assert_eq!(bucket.last().next(), bucket.next().first());
            assert!(bucket.previous().is_none_or(|b| b.last() < seq));
        }
    }
}
