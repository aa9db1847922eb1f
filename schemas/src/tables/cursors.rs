//! Table `cursors`: how far a user's devices have got, by user, made from the topic `receipts`.
//! The rows without a device are the user's read marks.

use super::member_chats::UserPartition;
use crate::ids::{ChatId, DeviceId, UserId};
use crate::position::{Ordinal, Seq};

table! {
    /// How far a device has got in a chat, or up to where the user has read.
    "cursors", CursorRow, CursorKey, UserPartition;
    part {
        /// The user.
        user: UserId,
    }
    cluster {
        /// The device; none is the user's read mark.
        device: Option<DeviceId> => Asc,
        /// The chat.
        chat: ChatId => Asc,
    }
    values {
        /// Up to here.
        1 seq: Seq,
        /// Countable messages up to there.
        2 ordinal: Ordinal,
        /// The join that it belongs to; 0 in a direct chat.
        3 since: Seq,
    }
}
