//! Events of the topic `receipts`, partitioned by chat: how far a device or a user has got.
//!
//! Marks commute: the largest wins, order does not matter. The server stamps seq, ordinal and
//! join from what it sent to that session, or from the timeline.

use serde::{Deserialize, Serialize};

use crate::ids::{ChatId, DeviceId, UserId};
use crate::position::{Ordinal, Seq, Timestamp};

/// Which way of getting there a mark speaks of.
///
/// In Avro an enum with the default `delivered`.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// The device has everything up to here.
    #[default]
    Delivered,
    /// The user has opened the chat up to here. Implies delivered.
    Read,
}

/// Device D of user U has everything of chat C up to `seq`, or has read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The chat, also the key in the log.
    pub chat: ChatId,
    /// Whose mark.
    pub user: UserId,
    /// From which device, by its token.
    pub device: DeviceId,
    /// Delivered or read.
    #[serde(deserialize_with = "super::symbols::or_default")]
    pub kind: MarkKind,
    /// Up to this event.
    pub seq: Seq,
    /// The countable messages up to `seq`.
    pub ordinal: Ordinal,
    /// The user's join (seq of the event that made them a member; 0 in a direct chat) that the
    /// mark belongs to: the mark covers `(since, seq]`.
    pub since: Seq,
    /// The newest authors, at most 16, of messages that the mark newly covers: they are told.
    pub authors: Vec<UserId>,
    /// When the server took it.
    pub at: Timestamp,
}

/// One event of the topic `receipts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiptEvent {
    /// Delivered or read up to a place.
    Mark(Mark),
}
