//! The fold of a chat: in log order, what counts, and which seq it gets.
//!
//! A pure function (state, event) → (state', outcome). It sees one chat, in offset order, below the
//! durable end; it never looks at a clock, a table or another chat, so every copy of it, and every
//! rebuild, agrees. An event that breaks a rule has no effect but its remembered verdict.

use schemas::errors::Code;
use schemas::events::{ChatEvent, Role};
use schemas::ids::UserId;
use schemas::position::{Offset, Ordinal, Seq, Timestamp, Version};

use super::dedupe::Verdict;
use super::membership;
use super::state::{ChatState, Details, Stay, Target};

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It counts.
    Accepted(Accepted),
    /// It breaks a rule and has no effect.
    Refused(Code),
    /// It is a resend; this was the first one's verdict.
    Repeated(Verdict),
}

/// An accepted event's place and what it did to the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its place in the chat.
    pub seq: Seq,
    /// Countable messages up to and including it.
    pub ordinal: Ordinal,
    /// Chat time.
    pub at: Timestamp,
    /// The stays that it began, ended or changed.
    pub stays: Vec<(UserId, Stay)>,
    /// Who is no member any more and is told this last entry.
    pub removed: Option<UserId>,
}

/// Applies one record. `target` is the message that it edits, deletes or reacts to, if there is one
/// below the state's head. The record must not lie below the state's position.
pub fn apply(
    state: &mut ChatState,
    event: &ChatEvent,
    target: Option<&Target>,
    offset: Offset,
) -> Outcome {
    let origin = event.origin();
    state.position = Version::from(offset);
    state.rules = state.rules.max(origin.rules);
    if let Some(verdict) = state.verdict(origin) {
        return Outcome::Repeated(*verdict);
    }
    match judge(state, event, target) {
        Err(code) => {
            state.settle(origin, Verdict::Refused(code));
            Outcome::Refused(code)
        }
        Ok(()) => {
            let accepted = accept(state, event, offset);
            state.settle(origin, Verdict::Accepted(accepted.seq));
            Outcome::Accepted(accepted)
        }
    }
}

/// Decides, and changes nothing. From the general to the special: does the chat exist, is the
/// author in it, may they, is what they name there.
fn judge(state: &ChatState, event: &ChatEvent, target: Option<&Target>) -> Result<(), Code> {
    let origin = event.origin();
    if let ChatEvent::ChatCreated(created) = event {
        return membership::may_create(state, created);
    }
    if state.details.is_none() {
        return Err(Code::ChatNotFound);
    }
    let author = state.members.get(&origin.author).ok_or(Code::NotMember)?;
    if !origin.chat.is_group() && membership::is_for_groups(event) {
        return Err(Code::NotAGroup);
    }
    match event {
        ChatEvent::MessageSent(_) | ChatEvent::ChatCreated(_) => Ok(()),
        ChatEvent::MessageEdited(_) => {
            let target = target.ok_or(Code::MessageNotFound)?;
            allowed(target.author == origin.author)
        }
        ChatEvent::MessageDeleted(_) => {
            let target = target.ok_or(Code::MessageNotFound)?;
            allowed(target.author == origin.author || author.role != Role::Member)
        }
        ChatEvent::ReactionSet(_) => target.map(|_| ()).ok_or(Code::MessageNotFound),
        ChatEvent::ChatChanged(_) => allowed(author.role != Role::Member),
        ChatEvent::MemberAdded(e) => membership::may_add(state, author.role, e),
        ChatEvent::MemberRemoved(e) => membership::may_remove(state, author.role, e),
        ChatEvent::MemberRoleChanged(e) => membership::may_change_role(state, author.role, e),
        ChatEvent::MemberLeft(_) => Ok(()),
    }
}

pub(super) fn allowed(yes: bool) -> Result<(), Code> {
    yes.then_some(()).ok_or(Code::NotAllowed)
}

/// Gives the event its place and carries out what it does to the chat.
fn accept(state: &mut ChatState, event: &ChatEvent, offset: Offset) -> Accepted {
    let first = state.head == Seq(0);
    state.head = state.head.next();
    if event.is_countable() {
        state.ordinal = state.ordinal.next();
    }
    state.at = if first {
        event.origin().at
    } else {
        state.at.max(event.origin().at)
    };
    change_details(state, event, first);
    let (stays, removed) = membership::carry_out(state, event, first);
    if !stays.is_empty() {
        state.members_sum = None;
    }
    for (user, stay) in &stays {
        state.unwritten.members.insert(user.clone(), stay.clone());
    }
    state.unwritten.chat = Some(state.position);
    let target = event.is_countable().then(|| Target {
        author: event.origin().author.clone(),
    });
    state.note_recent(offset, state.head, target);
    Accepted {
        seq: state.head,
        ordinal: state.ordinal,
        at: state.at,
        stays,
        removed,
    }
}

fn change_details(state: &mut ChatState, event: &ChatEvent, first: bool) {
    if let ChatEvent::ChatCreated(e) = event {
        state.details = Some(Details {
            title: e.title.clone(),
            description: e.description.clone(),
            created_at: state.at,
            max_members: membership::limit(e),
        });
        return;
    }
    let Some(details) = &mut state.details else {
        return;
    };
    if first {
        details.created_at = state.at;
    }
    if let ChatEvent::ChatChanged(e) = event {
        if let Some(title) = &e.title {
            details.title.clone_from(title);
        }
        if let Some(description) = &e.description {
            details.description.clone_from(description);
        }
    }
}
