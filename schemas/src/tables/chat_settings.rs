//! Table `chat_settings`: how a user has arranged a chat, made from the topic `accounts`.

use super::member_chats::UserPartition;
use crate::ids::{ChatId, UserId};
use crate::position::Timestamp;

table! {
    /// Mute, archive and pin of one chat.
    "chat_settings", ChatSettingRow, ChatSettingKey, UserPartition;
    part {
        /// The user.
        user: UserId,
    }
    cluster {
        /// The chat.
        chat: ChatId => Asc,
    }
    values {
        /// Muted until then; 0 is not muted.
        1 muted_until: Timestamp,
        /// In the archive.
        2 archived: bool,
        /// Pinned.
        3 pinned: bool,
    }
}
