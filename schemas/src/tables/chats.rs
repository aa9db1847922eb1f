//! Table `chats`: one row a chat, made from the topic `chats`.

use crate::ids::{ChatId, UserId};
use crate::position::{Ordinal, Seq, Timestamp};

partition!(
    /// Partition key of everything kept by chat.
    ChatPartition {
        /// The chat.
        chat: ChatId
    }
);

table! {
    /// A chat: what it is called, how far it has got, how many are in it.
    "chats", ChatRow, ChatKey, ChatPartition;
    part {
        /// The chat.
        chat: ChatId,
    }
    cluster {}
    values {
        /// The group's title; empty for a direct chat.
        1 title: String,
        /// What it is about; empty for a direct chat.
        2 description: String,
        /// Chat time of the first event.
        3 created_at: Timestamp,
        /// Chat time of the last event.
        4 updated_at: Timestamp,
        /// Place of the last event.
        5 head: Seq,
        /// Countable messages so far.
        6 ordinal: Ordinal,
        /// The owner; none for a direct chat.
        7 owner: Option<UserId>,
        /// How many are in it now.
        8 members: u32,
        /// The most members it may have; 2 for a direct chat.
        9 max_members: u32,
    }
}
