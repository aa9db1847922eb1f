//! Table `status`: to how many members each message of a chat was delivered and how many have read
//! it, one row a chat, made from the topic `receipts`.
//!
//! Two step functions over seq, made of the stretches (joined, mark] of the chat's members: one mark
//! changes one row, whatever it jumps over. Leaving later changes nothing; read implies delivered.

mod steps;

pub use self::steps::{Steps, StepsError};

use super::chats::ChatPartition;
use crate::ids::ChatId;

table! {
    /// Delivered and read counts of a whole chat.
    "status", StatusRow, StatusKey, ChatPartition;
    part {
        /// The chat.
        chat: ChatId,
    }
    cluster {}
    values {
        /// Members who have a message, by its place.
        1 delivered: Steps,
        /// Members who have read it, by its place.
        2 read: Steps,
    }
}

#[cfg(test)]
mod tests;
