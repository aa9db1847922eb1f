//! Answers to reads: chat list, history, status, members. The same over frames and over HTTP.

use std::collections::BTreeMap;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::{Entry, EntryEvent, WireBody};
use crate::events::{BodyKind, Role};
use crate::ids::{ChatId, UserId};
use crate::position::{Ordinal, Seq, Timestamp};

/// A page of the chat list: pinned chats first, then newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chats {
    /// The chats of this page.
    pub chats: Vec<ChatSummary>,
    /// Give it back to get the next page; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// True where the tables had not caught up with what this user was told before: lines may be
    /// missing or old, and the list is to be asked for again later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind: bool,
}

/// One line of the chat list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatSummary {
    /// The chat.
    pub chat: ChatId,
    /// The group's title; empty for a direct chat.
    pub title: String,
    /// The chat's newest place that this user sees.
    pub head: Seq,
    /// Its countable messages.
    pub ordinal: Ordinal,
    /// Time of the newest entry.
    pub at: Timestamp,
    /// Messages of others not yet read: exact.
    pub unread: u64,
    /// Up to where this user has read.
    pub read: Seq,
    /// The newest message, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    /// Muted until then; 0 is not muted.
    pub muted_until: Timestamp,
    /// In the archive.
    pub archived: bool,
    /// Pinned.
    pub pinned: bool,
    /// True while the user is a member.
    pub member: bool,
}

/// The newest message of a chat, shortened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Its place.
    pub seq: Seq,
    /// Who wrote it.
    pub author: UserId,
    /// What it is.
    pub kind: BodyKind,
    /// The first 120 characters of a plain text; empty for everything else.
    pub text: String,
}

/// A page of history, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The chat.
    pub chat: ChatId,
    /// At most 50, unless fewer or more (up to 100) were asked for.
    pub messages: Vec<Message>,
    /// Give it as `before` to get the next page; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Seq>,
}

/// A message or membership entry with its later changes applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The entry as it was accepted; the body of a deleted one is left out.
    #[serde(flatten)]
    pub entry: Entry,
    /// The body after the last edit, if it was edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<WireBody>,
    /// True when it was deleted for everyone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Reactions by user.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reactions: BTreeMap<UserId, CompactString>,
}

impl Message {
    /// Takes away what a deletion for everyone leaves unseen: body, edits and reactions.
    pub fn delete(&mut self) {
        self.deleted = true;
        self.edited = None;
        self.reactions.clear();
        if let EntryEvent::Message { body, .. } = &mut self.entry.event {
            let kind = body.kind;
            *body = WireBody {
                kind,
                text: Some(String::new()),
                ..WireBody::default()
            };
        }
    }
}

/// How far a message has got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The chat.
    pub chat: ChatId,
    /// The message.
    pub seq: Seq,
    /// Members it was meant for, beside its author.
    pub of: u32,
    /// How many have it.
    pub delivered: u32,
    /// How many have read it.
    pub read: u32,
    /// Who, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<Vec<StatusOf>>,
}

/// How far a message has got with one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusOf {
    /// The member.
    pub user: UserId,
    /// Has it.
    pub delivered: bool,
    /// Has read it.
    pub read: bool,
}

/// The members of a chat, in user id order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The chat.
    pub chat: ChatId,
    /// The group's title; empty for a direct chat.
    pub title: String,
    /// The group's description.
    pub description: String,
    /// The most members it may have; 2 for a direct chat.
    pub max_members: u32,
    /// Who is in it now.
    pub members: Vec<Member>,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// As what.
    pub role: Role,
    /// The place of the event that made them a member; 0 in a direct chat.
    pub since: Seq,
}
