//! The rows that an accepted event makes.
//!
//! `messages` and `changes` are the timeline and immutable; `overlays` is the present state of what
//! was changed; `members` and `member_chats` have one row a stay. The row of `chats` is made once
//! a chunk, from the state.

use compact_str::CompactString;
use infra_ports::Record;
use schemas::events::{ChatEvent, Role};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Seq, Version};
use schemas::tables::{
    ChangeRow, ChatRow, DELETED, EDITED, MemberChatRow, MemberRow, MessageRow, OverlayRow, bucket,
    reaction_of,
};

use super::fold::Accepted;
use super::state::{ChatState, Stay};
use crate::engine::projection::Effects;

/// Puts the rows of an accepted event.
pub(super) fn put(
    chat: &ChatId,
    event: &ChatEvent,
    accepted: &Accepted,
    record: &Record,
    effects: &mut Effects,
) {
    let version = Version::from(record.offset);
    match (event.target(), what_of(event)) {
        (Some(target), Some(what)) => {
            effects.put(&change(chat, event, target, accepted, record), version);
            effects.put(&overlay(chat, target, what, accepted, record), version);
        }
        (None, _) | (_, None) => effects.put(&message(chat, event, accepted, record), version),
    }
    for (user, stay) in &accepted.stays {
        effects.put(&member(chat, user, stay), version);
        effects.put(&member_chat(chat, user, stay), version);
    }
}

fn message(chat: &ChatId, event: &ChatEvent, accepted: &Accepted, record: &Record) -> MessageRow {
    MessageRow {
        chat: chat.clone(),
        bucket: bucket(accepted.seq),
        seq: accepted.seq,
        ordinal: accepted.ordinal,
        at: accepted.at,
        author: event.origin().author.clone(),
        event: record.value.clone(),
    }
}

fn change(
    chat: &ChatId,
    event: &ChatEvent,
    target: Seq,
    accepted: &Accepted,
    record: &Record,
) -> ChangeRow {
    ChangeRow {
        chat: chat.clone(),
        bucket: bucket(accepted.seq),
        seq: accepted.seq,
        ordinal: accepted.ordinal,
        at: accepted.at,
        author: event.origin().author.clone(),
        target,
        event: record.value.clone(),
    }
}

/// What an event changes of its target.
fn what_of(event: &ChatEvent) -> Option<CompactString> {
    match event {
        ChatEvent::MessageEdited(_) => Some(EDITED),
        ChatEvent::MessageDeleted(_) => Some(DELETED),
        ChatEvent::ReactionSet(e) => Some(reaction_of(&e.origin.author)),
        ChatEvent::MessageSent(_)
        | ChatEvent::ChatCreated(_)
        | ChatEvent::ChatChanged(_)
        | ChatEvent::MemberAdded(_)
        | ChatEvent::MemberRemoved(_)
        | ChatEvent::MemberLeft(_)
        | ChatEvent::MemberRoleChanged(_) => None,
    }
}

fn overlay(
    chat: &ChatId,
    target: Seq,
    what: CompactString,
    accepted: &Accepted,
    record: &Record,
) -> OverlayRow {
    OverlayRow {
        chat: chat.clone(),
        bucket: bucket(target),
        target,
        what,
        seq: accepted.seq,
        at: accepted.at,
        event: record.value.clone(),
    }
}

fn member(chat: &ChatId, user: &UserId, stay: &Stay) -> MemberRow {
    MemberRow {
        chat: chat.clone(),
        user: user.clone(),
        since: stay.since,
        since_ordinal: stay.since_ordinal,
        until: stay.until,
        role: stay.role,
        joined_at: stay.joined_at,
    }
}

fn member_chat(chat: &ChatId, user: &UserId, stay: &Stay) -> MemberChatRow {
    MemberChatRow {
        user: user.clone(),
        chat: chat.clone(),
        since: stay.since,
        until: stay.until,
    }
}

/// The row of `chats`.
pub(super) fn chat(chat: &ChatId, state: &ChatState) -> Option<ChatRow> {
    let details = state.details.as_ref()?;
    let owner = state
        .members
        .iter()
        .find(|(_, stay)| stay.role == Role::Owner);
    Some(ChatRow {
        chat: chat.clone(),
        title: details.title.clone(),
        description: details.description.clone(),
        created_at: details.created_at,
        updated_at: state.at,
        head: state.head,
        ordinal: state.ordinal,
        owner: owner.map(|(user, _)| user.clone()),
        members: u32::try_from(state.members.len()).unwrap_or(u32::MAX),
        max_members: details.max_members,
    })
}
