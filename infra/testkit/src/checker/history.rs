//! What was seen: observations of devices, and the truth at the end.

use std::collections::BTreeMap;

use schemas::errors::Code;
use schemas::events::MarkKind;
use schemas::frames::Entry;
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::Seq;

/// A device of a user.
pub type Endpoint = (UserId, DeviceId);

/// One thing that a device did or saw.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all observations are entries"
)]
pub enum Observation {
    /// It began to send a command, the first time.
    Began {
        /// To which chat.
        chat: ChatId,
        /// Under which id.
        client_id: ClientId,
    },
    /// It was told `sent`: the command is durable.
    Acknowledged {
        /// In which chat.
        chat: ChatId,
        /// Which.
        client_id: ClientId,
    },
    /// It was told that the command is refused.
    Refused {
        /// In which chat.
        chat: ChatId,
        /// Which.
        client_id: ClientId,
        /// Why.
        code: Code,
    },
    /// An entry was handed to its user.
    Received(Entry),
    /// It was told how far one of its user's marks is.
    Marked {
        /// In which chat.
        chat: ChatId,
        /// On which device; none for the user's read mark.
        device: Option<DeviceId>,
        /// Delivered or read.
        kind: MarkKind,
        /// Up to here.
        seq: Seq,
    },
    /// Its user read up to here, and the client took it upon itself to bring that home: in the end
    /// the chat list says no less.
    HasRead {
        /// In which chat.
        chat: ChatId,
        /// Up to here.
        seq: Seq,
    },
    /// Its app ended and began anew: what was under way then keeps no order with what came later.
    Restarted,
    /// It was switched off for good: nothing more is owed to it. What it was told still holds.
    Gone,
}

/// What a member sees of a chat in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Final {
    /// The unread count in the chat list.
    pub unread: u64,
    /// The read mark in the chat list.
    pub read: Seq,
    /// Places the member may see: (after, up to], in order.
    pub stays: Vec<(Seq, Seq)>,
}

/// The truth about a chat in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatTruth {
    /// The whole timeline.
    pub timeline: Vec<Entry>,
    /// What each member sees.
    pub members: BTreeMap<UserId, Final>,
}

/// Everything that was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// By device, in the device's own order.
    pub devices: BTreeMap<Endpoint, Vec<Observation>>,
    /// By chat, read at the end.
    pub chats: BTreeMap<ChatId, ChatTruth>,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A command was acknowledged and is neither in the timeline nor refused.
    #[error("lost: {author}/{device} was told that {client_id} in {chat} is sent")]
    LostCommand {
        /// Who.
        author: UserId,
        /// On which device.
        device: DeviceId,
        /// Which chat.
        chat: ChatId,
        /// Which command.
        client_id: ClientId,
    },
    /// A device never got an entry that its user may see.
    #[error("lost: {user}/{device} never got {chat} {seq}")]
    LostDelivery {
        /// Whose.
        user: UserId,
        /// Which device.
        device: DeviceId,
        /// Which chat.
        chat: ChatId,
        /// Which entry.
        seq: Seq,
    },
    /// One command stands twice in a timeline.
    #[error("duplicated: {author}/{device} {client_id} stands at {first} and {second} of {chat}")]
    DuplicatedCommand {
        /// Who.
        author: UserId,
        /// On which device.
        device: DeviceId,
        /// Which chat.
        chat: ChatId,
        /// Which command.
        client_id: ClientId,
        /// Where first.
        first: Seq,
        /// Where again.
        second: Seq,
    },
    /// One entry was handed over twice.
    #[error("duplicated: {user}/{device} got {chat} {seq} twice")]
    DuplicatedDelivery {
        /// Whose.
        user: UserId,
        /// Which device.
        device: DeviceId,
        /// Which chat.
        chat: ChatId,
        /// Which entry.
        seq: Seq,
    },
    /// A refused command stands in the timeline.
    #[error("contradicted: {author}/{device} {client_id} was refused and stands in {chat}")]
    RefusedAndAccepted {
        /// Who.
        author: UserId,
        /// On which device.
        device: DeviceId,
        /// Which chat.
        chat: ChatId,
        /// Which command.
        client_id: ClientId,
    },
    /// Entries came out of order.
    #[error("reordered: {what}")]
    Reordered {
        /// What, for a person.
        what: String,
    },
    /// The order of one device's commands was not kept. Promised only while the server takes each of
    /// them at once: what it refuses for now is sent again behind later ones.
    #[error("overtaken: {what}")]
    Overtaken {
        /// What, for a person.
        what: String,
    },
    /// A timeline has a hole, or two devices saw different entries at one place.
    #[error("diverged: {what}")]
    Diverged {
        /// What, for a person.
        what: String,
    },
    /// A device got an entry that its user may not see.
    #[error("leaked: {user}/{device} got {chat} {seq} without being a member there")]
    Leaked {
        /// Whose.
        user: UserId,
        /// Which device.
        device: DeviceId,
        /// Which chat.
        chat: ChatId,
        /// Which entry.
        seq: Seq,
    },
    /// The chat list's count is not the count.
    #[error("wrong unread: {user} in {chat}: told {told}, counted {counted}")]
    WrongUnread {
        /// Whose.
        user: UserId,
        /// Which chat.
        chat: ChatId,
        /// What the chat list says.
        told: u64,
        /// What the timeline says.
        counted: u64,
    },
    /// A mark that was reported once is reported lower later.
    #[error("mark went back: {user} in {chat}: from {from} to {to}")]
    MarkWentBack {
        /// Whose.
        user: UserId,
        /// Which chat.
        chat: ChatId,
        /// From here.
        from: Seq,
        /// To there.
        to: Seq,
    },
}
