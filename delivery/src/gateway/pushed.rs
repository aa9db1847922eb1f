//! A live entry on its way to sessions: encoded once, shared by all its recipients.

use bytes::Bytes;
use compact_str::CompactString;
use infra_ports::transport::encode_text;
use schemas::avro::{DecodeError, LogEvent};
use schemas::events::{ChatEvent, EntryTold};
use schemas::frames::{Entry, Frame, encode_frame};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Offset, Ordinal, Seq, Timestamp};

/// One live entry with its frame.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) chat: ChatId,
    pub(crate) seq: Seq,
    pub(crate) ordinal: Ordinal,
    pub(crate) author: UserId,
    pub(crate) device: DeviceId,
    pub(crate) client_id: ClientId,
    /// What clients call it.
    pub(crate) id: CompactString,
    /// A message: its author is told of marks.
    pub(crate) countable: bool,
    /// Those whom this entry makes members.
    pub(crate) joins: Vec<UserId>,
    /// When ingest took it.
    pub(crate) taken_at: Timestamp,
    /// Offset in its `chats` partition: rows are there when that is applied.
    pub(crate) origin: Offset,
    pub(crate) frame: Bytes,
}

impl Pushed {
    /// Encodes the frame.
    ///
    /// # Errors
    /// When the event inside cannot be read.
    pub(crate) fn new(told: &EntryTold) -> Result<Self, DecodeError> {
        let event = ChatEvent::decode(&told.event)?;
        let entry = Entry::new(told.seq, told.ordinal, told.at, &event);
        let origin = event.origin();
        Ok(Self {
            chat: told.chat.clone(),
            seq: told.seq,
            ordinal: told.ordinal,
            author: origin.author.clone(),
            device: origin.device.clone(),
            client_id: origin.client_id.clone(),
            id: entry.id.clone(),
            countable: event.is_countable(),
            joins: joins(&event),
            taken_at: origin.at,
            origin: told.origin,
            frame: encode_text(&encode_frame(None, &Frame::Entry(entry))),
        })
    }

    /// True when whoever this is sees nothing of the chat before this entry, unless they were a
    /// member before: a fresh session may take it without looking back.
    pub(crate) fn opens(&self, user: &UserId) -> bool {
        self.seq == Seq(1) || self.joins.contains(user)
    }
}

/// Entries for tests of what handles them.
#[cfg(test)]
impl Pushed {
    /// A message of bob's phone, at this place of both the log and the chat.
    pub(crate) fn sample(chat: &str, seq: u64, frame: Bytes) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self {
            chat: ChatId::new(chat).unwrap(),
            seq: Seq(seq),
            ordinal: Ordinal(seq),
            author: UserId::new("bob").unwrap(),
            device: DeviceId::new("phone").unwrap(),
            client_id: ClientId::new("c").unwrap(),
            id: "0".into(),
            countable: true,
            joins: Vec::new(),
            taken_at: Timestamp(0),
            origin: Offset(seq),
            frame,
        })
    }
}

fn joins(event: &ChatEvent) -> Vec<UserId> {
    match event {
        ChatEvent::ChatCreated(e) => {
            let mut all = e.members.clone();
            all.push(e.origin.author.clone());
            all
        }
        ChatEvent::MemberAdded(e) => vec![e.user.clone()],
        ChatEvent::MessageSent(_)
        | ChatEvent::MessageEdited(_)
        | ChatEvent::MessageDeleted(_)
        | ChatEvent::ReactionSet(_)
        | ChatEvent::ChatChanged(_)
        | ChatEvent::MemberRemoved(_)
        | ChatEvent::MemberLeft(_)
        | ChatEvent::MemberRoleChanged(_) => Vec::new(),
    }
}
