//! An accepted event of a chat, as members see it.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::WireBody;
use crate::events::{ChatEvent, Role};
use crate::ids::{ChatId, ClientId, DeviceId, UserId};
use crate::position::{Ordinal, Seq, Timestamp};

/// One entry of a chat's timeline. `(chat, seq)` names it for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The chat.
    pub chat: ChatId,
    /// Its place, from 1, without holes.
    pub seq: Seq,
    /// Countable messages up to and including this entry.
    pub ordinal: Ordinal,
    /// Chat time in milliseconds: never goes back within a chat.
    pub at: Timestamp,
    /// Who did it.
    pub author: UserId,
    /// On which device.
    pub device: DeviceId,
    /// Under which client id: the author's device takes the entry as the verdict on its command.
    pub client_id: ClientId,
    /// The id that `sent` answered: 32 hexadecimal digits.
    pub id: CompactString,
    /// What happened.
    pub event: EntryEvent,
}

/// What happened in a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the fields are those of the events of the same name"
)]
pub enum EntryEvent {
    Message {
        body: WireBody,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<Seq>,
    },
    Edited {
        target: Seq,
        body: WireBody,
    },
    Deleted {
        target: Seq,
    },
    Reacted {
        target: Seq,
        reaction: Option<CompactString>,
    },
    Created {
        title: String,
        description: String,
        members: Vec<UserId>,
        max_members: u32,
    },
    Changed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
    },
    MemberAdded {
        user: UserId,
        role: Role,
    },
    MemberRemoved {
        user: UserId,
    },
    MemberLeft {},
    RoleChanged {
        user: UserId,
        role: Role,
    },
    /// A kind of a later server.
    #[serde(other)]
    Unknown,
}

impl Entry {
    /// The entry of an accepted event.
    pub fn new(seq: Seq, ordinal: Ordinal, at: Timestamp, event: &ChatEvent) -> Self {
        let origin = event.origin();
        Self {
            chat: origin.chat.clone(),
            seq,
            ordinal,
            at,
            author: origin.author.clone(),
            device: origin.device.clone(),
            client_id: origin.client_id.clone(),
            id: origin.message_id().text(),
            event: EntryEvent::from(event),
        }
    }
}

impl From<&ChatEvent> for EntryEvent {
    fn from(event: &ChatEvent) -> Self {
        match event {
            ChatEvent::MessageSent(e) => Self::Message {
                body: WireBody::from(&e.body),
                reply_to: e.reply_to,
            },
            ChatEvent::MessageEdited(e) => Self::Edited {
                target: e.target,
                body: WireBody::from(&e.body),
            },
            ChatEvent::MessageDeleted(e) => Self::Deleted { target: e.target },
            ChatEvent::ReactionSet(e) => Self::Reacted {
                target: e.target,
                reaction: e.reaction.clone(),
            },
            ChatEvent::ChatCreated(e) => Self::Created {
                title: e.title.clone(),
                description: e.description.clone(),
                members: e.members.clone(),
                max_members: e.max_members,
            },
            ChatEvent::ChatChanged(e) => Self::Changed {
                title: e.title.clone(),
                description: e.description.clone(),
            },
            ChatEvent::MemberAdded(e) => Self::MemberAdded {
                user: e.user.clone(),
                role: e.role,
            },
            ChatEvent::MemberRemoved(e) => Self::MemberRemoved {
                user: e.user.clone(),
            },
            ChatEvent::MemberLeft(_) => Self::MemberLeft {},
            ChatEvent::MemberRoleChanged(e) => Self::RoleChanged {
                user: e.user.clone(),
                role: e.role,
            },
        }
    }
}
