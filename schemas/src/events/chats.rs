//! Events of the topic `chats`, partitioned by chat: what members do to a chat.
//!
//! They are appended as soon as ingest has checked token, shape, size and rate; whether one
//! counts is decided by the chats fold in offset order. All carry an [`Origin`].

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::Body;
use crate::ids::{ChatId, ClientId, DeviceId, MessageId, UserId};
use crate::position::{Seq, Timestamp};

/// The version of the chats fold's rules that this build writes and understands at most.
pub const RULES: u32 = 1;

/// Who did it, from where, when, and under which rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The chat, also the key in the log.
    pub chat: ChatId,
    /// The user who did it, from the token.
    pub author: UserId,
    /// The device it came from, from the token.
    pub device: DeviceId,
    /// The client's own id for it, so that a resend is known.
    pub client_id: ClientId,
    /// When ingest took it.
    pub at: Timestamp,
    /// The rules it was written under ([`RULES`]); a chat applies the highest it has seen.
    pub rules: u32,
}

impl Origin {
    /// The id that names this command for ever.
    pub fn message_id(&self) -> MessageId {
        MessageId::of(&self.chat, &self.author, &self.device, &self.client_id)
    }
}

/// What a member may do in a group.
///
/// In Avro an enum with the default `member`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads and writes.
    #[default]
    Member,
    /// Also adds and removes members and changes the chat.
    Admin,
    /// Also changes roles. There is exactly one.
    Owner,
}

/// A message was sent. The only countable event: it gets an ordinal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSent {
    /// Who, where, when.
    pub origin: Origin,
    /// What.
    pub body: Body,
    /// The message it answers.
    pub reply_to: Option<Seq>,
}

/// A message got a new body. Only its author may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageEdited {
    /// Who, where, when.
    pub origin: Origin,
    /// The message.
    pub target: Seq,
    /// Its new body.
    pub body: Body,
}

/// A message was deleted for everyone: by its author, or by an admin or the owner of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageDeleted {
    /// Who, where, when.
    pub origin: Origin,
    /// The message.
    pub target: Seq,
}

/// A member's reaction to a message was set or taken back. One a member and message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionSet {
    /// Who, where, when.
    pub origin: Origin,
    /// The message.
    pub target: Seq,
    /// The reaction, at most 32 bytes; none takes it back.
    pub reaction: Option<CompactString>,
}

/// A group was created; its author is the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatCreated {
    /// Who, where, when. The chat id follows from author, device and client id.
    pub origin: Origin,
    /// The group's title.
    pub title: String,
    /// What it is about.
    pub description: String,
    /// The first members beside the author, each once.
    pub members: Vec<UserId>,
    /// The most members it may ever have, at most 1,024.
    pub max_members: u32,
}

/// Title or description of a group were changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatChanged {
    /// Who, where, when.
    pub origin: Origin,
    /// The new title, if it changed.
    pub title: Option<String>,
    /// The new description, if it changed.
    pub description: Option<String>,
}

/// A user was added to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAdded {
    /// Who, where, when.
    pub origin: Origin,
    /// The new member.
    pub user: UserId,
    /// As what: member or admin.
    #[serde(deserialize_with = "super::symbols::or_default")]
    pub role: Role,
}

/// A member was removed from a group by somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRemoved {
    /// Who, where, when.
    pub origin: Origin,
    /// The member.
    pub user: UserId,
}

/// The author left the group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberLeft {
    /// Who, where, when.
    pub origin: Origin,
}

/// A member got another role. Naming a new owner makes the old one an admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRoleChanged {
    /// Who, where, when.
    pub origin: Origin,
    /// The member.
    pub user: UserId,
    /// The new role.
    #[serde(deserialize_with = "super::symbols::or_default")]
    pub role: Role,
}

/// One event of the topic `chats`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant holds the record of its name")]
pub enum ChatEvent {
    MessageSent(MessageSent),
    MessageEdited(MessageEdited),
    MessageDeleted(MessageDeleted),
    ReactionSet(ReactionSet),
    ChatCreated(ChatCreated),
    ChatChanged(ChatChanged),
    MemberAdded(MemberAdded),
    MemberRemoved(MemberRemoved),
    MemberLeft(MemberLeft),
    MemberRoleChanged(MemberRoleChanged),
}

impl ChatEvent {
    /// Who did it, where and when.
    pub fn origin(&self) -> &Origin {
        match self {
            Self::MessageSent(e) => &e.origin,
            Self::MessageEdited(e) => &e.origin,
            Self::MessageDeleted(e) => &e.origin,
            Self::ReactionSet(e) => &e.origin,
            Self::ChatCreated(e) => &e.origin,
            Self::ChatChanged(e) => &e.origin,
            Self::MemberAdded(e) => &e.origin,
            Self::MemberRemoved(e) => &e.origin,
            Self::MemberLeft(e) => &e.origin,
            Self::MemberRoleChanged(e) => &e.origin,
        }
    }

    /// True for what gets an ordinal and counts as unread: sends only.
    pub fn is_countable(&self) -> bool {
        matches!(self, Self::MessageSent(_))
    }

    /// The earlier message that it changes, for edits, deletes and reactions.
    pub fn target(&self) -> Option<Seq> {
        match self {
            Self::MessageEdited(e) => Some(e.target),
            Self::MessageDeleted(e) => Some(e.target),
            Self::ReactionSet(e) => Some(e.target),
            Self::MessageSent(_)
            | Self::ChatCreated(_)
            | Self::ChatChanged(_)
            | Self::MemberAdded(_)
            | Self::MemberRemoved(_)
            | Self::MemberLeft(_)
            | Self::MemberRoleChanged(_) => None,
        }
    }
}
