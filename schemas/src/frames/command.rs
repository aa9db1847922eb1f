//! What a client says.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::WireBody;
use crate::events::Role;
use crate::ids::{ChatId, ClientId, UserId};
use crate::position::{Seq, Timestamp};

macro_rules! command {
    ($(#[$m:meta])* $name:ident { $($(#[$fm:meta])* $field:ident : $t:ty),* $(,)? }) => {
        $(#[$m])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name { $($(#[$fm])* pub $field: $t),* }
    };
}

command!(
    /// The first frame of a session that did not bring its token in the handshake.
    Hello {
        /// The access token.
        #[serde(default)]
        token: Option<String>,
    }
);
command!(
    /// Sends a message. Countable.
    Send {
        /// To which chat.
        chat: ChatId,
        /// The client's own id; a resend with the same one never makes a second message.
        client_id: ClientId,
        /// What.
        body: WireBody,
        /// The message it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<Seq>,
    }
);
command!(
    /// Gives a message of one's own a new body.
    Edit {
        /// The chat.
        chat: ChatId,
        /// The client's own id.
        client_id: ClientId,
        /// The message.
        seq: Seq,
        /// The new body.
        body: WireBody,
    }
);
command!(
    /// Deletes a message for everyone.
    Delete {
        /// The chat.
        chat: ChatId,
        /// The client's own id.
        client_id: ClientId,
        /// The message.
        seq: Seq,
    }
);
command!(
    /// Sets or, with none, takes back one's reaction to a message.
    React {
        /// The chat.
        chat: ChatId,
        /// The client's own id.
        client_id: ClientId,
        /// The message.
        seq: Seq,
        /// At most 32 bytes.
        #[serde(default)]
        reaction: Option<CompactString>,
    }
);
command!(
    /// Creates a group; its id follows from user, device and client id.
    CreateGroup {
        /// The client's own id.
        client_id: ClientId,
        /// 1 to 128 characters.
        title: String,
        /// Up to 1,024 characters.
        #[serde(default)]
        description: String,
        /// The first members beside the creator.
        #[serde(default)]
        members: Vec<UserId>,
        /// The most members it may ever have; 256 where left out, at most 1,024.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_members: Option<u32>,
    }
);
command!(
    /// Changes title, description or both.
    ChangeChat {
        /// The group.
        chat: ChatId,
        /// The client's own id.
        client_id: ClientId,
        /// The new title.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// The new description.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
    }
);
command!(
    /// Adds a user to a group.
    AddMember {
        /// The group.
        chat: ChatId,
        /// The client's own id.
        client_id: ClientId,
        /// The new member.
        user: UserId,
        /// member or admin.
        #[serde(default)]
        role: Role,
    }
);
command!(
    /// Removes a member from a group.
    RemoveMember {
        /// The group.
        chat: ChatId,
        /// The client's own id.
        client_id: ClientId,
        /// The member.
        user: UserId,
    }
);
command!(
    /// Leaves a group.
    Leave {
        /// The group.
        chat: ChatId,
        /// The client's own id.
        client_id: ClientId,
    }
);
command!(
    /// Gives a member another role; naming an owner hands the group over.
    SetRole {
        /// The group.
        chat: ChatId,
        /// The client's own id.
        client_id: ClientId,
        /// The member.
        user: UserId,
        /// member, admin or owner.
        role: Role,
    }
);
command!(
    /// Says how far this device has got (`delivered`), or the user has read (`read`).
    MarkUpTo {
        /// The chat.
        chat: ChatId,
        /// Everything up to here.
        seq: Seq,
    }
);
command!(
    /// Mutes a chat until a time, or, with none, unmutes it.
    Mute {
        /// The chat.
        chat: ChatId,
        /// Until then.
        #[serde(default)]
        until: Option<Timestamp>,
    }
);
command!(
    /// Moves a chat into or out of the archive.
    Archive {
        /// The chat.
        chat: ChatId,
        /// In or out.
        archived: bool,
    }
);
command!(
    /// Pins or unpins a chat.
    Pin {
        /// The chat.
        chat: ChatId,
        /// Pinned or not.
        pinned: bool,
    }
);
command!(
    /// Deletes a message for this user only.
    Hide {
        /// The chat.
        chat: ChatId,
        /// The message.
        seq: Seq,
    }
);
command!(
    /// Asks for the chat list, newest first.
    ChatsQuery {
        /// The cursor of the page before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
        /// At most 100; 50 where left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    }
);
command!(
    /// Asks for a page of history, newest first, changes applied.
    HistoryQuery {
        /// The chat.
        chat: ChatId,
        /// Only messages before this place; from the newest where left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Seq>,
        /// At most 100; 50 where left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    }
);
command!(
    /// Asks for a chat's events in seq order, to fill a gap.
    TimelineQuery {
        /// The chat.
        chat: ChatId,
        /// From this place on.
        from: Seq,
        /// At most 100, also where left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    }
);
command!(
    /// Asks how many, and who, have a message and have read it.
    StatusQuery {
        /// The chat.
        chat: ChatId,
        /// The message.
        seq: Seq,
        /// Whether to name the members too.
        #[serde(default)]
        who: bool,
    }
);
command!(
    /// Asks who is in a chat.
    MembersQuery {
        /// The chat.
        chat: ChatId,
    }
);

/// One command of a client. The serde names are the wire's `type`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant holds the command of its name")]
pub enum Command {
    Hello(Hello),
    Send(Send),
    Edit(Edit),
    Delete(Delete),
    React(React),
    CreateGroup(CreateGroup),
    ChangeChat(ChangeChat),
    AddMember(AddMember),
    RemoveMember(RemoveMember),
    Leave(Leave),
    SetRole(SetRole),
    Delivered(MarkUpTo),
    Read(MarkUpTo),
    Mute(Mute),
    Archive(Archive),
    Pin(Pin),
    Hide(Hide),
    Chats(ChatsQuery),
    History(HistoryQuery),
    Timeline(TimelineQuery),
    Status(StatusQuery),
    Members(MembersQuery),
    Ping {},
}

impl Command {
    /// The chat, if it has one yet, and the client id of a command that the log decides; none for
    /// marks, settings and reads, which are answered at once.
    pub fn logged(&self) -> Option<(Option<&ChatId>, &ClientId)> {
        Some(match self {
            Self::Send(c) => (Some(&c.chat), &c.client_id),
            Self::Edit(c) => (Some(&c.chat), &c.client_id),
            Self::Delete(c) => (Some(&c.chat), &c.client_id),
            Self::React(c) => (Some(&c.chat), &c.client_id),
            Self::CreateGroup(c) => (None, &c.client_id),
            Self::ChangeChat(c) => (Some(&c.chat), &c.client_id),
            Self::AddMember(c) => (Some(&c.chat), &c.client_id),
            Self::RemoveMember(c) => (Some(&c.chat), &c.client_id),
            Self::Leave(c) => (Some(&c.chat), &c.client_id),
            Self::SetRole(c) => (Some(&c.chat), &c.client_id),
            Self::Hello(_)
            | Self::Delivered(_)
            | Self::Read(_)
            | Self::Mute(_)
            | Self::Archive(_)
            | Self::Pin(_)
            | Self::Hide(_)
            | Self::Chats(_)
            | Self::History(_)
            | Self::Timeline(_)
            | Self::Status(_)
            | Self::Members(_)
            | Self::Ping {} => return None,
        })
    }
}
