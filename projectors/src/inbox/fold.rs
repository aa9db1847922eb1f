//! The fold of one line of a chat list: (line, news) → line'. Pure.
//!
//! A line stands at the `chats` offset of the newest event its user was told; what is not newer
//! changes nothing, so a record of `users` that is doubled, late or made again by another instance
//! has no effect.

use std::sync::Arc;

use schemas::events::{Body, BodyKind, ChatEvent, EntryTold};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Ordinal, Seq, Timestamp, Version};
use schemas::tables::preview;

use crate::engine::projection::Entry;

/// The newest message of a chat, shortened; shared by the lines of all its members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// Its place; 0 when there is none.
    pub seq: Seq,
    /// Who wrote it; none when there is none.
    pub author: Option<UserId>,
    /// What it is; unknown once it was deleted for everyone.
    pub kind: BodyKind,
    /// Its beginning, when it is a text that the server can read.
    pub text: String,
}

/// What an event means for chat lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// A message: the new preview.
    Sent {
        /// Who sent it.
        author: UserId,
        /// What is shown of it.
        preview: Arc<Preview>,
    },
    /// A message has a new body or none: the new preview, if it is the one shown.
    Changed(Arc<Preview>),
    /// All recipients are members from here on.
    Founded,
    /// This user is a member from here on.
    Joined(UserId),
    /// This user is no member from here on.
    Gone(UserId),
    /// Nothing but a new head.
    Other,
}

/// An accepted event, as its recipients' chat lists see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Who is told.
    pub recipients: Arc<[UserId]>,
    /// Which chat.
    pub chat: ChatId,
    /// Its place.
    pub seq: Seq,
    /// Countable messages up to it.
    pub ordinal: Ordinal,
    /// Chat time.
    pub at: Timestamp,
    /// The version of the lines it makes.
    pub version: Version,
    /// What it means.
    pub meaning: Meaning,
}

/// One line of a chat list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// The newest event applied; 0 for a line that does not exist yet.
    pub version: Version,
    /// The newest place that the user sees.
    pub head: Seq,
    /// Countable messages up to it.
    pub ordinal: Ordinal,
    /// Its time.
    pub at: Timestamp,
    /// The newest message.
    pub preview: Arc<Preview>,
    /// The ordinal of the user's own last send.
    pub own: Ordinal,
    /// The event of the last join; 0 in a direct chat.
    pub since: Seq,
    /// Countable messages up to the last join.
    pub since_ordinal: Ordinal,
    /// The event of the leaving; 0 for a member.
    pub until: Seq,
}

impl News {
    /// Understands what was told.
    pub fn new(told: EntryTold, event: &ChatEvent) -> Self {
        let meaning = meaning(told.seq, event);
        Self::told(told, meaning)
    }

    /// What was told and is understood already.
    pub(super) fn told(told: EntryTold, meaning: Meaning) -> Self {
        Self {
            meaning,
            recipients: told.recipients.into(),
            chat: told.chat,
            seq: told.seq,
            ordinal: told.ordinal,
            at: told.at,
            version: Version::from(told.origin),
        }
    }

    /// What an entry means that was not told but handed over.
    pub(crate) fn of(entry: Entry, event: &ChatEvent) -> Self {
        Self {
            meaning: meaning(entry.seq, event),
            recipients: entry.recipients,
            chat: entry.chat,
            seq: entry.seq,
            ordinal: entry.ordinal,
            at: entry.at,
            version: Version::from(entry.origin),
        }
    }
}

/// Applies news to a user's line. Returns whether it changed.
pub fn apply(line: &mut Line, user: &UserId, news: &News) -> bool {
    if news.version <= line.version {
        return false;
    }
    line.version = news.version;
    line.head = news.seq;
    line.ordinal = news.ordinal;
    line.at = news.at;
    match &news.meaning {
        Meaning::Sent { author, preview } => {
            line.preview = Arc::clone(preview);
            if author == user {
                line.own = news.ordinal;
            }
        }
        Meaning::Changed(preview) if preview.seq == line.preview.seq => {
            // What was deleted stays so, whatever its author still edits.
            if line.preview.kind != BodyKind::Unknown {
                let author = line.preview.author.clone();
                let shown = Preview {
                    author,
                    ..Preview::clone(preview)
                };
                line.preview = Arc::new(shown);
            }
        }
        Meaning::Founded => join(line, news),
        Meaning::Joined(who) if who == user => join(line, news),
        Meaning::Gone(who) if who == user => line.until = news.seq,
        Meaning::Changed(_) | Meaning::Joined(_) | Meaning::Gone(_) | Meaning::Other => {}
    }
    true
}

fn join(line: &mut Line, news: &News) {
    line.since = news.seq;
    line.since_ordinal = news.ordinal;
    line.until = Seq(0);
}

pub(super) fn meaning(seq: Seq, event: &ChatEvent) -> Meaning {
    match event {
        ChatEvent::MessageSent(e) => Meaning::Sent {
            author: e.origin.author.clone(),
            preview: Arc::new(Preview {
                author: Some(e.origin.author.clone()),
                ..shown(seq, &e.body)
            }),
        },
        ChatEvent::MessageEdited(e) => Meaning::Changed(Arc::new(shown(e.target, &e.body))),
        ChatEvent::MessageDeleted(e) => Meaning::Changed(Arc::new(Preview {
            seq: e.target,
            ..Preview::default()
        })),
        ChatEvent::ChatCreated(_) => Meaning::Founded,
        ChatEvent::MemberAdded(e) => Meaning::Joined(e.user.clone()),
        ChatEvent::MemberRemoved(e) => Meaning::Gone(e.user.clone()),
        ChatEvent::MemberLeft(e) => Meaning::Gone(e.origin.author.clone()),
        ChatEvent::ReactionSet(_) | ChatEvent::ChatChanged(_) | ChatEvent::MemberRoleChanged(_) => {
            Meaning::Other
        }
    }
}

/// The author is filled in by who knows it: a message keeps its author when it is edited. Nothing
/// of what is encrypted, end to end or in the log, is ever written to a table.
fn shown(seq: Seq, body: &Body) -> Preview {
    let text = match body.storage_key {
        None => preview(body),
        Some(_) => String::new(),
    };
    Preview {
        seq,
        author: None,
        kind: body.kind,
        text,
    }
}
