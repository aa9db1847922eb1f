//! What was seen: observations of devices, and the truth at the end.

use std::collections::BTreeMap;

use schemas::errors::Code;
use schemas::events::MarkKind;
use schemas::frames::{Entry, Status};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Seq, Timestamp};

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
    /// Its user reads up to here. A client that dies before it has brought this home may have done
    /// so or not.
    BeginsToRead {
        /// In which chat.
        chat: ChatId,
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
    /// Its user arranged a chat so, and was answered that this is durable. One device a user does
    /// this, so that there is one order.
    Chose {
        /// Which chat.
        chat: ChatId,
        /// All of its settings from now on.
        settings: Chosen,
    },
    /// Its app ended and began anew: what was under way then keeps no order with what came later.
    Restarted,
    /// It was switched off for good: nothing more is owed to it. What it was told still holds.
    Gone,
}

/// How a user has arranged a chat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Muted until then; 0 is not muted.
    pub muted_until: Timestamp,
    /// In the archive.
    pub archived: bool,
    /// Pinned.
    pub pinned: bool,
}

/// What the chat list says to a user of a chat in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The unread count.
    pub unread: u64,
    /// The read mark.
    pub read: Seq,
    /// The settings; none where nobody keeps book of what was chosen.
    pub settings: Option<Chosen>,
}

/// Places of a chat that a user may see: (after, up to], in order.
pub type Stays = Vec<(Seq, Seq)>;

/// The truth about a chat in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatTruth {
    /// The whole timeline.
    pub timeline: Vec<Entry>,
    /// Who may see what of it: by what was asked for, whatever chat lists say.
    pub members: BTreeMap<UserId, Stays>,
    /// What the chat lists of those who have the chat there say.
    pub lists: BTreeMap<UserId, Told>,
    /// How far messages have got, as the counters say: of all, or of some.
    pub statuses: Vec<Status>,
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
    /// A member's chat list does not have the chat.
    #[error("not listed: {chat} is not in the chat list of {user}, a member")]
    NotListed {
        /// Whose list.
        user: UserId,
        /// Which chat.
        chat: ChatId,
    },
    /// The chat list of somebody who was never made a member has the chat.
    #[error("leaked: {chat} is in the chat list of {user}, who is no member")]
    Uninvited {
        /// Whose list.
        user: UserId,
        /// Which chat.
        chat: ChatId,
    },
    /// The chat list shows other settings than the user chose last.
    #[error("wrong settings: {user} in {chat}: told {told:?}, chose {chose:?}")]
    WrongSettings {
        /// Whose.
        user: UserId,
        /// Which chat.
        chat: ChatId,
        /// What the chat list says.
        told: Chosen,
        /// What was chosen.
        chose: Chosen,
    },
    /// A message's counters are not what devices got and users read.
    #[error("wrong status: {chat} {seq}: {what}")]
    WrongStatus {
        /// Which chat.
        chat: ChatId,
        /// Which message.
        seq: Seq,
        /// What, for a person.
        what: String,
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
