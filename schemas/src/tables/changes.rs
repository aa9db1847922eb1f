//! Table `changes`: the entries of a chat that change an earlier message (edits, deletions for
//! everyone, reactions), by their own seq, made from the topic `chats`. Rows never change.

use bytes::Bytes;

use super::messages::{Bucket, BucketPartition};
use crate::ids::{ChatId, UserId};
use crate::position::{Ordinal, Seq, Timestamp};

table! {
    /// An entry of a chat's timeline that changes an earlier one.
    "changes", ChangeRow, ChangeKey, BucketPartition;
    part {
        /// The chat.
        chat: ChatId,
        /// The bucket of `seq`, not of the target.
        bucket: Bucket,
    }
    cluster {
        /// Its place.
        seq: Seq => Asc,
    }
    values {
        /// Countable messages up to it; it does not count itself.
        1 ordinal: Ordinal,
        /// Chat time.
        2 at: Timestamp,
        /// Who did it.
        3 author: UserId,
        /// The message it changes.
        4 target: Seq,
        /// The event of `chats`, single-object encoded.
        5 event: Bytes,
    }
}
