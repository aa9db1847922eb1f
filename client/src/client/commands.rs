//! One method a command and a read, so that users need not build frames.

use compact_str::CompactString;
use schemas::errors::{Code, Refusal};
use schemas::events::Role;
use schemas::frames::{
    AddMember, Archive, ChangeChat, Chats, ChatsQuery, Command, CreateGroup, Delete, Edit, Entries,
    Frame, Hide, History, HistoryQuery, Leave, Members, MembersQuery, Mute, Pin, React,
    RemoveMember, Send, SetRole, Status, StatusQuery, TimelineQuery, WireBody,
};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Seq, Timestamp};

use super::{Client, ClientError};
use crate::Pending;

type Given = Result<Pending, ClientError>;

/// A group to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// 1 to 128 characters.
    pub title: String,
    /// Up to 1,024 characters.
    pub description: String,
    /// The first members beside the creator.
    pub members: Vec<UserId>,
    /// The most members it may ever have.
    pub max_members: Option<u32>,
}

macro_rules! expect_answer {
    ($answer:expr, $variant:path) => {
        match $answer {
            $variant(value) => Ok(value),
            other => Err(unexpected(&other)),
        }
    };
}

/// Commands that the log decides. Errors of all: [`ClientError::Closed`].
#[expect(
    clippy::missing_errors_doc,
    reason = "one sentence above stands for all"
)]
impl Client {
    /// Sends a message.
    pub async fn send(&self, chat: &ChatId, body: WireBody) -> Given {
        self.send_reply(chat, body, None).await
    }

    /// Sends a message that may answer another.
    pub async fn send_reply(&self, chat: &ChatId, body: WireBody, reply_to: Option<Seq>) -> Given {
        let (chat, client_id) = (chat.clone(), self.fresh_id());
        let command = Command::Send(Send {
            chat,
            client_id,
            body,
            reply_to,
        });
        self.command(command).await
    }

    /// Gives a message of one's own a new body.
    pub async fn edit(&self, chat: &ChatId, seq: Seq, body: WireBody) -> Given {
        let (chat, client_id) = (chat.clone(), self.fresh_id());
        let command = Command::Edit(Edit {
            chat,
            client_id,
            seq,
            body,
        });
        self.command(command).await
    }

    /// Deletes a message for everyone.
    pub async fn delete(&self, chat: &ChatId, seq: Seq) -> Given {
        let (chat, client_id) = (chat.clone(), self.fresh_id());
        let command = Command::Delete(Delete {
            chat,
            client_id,
            seq,
        });
        self.command(command).await
    }

    /// Sets one's reaction to a message, or takes it back.
    pub async fn react(&self, chat: &ChatId, seq: Seq, reaction: Option<CompactString>) -> Given {
        let (chat, client_id) = (chat.clone(), self.fresh_id());
        let command = Command::React(React {
            chat,
            client_id,
            seq,
            reaction,
        });
        self.command(command).await
    }

    /// Creates a group; its id is in `sent` and in the outcome.
    pub async fn create_group(&self, group: Group) -> Given {
        let command = Command::CreateGroup(CreateGroup {
            client_id: self.fresh_id(),
            title: group.title,
            description: group.description,
            members: group.members,
            max_members: group.max_members,
        });
        self.command(command).await
    }

    /// Changes a group's title, description or both.
    pub async fn change_chat(
        &self,
        chat: &ChatId,
        title: Option<String>,
        description: Option<String>,
    ) -> Given {
        let (chat, client_id) = (chat.clone(), self.fresh_id());
        let command = Command::ChangeChat(ChangeChat {
            chat,
            client_id,
            title,
            description,
        });
        self.command(command).await
    }

    /// Adds a user to a group.
    pub async fn add_member(&self, chat: &ChatId, user: &UserId, role: Role) -> Given {
        let (chat, client_id, user) = (chat.clone(), self.fresh_id(), user.clone());
        let command = Command::AddMember(AddMember {
            chat,
            client_id,
            user,
            role,
        });
        self.command(command).await
    }

    /// Removes a member from a group.
    pub async fn remove_member(&self, chat: &ChatId, user: &UserId) -> Given {
        let (chat, client_id, user) = (chat.clone(), self.fresh_id(), user.clone());
        let command = Command::RemoveMember(RemoveMember {
            chat,
            client_id,
            user,
        });
        self.command(command).await
    }

