//! Table `chat_states`: the state of the chats fold, one partition a chat, written last and in one
//! batch with its position, made from the topic `chats`.

use bytes::Bytes;
use compact_str::CompactString;

use super::chats::ChatPartition;
use crate::ids::ChatId;

table! {
    /// One piece of a chat's fold state.
    "chat_states", ChatStateRow, ChatStateKey, ChatPartition;
    part {
        /// The chat.
        chat: ChatId,
    }
    cluster {
        /// What piece it is.
        kind: CompactString => Asc,
        /// Which of that kind.
        id: CompactString => Asc,
    }
    values {
        /// The fold's own bytes.
        1 state: Bytes,
    }
}
