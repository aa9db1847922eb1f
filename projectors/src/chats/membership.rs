//! Who is in a group, who may change that, and who owns it next. Pure.
//!
//! A group has exactly one owner while it has members. When the owner leaves, the oldest admin,
//! else the oldest member, follows; those who joined with the same event are ordered by their id.

use schemas::errors::Code;
use schemas::events::{
    ChatCreated, ChatEvent, MemberAdded, MemberRemoved, MemberRoleChanged, Role,
};
use schemas::ids::UserId;
use schemas::position::Seq;

use super::fold::allowed;
use super::state::{ChatState, Stay};

/// The largest group there can be under rules version 1.
pub const MAX_MEMBERS: u32 = 1_024;

/// True for what a direct chat does not have: title, roles, membership changes.
pub(super) fn is_for_groups(event: &ChatEvent) -> bool {
    match event {
        ChatEvent::ChatCreated(_)
        | ChatEvent::ChatChanged(_)
        | ChatEvent::MemberAdded(_)
        | ChatEvent::MemberRemoved(_)
        | ChatEvent::MemberLeft(_)
        | ChatEvent::MemberRoleChanged(_) => true,
        ChatEvent::MessageSent(_)
        | ChatEvent::MessageEdited(_)
        | ChatEvent::MessageDeleted(_)
        | ChatEvent::ReactionSet(_) => false,
    }
}

/// The most members that a new group may ever have.
pub(super) fn limit(created: &ChatCreated) -> u32 {
    created.max_members.min(MAX_MEMBERS)
}

pub(super) fn may_create(state: &ChatState, created: &ChatCreated) -> Result<(), Code> {
    if !created.origin.chat.is_group() {
        return Err(Code::NotAGroup);
    }
    if state.details.is_some() {
        return Err(Code::ChatExists);
    }
    let fits = founders(created).len() <= limit(created) as usize;
    fits.then_some(()).ok_or(Code::GroupFull)
}

/// The first members, each once, the author among them.
fn founders(created: &ChatCreated) -> Vec<&UserId> {
    let author = std::iter::once(&created.origin.author);
    let mut all: Vec<&UserId> = created.members.iter().chain(author).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Admins and the owner add members; only the owner makes admins; there is one owner.
pub(super) fn may_add(state: &ChatState, role: Role, event: &MemberAdded) -> Result<(), Code> {
    allowed(match event.role {
        Role::Member => role != Role::Member,
        Role::Admin => role == Role::Owner,
        Role::Owner => false,
    })?;
    if state.members.contains_key(&event.user) {
        return Err(Code::AlreadyMember);
    }
    let limit = state.details.as_ref().map_or(0, |d| d.max_members);
    let fits = state.members.len() < limit as usize;
    fits.then_some(()).ok_or(Code::GroupFull)
}

/// Admins remove members, the owner anyone else; nobody removes themselves: that is leaving.
pub(super) fn may_remove(state: &ChatState, role: Role, event: &MemberRemoved) -> Result<(), Code> {
    allowed(role != Role::Member && event.user != event.origin.author)?;
    let member = state.members.get(&event.user).ok_or(Code::UserNotMember)?;
    allowed(role == Role::Owner || member.role == Role::Member)
}

/// The owner changes the roles of others.
pub(super) fn may_change_role(
    state: &ChatState,
    role: Role,
    event: &MemberRoleChanged,
) -> Result<(), Code> {
    allowed(role == Role::Owner && event.user != event.origin.author)?;
    let known = state.members.contains_key(&event.user);
    known.then_some(()).ok_or(Code::UserNotMember)
}

/// Carries out an accepted event. The state's head and time are the event's already. Answers every
/// stay that began, ended or changed, and who is no member any more.
pub(super) fn carry_out(
    state: &mut ChatState,
    event: &ChatEvent,
    first: bool,
) -> (Vec<(UserId, Stay)>, Option<UserId>) {
    match event {
        ChatEvent::ChatCreated(e) => {
            let owner = &e.origin.author;
            let role = |user: &UserId| match user == owner {
                true => Role::Owner,
                false => Role::Member,
            };
            let all = founders(e).into_iter();
            (all.map(|u| join(state, u, role(u))).collect(), None)
        }
        ChatEvent::MemberAdded(e) => (vec![join(state, &e.user, e.role)], None),
        ChatEvent::MemberRemoved(e) => (leave(state, &e.user), Some(e.user.clone())),
        ChatEvent::MemberLeft(e) => {
            let author = &e.origin.author;
            (leave(state, author), Some(author.clone()))
        }
        ChatEvent::MemberRoleChanged(e) => (change_role(state, e), None),
        ChatEvent::MessageSent(_)
        | ChatEvent::MessageEdited(_)
        | ChatEvent::MessageDeleted(_)
        | ChatEvent::ReactionSet(_)
        | ChatEvent::ChatChanged(_) => (begin_direct(state, event, first), None),
    }
}

/// With the first event of a direct chat its two members get their rows.
fn begin_direct(state: &mut ChatState, event: &ChatEvent, first: bool) -> Vec<(UserId, Stay)> {
    if !first || event.origin().chat.is_group() {
        return Vec::new();
    }
    for stay in state.members.values_mut() {
        stay.joined_at = state.at;
        stay.version = state.position;
    }
    let members = state.members.iter();
    members.map(|(u, s)| (u.clone(), s.clone())).collect()
}

fn join(state: &mut ChatState, user: &UserId, role: Role) -> (UserId, Stay) {
    let stay = Stay {
        since: state.head,
        since_ordinal: state.ordinal,
        until: Seq(0),
        role,
        joined_at: state.at,
        version: state.position,
    };
    state.members.insert(user.clone(), stay.clone());
    state.members_changed();
    (user.clone(), stay)
}

fn leave(state: &mut ChatState, user: &UserId) -> Vec<(UserId, Stay)> {
    let Some(mut stay) = state.members.remove(user) else {
        return Vec::new();
    };
    state.members_changed();
    let was_owner = stay.role == Role::Owner;
    stay.until = state.head;
    stay.version = state.position;
    let mut changed = vec![(user.clone(), stay)];
    if was_owner && let Some(next) = heir(state) {
        changed.extend(set_role(state, &next, Role::Owner));
    }
    changed
}

/// The oldest admin, else the oldest member.
fn heir(state: &ChatState) -> Option<UserId> {
    let rank = |(user, stay): &(&UserId, &Stay)| {
        let admin = stay.role == Role::Admin;
        (!admin, stay.since, (*user).clone())
    };
    let oldest = state.members.iter().min_by_key(rank);
    oldest.map(|(user, _)| user.clone())
}

fn change_role(state: &mut ChatState, event: &MemberRoleChanged) -> Vec<(UserId, Stay)> {
    let mut changed = Vec::new();
    changed.extend(set_role(state, &event.user, event.role));
    if event.role == Role::Owner {
        changed.extend(set_role(state, &event.origin.author, Role::Admin));
    }
    changed
}

fn set_role(state: &mut ChatState, user: &UserId, role: Role) -> Option<(UserId, Stay)> {
    let stay = state.members.get_mut(user)?;
    stay.role = role;
    stay.version = state.position;
    Some((user.clone(), stay.clone()))
}
