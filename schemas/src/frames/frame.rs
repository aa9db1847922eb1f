//! What the server says.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::{Chats, Entry, History, Members, Status};
use crate::errors::{Code, Refusal};
use crate::events::MarkKind;
use crate::ids::{ChatId, ClientId, DeviceId, UserId};
use crate::position::{Ordinal, Seq, Timestamp};

/// The session is authenticated; what was missed follows, then `live`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Who the token says.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// The server's time, in milliseconds.
    pub at: Timestamp,
    /// The client should show a sign of life (any frame, or a pong) at least this often.
    pub heartbeat_ms: u64,
}

/// `sent`: the log has the command durably. Whether it counts is said by its entry or verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The chat; for a new group the id it will have.
    pub chat: ChatId,
    /// The client's own id.
    pub client_id: ClientId,
    /// The id that names the command for ever: 32 hexadecimal digits.
    pub id: CompactString,
    /// When the server took it.
    pub at: Timestamp,
}

/// `settled`: a command without a client id (mark, setting) is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The chat.
    pub chat: ChatId,
}

/// The answer to a command that the log has durably, before it is a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receipt {
    /// A command with a client id: its entry or verdict will follow.
    Sent(Accepted),
    /// A setting: done.
    Settled(Settled),
}

impl From<Receipt> for Frame {
    fn from(receipt: Receipt) -> Self {
        match receipt {
            Receipt::Sent(accepted) => Self::Sent(accepted),
            Receipt::Settled(settled) => Self::Settled(settled),
        }
    }
}

/// `verdict`: the command was refused, or is a resend of one settled before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The chat.
    pub chat: ChatId,
    /// The device that sent the command.
    pub device: DeviceId,
    /// The client's own id.
    pub client_id: ClientId,
    /// Its place, if it was accepted (the first time).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// Why not, if it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// Entries of one chat in seq order: what was missed, or the answer to `timeline`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entries {
    /// The chat.
    pub chat: ChatId,
    /// The range covered begins here.
    pub from: Seq,
    /// And ends here: the client has everything it may see up to this place.
    pub through: Seq,
    /// At most 100; what this person may not see is left out.
    pub entries: Vec<Entry>,
    /// The chat's newest place.
    pub head: Seq,
}

/// `ticks`: a hint that messages of yours got further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticks {
    /// The chat.
    pub chat: ChatId,
    /// The place the counts are of.
    pub seq: Seq,
    /// Members who have it, beside the author.
    pub delivered: u32,
    /// Members who have read it, beside the author.
    pub read: u32,
}

/// `marked`: one of this user's own marks grew, perhaps on another device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    /// The chat.
    pub chat: ChatId,
    /// The device that marked.
    pub device: DeviceId,
    /// Delivered or read.
    pub kind: MarkKind,
    /// Up to here.
    pub seq: Seq,
    /// Countable messages up to `seq`.
    pub ordinal: Ordinal,
}

/// `settings`: this user changed a setting, perhaps on another device. Only what changed is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The chat.
    pub chat: ChatId,
    /// Muted until then; 0 is not muted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Timestamp>,
    /// In the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// Pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// A message deleted for this user only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Seq>,
}

/// The server will close this socket now: why, and where and when to come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The stable code.
    pub code: Code,
    /// Reconnect after so long.
    pub reconnect_after_ms: u64,
    /// Reconnect there, if it is known; a WebSocket URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnect_to: Option<String>,
}

/// One frame of the server. The serde names are the wire's `type`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant holds the frame of its name")]
pub enum Frame {
    Welcome(Welcome),
    /// Everything missed was sent; entries are live from here on.
    Live {},
    Sent(Accepted),
    Settled(Settled),
    Verdict(Verdict),
    Error(Refusal),
    Entry(Entry),
    Entries(Entries),
    Ticks(Ticks),
    Marked(Marked),
    Settings(Settings),
    Chats(Chats),
    History(History),
    Status(Status),
    Members(Members),
    Pong {},
    Closing(Closing),
}
