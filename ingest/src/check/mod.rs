//! From a command to the event that stands for it, or the reason why there is none.
//!
//! Pure: no table is read, no clock is looked at. What is checked here is what a command alone can
//! show: shape, sizes, counts, and what a chat's id says about its members. Whether an event counts
//! is decided by a fold, at its place in the log; a check that both could make is made by both and
//! gives the same code.

mod groups;
pub mod limits;
mod marks;
mod messages;
mod settings;

pub use marks::StampedMark;
pub(crate) use marks::mark;

use schemas::errors::{Code, Refusal};
use schemas::events::{AccountEvent, ChatEvent, Origin, RULES};
use schemas::frames::Command;
use schemas::ids::{ChatId, ClientId, Identity};
use schemas::position::Timestamp;

/// The event that a command asks for, and what its author will be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// For `chats`: answered by `sent`, settled by entry or verdict.
    Chat(ChatEvent),
    /// For `accounts`: answered by `settled`.
    Account(AccountEvent),
}

/// Checks a command of a client.
///
/// # Errors
/// The refusal that the client gets; nothing is stored then.
pub fn check(who: &Identity, command: Command, now: Timestamp) -> Result<Checked, Refusal> {
    let by = By { who, now };
    match command {
        Command::Send(c) => messages::send(by, c),
        Command::Edit(c) => messages::edit(by, c),
        Command::Delete(c) => messages::delete(by, c),
        Command::React(c) => messages::react(by, c),
        Command::CreateGroup(c) => groups::create(by, c),
        Command::ChangeChat(c) => groups::change(by, c),
        Command::AddMember(c) => groups::add_member(by, c),
        Command::RemoveMember(c) => groups::remove_member(by, c),
        Command::Leave(c) => groups::leave(by, c),
        Command::SetRole(c) => groups::set_role(by, c),
        Command::Mute(c) => settings::mute(by, c),
        Command::Archive(c) => settings::archive(by, c),
        Command::Pin(c) => settings::pin(by, c),
        Command::Hide(c) => settings::hide(by, c),
        Command::Hello(_)
        | Command::Delivered(_)
        | Command::Read(_)
        | Command::Chats(_)
        | Command::History(_)
        | Command::Timeline(_)
        | Command::Status(_)
        | Command::Members(_)
        | Command::Ping {} => Err(Refusal::new(
            Code::UnknownType,
            "not a command that is appended as it comes",
        )),
    }
}

/// Who asks, and when.
#[derive(Clone, Copy)]
pub(crate) struct By<'a> {
    who: &'a Identity,
    now: Timestamp,
}

impl By<'_> {
    /// The origin of an event in a chat that the author may be in, as far as its id tells.
    fn origin(self, chat: ChatId, client_id: ClientId) -> Result<Origin, Refusal> {
        self.may_be_in(&chat)?;
        Ok(self.origin_of_new(chat, client_id))
    }

    /// The origin of an event that only a group can have.
    fn origin_in_group(self, chat: ChatId, client_id: ClientId) -> Result<Origin, Refusal> {
        self.may_be_in(&chat)?;
        if !chat.is_group() {
            return Err(Refusal::plain(Code::NotAGroup));
        }
        Ok(self.origin_of_new(chat, client_id))
    }

    fn origin_of_new(self, chat: ChatId, client_id: ClientId) -> Origin {
        Origin {
            chat,
            author: self.who.user.clone(),
            device: self.who.device.clone(),
            client_id,
            at: self.now,
            rules: RULES,
        }
    }

    /// A direct chat names its members; of a group the log knows.
    fn may_be_in(self, chat: &ChatId) -> Result<(), Refusal> {
        let is_stranger = |(a, b)| a != self.who.user && b != self.who.user;
        if chat.pair().is_some_and(is_stranger) {
            return Err(Refusal::plain(Code::NotMember));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
