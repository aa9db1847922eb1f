//! Messages and what changes them: send, edit, delete for everyone, react.

use schemas::errors::Refusal;
use schemas::events::{ChatEvent, MessageDeleted, MessageEdited, MessageSent, ReactionSet};
use schemas::frames::{Delete, Edit, React, Send};

use super::{By, Checked, limits};

pub(super) fn send(by: By<'_>, command: Send) -> Result<Checked, Refusal> {
    let origin = by.origin(command.chat, command.client_id)?;
    let reply_to = command
        .reply_to
        .map(|seq| limits::place("reply_to", seq))
        .transpose()?;
    let body = command.body.into_body()?;
    Ok(Checked::Chat(ChatEvent::MessageSent(MessageSent {
        origin,
        body,
        reply_to,
    })))
}

pub(super) fn edit(by: By<'_>, command: Edit) -> Result<Checked, Refusal> {
    let origin = by.origin(command.chat, command.client_id)?;
    let target = limits::place("seq", command.seq)?;
    let body = command.body.into_body()?;
    Ok(Checked::Chat(ChatEvent::MessageEdited(MessageEdited {
        origin,
        target,
        body,
    })))
}

pub(super) fn delete(by: By<'_>, command: Delete) -> Result<Checked, Refusal> {
    let origin = by.origin(command.chat, command.client_id)?;
    let target = limits::place("seq", command.seq)?;
    Ok(Checked::Chat(ChatEvent::MessageDeleted(MessageDeleted {
        origin,
        target,
    })))
}

pub(super) fn react(by: By<'_>, command: React) -> Result<Checked, Refusal> {
    let origin = by.origin(command.chat, command.client_id)?;
    let target = limits::place("seq", command.seq)?;
    let reaction = command.reaction.map(limits::reaction).transpose()?;
    Ok(Checked::Chat(ChatEvent::ReactionSet(ReactionSet {
        origin,
        target,
        reaction,
    })))
}
