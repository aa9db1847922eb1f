//! Table `member_chats`: which chats a user is and was in, made from the topic `chats`.

use crate::ids::{ChatId, UserId};
use crate::position::Seq;

partition!(
    /// Partition key of everything kept by user.
    UserPartition {
        /// The user.
        user: UserId
    }
);

table! {
    /// One stay of a user in a chat, by user.
    "member_chats", MemberChatRow, MemberChatKey, UserPartition;
    part {
        /// The user.
        user: UserId,
    }
    cluster {
        /// The chat.
        chat: ChatId => Asc,
        /// Place of the event that made them a member; 0 in a direct chat.
        since: Seq => Asc,
    }
    values {
        /// Place of the event that ended the stay; 0 while it lasts.
        1 until: Seq,
    }
}