    /// Leaves a group.
    pub async fn leave(&self, chat: &ChatId) -> Given {
        let (chat, client_id) = (chat.clone(), self.fresh_id());
        self.command(Command::Leave(Leave { chat, client_id }))
            .await
    }

    /// Gives a member another role.
    pub async fn set_role(&self, chat: &ChatId, user: &UserId, role: Role) -> Given {
        let (chat, client_id, user) = (chat.clone(), self.fresh_id(), user.clone());
        let command = Command::SetRole(SetRole {
            chat,
            client_id,
            user,
            role,
        });
        self.command(command).await
    }
}

/// Settings and reads. Errors of all: [`ClientError::Closed`], and [`ClientError::Refused`] when
/// the server says no.
#[expect(
    clippy::missing_errors_doc,
    reason = "one sentence above stands for all"
)]
impl Client {
    /// Mutes a chat until then, or unmutes it.
    pub async fn mute(&self, chat: &ChatId, until: Option<Timestamp>) -> Result<(), ClientError> {
        let chat = chat.clone();
        self.set(Command::Mute(Mute { chat, until })).await
    }

    /// Moves a chat into or out of the archive.
    pub async fn archive(&self, chat: &ChatId, archived: bool) -> Result<(), ClientError> {
        let chat = chat.clone();
        self.set(Command::Archive(Archive { chat, archived })).await
    }

    /// Pins or unpins a chat.
    pub async fn pin(&self, chat: &ChatId, pinned: bool) -> Result<(), ClientError> {
        let chat = chat.clone();
        self.set(Command::Pin(Pin { chat, pinned })).await
    }

    /// Deletes a message for this user only.
    pub async fn hide(&self, chat: &ChatId, seq: Seq) -> Result<(), ClientError> {
        let chat = chat.clone();
        self.set(Command::Hide(Hide { chat, seq })).await
    }

    /// A page of the chat list, newest first.
    pub async fn chats(
        &self,
        cursor: Option<String>,
        limit: Option<u32>,
    ) -> Result<Chats, ClientError> {
        let query = Command::Chats(ChatsQuery { cursor, limit });
        expect_answer!(self.ask(query).await?, Frame::Chats)
    }

    /// A page of history, newest first.
    pub async fn history(
        &self,
        chat: &ChatId,
        before: Option<Seq>,
        limit: Option<u32>,
    ) -> Result<History, ClientError> {
        let chat = chat.clone();
        let query = Command::History(HistoryQuery {
            chat,
            before,
            limit,
        });
        expect_answer!(self.ask(query).await?, Frame::History)
    }

    /// Events of a chat in seq order. Apart from what [`Client::next`] hands over.
    pub async fn timeline(&self, chat: &ChatId, from: Seq) -> Result<Entries, ClientError> {
        let (chat, limit) = (chat.clone(), None);
        let query = Command::Timeline(TimelineQuery { chat, from, limit });
        expect_answer!(self.ask(query).await?, Frame::Entries)
    }

    /// How far a message has got, and with whom.
    pub async fn status(&self, chat: &ChatId, seq: Seq, who: bool) -> Result<Status, ClientError> {
        let chat = chat.clone();
        let query = Command::Status(StatusQuery { chat, seq, who });
        expect_answer!(self.ask(query).await?, Frame::Status)
    }

    /// Who is in a chat.
    pub async fn members(&self, chat: &ChatId) -> Result<Members, ClientError> {
        let query = Command::Members(MembersQuery { chat: chat.clone() });
        expect_answer!(self.ask(query).await?, Frame::Members)
    }

    async fn set(&self, command: Command) -> Result<(), ClientError> {
        expect_answer!(self.ask(command).await?, Frame::Settled).map(|_| ())
    }
}

/// What a frame is called, and nothing of what it says.
fn kind(frame: &Frame) -> String {
    let mut name = format!("{frame:?}");
    name.truncate(name.find(['(', ' ']).unwrap_or(name.len()));
    name
}

fn unexpected(frame: &Frame) -> ClientError {
    let kind = kind(frame);
    tracing::warn!(kind, "the server answered with a frame of another kind");
    let reason = "the server answered with a frame of another kind";
    ClientError::Refused(Refusal::new(Code::MalformedFrame, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_frame_says_nothing_of_what_it_carries() {
        let page = Chats {
            chats: Vec::new(),
            cursor: Some("secret".to_owned()),
            behind: false,
        };
        assert_eq!(kind(&Frame::Chats(page)), "Chats");
        assert_eq!(kind(&Frame::Live {}), "Live");
    }
}
