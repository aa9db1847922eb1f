//! Events of the topic `users`: what users must be told, one record per destination partition.
//!
//! A record goes to an explicit partition, without a key, and names the recipients in that
//! partition. It can be made again from the other topics, so it is kept for days only.

use bytes::Bytes;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::MarkKind;
use crate::ids::{ChatId, ClientId, DeviceId, UserId};
use crate::position::{Offset, Ordinal, Seq, Timestamp};

/// An event of a chat was accepted; its members are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryTold {
    /// Those in this partition who are told, each once.
    pub recipients: Vec<UserId>,
    /// The chat.
    pub chat: ChatId,
    /// Place of the event in the chat.
    pub seq: Seq,
    /// Countable messages of the chat up to and including this event.
    pub ordinal: Ordinal,
    /// Chat time: never goes back within a chat.
    pub at: Timestamp,
    /// Offset of the event in its `chats` partition: the version of rows made from this.
    pub origin: Offset,
    /// The event, single-object encoded.
    #[serde(deserialize_with = "super::octets::copied")]
    pub event: Bytes,
}

/// A command was refused, or was a resend of one that was settled before. Its author is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictTold {
    /// The author, alone.
    pub recipients: Vec<UserId>,
    /// The chat.
    pub chat: ChatId,
    /// The device that sent the command.
    pub device: DeviceId,
    /// The client's id of the command.
    pub client_id: ClientId,
    /// The seq it got, when it was accepted the first time.
    pub seq: Option<Seq>,
    /// The stable code of the refusal, when it was refused.
    pub code: Option<CompactString>,
    /// Offset of the command in its `chats` partition.
    pub origin: Offset,
}

/// Somebody got further: a hint for the authors of what was covered, so that ticks turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusTold {
    /// The authors in this partition.
    pub recipients: Vec<UserId>,
    /// The chat.
    pub chat: ChatId,
    /// The place the counts are of: the newest mark among those merged into this hint.
    pub seq: Seq,
    /// Members who have the message at `seq`, beside the recipient.
    pub delivered: u32,
    /// Members who have read it, beside the recipient.
    pub read: u32,
    /// Offset of the newest merged mark in its `receipts` partition.
    pub origin: Offset,
}

/// A user's own mark grew: the user's other devices are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkTold {
    /// The user, alone.
    pub recipients: Vec<UserId>,
    /// The chat.
    pub chat: ChatId,
    /// The device that marked.
    pub device: DeviceId,
    /// Delivered or read.
    #[serde(deserialize_with = "super::symbols::or_default")]
    pub kind: MarkKind,
    /// Up to here.
    pub seq: Seq,
    /// The countable messages up to `seq`.
    pub ordinal: Ordinal,
    /// Offset of the mark in its `receipts` partition.
    pub origin: Offset,
}

/// A user changed a setting: the user's devices are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingTold {
    /// The user, alone.
    pub recipients: Vec<UserId>,
    /// Offset of the event in its `accounts` partition.
    pub origin: Offset,
    /// The event of `accounts`, single-object encoded.
    #[serde(deserialize_with = "super::octets::copied")]
    pub event: Bytes,
}

/// One event of the topic `users`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant holds the record of its name")]
pub enum UserEvent {
    EntryTold(EntryTold),
    VerdictTold(VerdictTold),
    StatusTold(StatusTold),
    MarkTold(MarkTold),
    SettingTold(SettingTold),
}

impl UserEvent {
    /// Who is told.
    pub fn recipients(&self) -> &[UserId] {
        match self {
            Self::EntryTold(e) => &e.recipients,
            Self::VerdictTold(e) => &e.recipients,
            Self::StatusTold(e) => &e.recipients,
            Self::MarkTold(e) => &e.recipients,
            Self::SettingTold(e) => &e.recipients,
        }
    }
}
