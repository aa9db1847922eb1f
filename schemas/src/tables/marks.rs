//! Table `marks`: how far each device of each member has got in a chat, made from the topic
//! `receipts`. One row a join, so that a later stay begins anew. Numbers only grow.

use super::chats::ChatPartition;
use crate::ids::{ChatId, DeviceId, UserId};
use crate::position::{Ordinal, Seq};

table! {
    /// How far a device has got in one stay.
    "marks", MarkRow, MarkKey, ChatPartition;
    part {
        /// The chat.
        chat: ChatId,
    }
    cluster {
        /// The member.
        user: UserId => Asc,
        /// The device.
        device: DeviceId => Asc,
        /// The join that the marks belong to; 0 in a direct chat.
        since: Seq => Asc,
    }
    values {
        /// It has everything up to here; 0 before the first mark.
        1 delivered: Seq,
        /// Countable messages up to there.
        2 delivered_ordinal: Ordinal,
        /// The user has read on it up to here; 0 before the first mark.
        3 read: Seq,
        /// Countable messages up to there.
        4 read_ordinal: Ordinal,
    }
}
