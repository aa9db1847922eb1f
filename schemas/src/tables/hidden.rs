//! Table `hidden`: messages that a user has deleted for themselves, made from the topic `accounts`.

use crate::ids::{ChatId, UserId};
use crate::position::{Seq, Timestamp};

partition!(
    /// Partition key of what is kept by user and chat.
    HiddenPartition {
        /// The user.
        user: UserId,
        /// The chat.
        chat: ChatId,
    }
);

table! {
    /// A message that this user does not see any more.
    "hidden", HiddenRow, HiddenKey, HiddenPartition;
    part {
        /// The user.
        user: UserId,
        /// The chat.
        chat: ChatId,
    }
    cluster {
        /// The message.
        seq: Seq => Asc,
    }
    values {
        /// When it was hidden.
        1 at: Timestamp,
    }
}
