//! Groups and who is in them: create, change, add, remove, leave, set a role.

use std::collections::BTreeSet;

use schemas::errors::{Code, Refusal};
use schemas::events::{
    ChatChanged, ChatCreated, ChatEvent, MemberAdded, MemberLeft, MemberRemoved, MemberRoleChanged,
    Role,
};
use schemas::frames::{
    AddMember, ChangeChat, CreateGroup, DEFAULT_MEMBERS, Leave, MAX_MEMBERS, RemoveMember, SetRole,
};
use schemas::ids::{ChatId, UserId};

use super::{By, Checked, limits};

pub(super) fn create(by: By<'_>, command: CreateGroup) -> Result<Checked, Refusal> {
    let max_members = command.max_members.unwrap_or(DEFAULT_MEMBERS);
    if max_members == 0 {
        return Err(Refusal::new(Code::InvalidField, "max_members: 1 to 1024"));
    }
    if max_members > MAX_MEMBERS {
        return Err(Refusal::plain(Code::TooManyMembers));
    }
    let title = limits::title(command.title)?;
    let description = limits::description(command.description)?;
    let members = first_members(command.members, &by.who.user, max_members)?;
    let chat = ChatId::group(&by.who.user, &by.who.device, &command.client_id);
    Ok(Checked::Chat(ChatEvent::ChatCreated(ChatCreated {
        origin: by.origin_of_new(chat, command.client_id),
        title,
        description,
        members,
        max_members,
    })))
}

/// Each once and without the creator, in the order given: who comes first is the older member.
fn first_members(
    mut members: Vec<UserId>,
    creator: &UserId,
    max_members: u32,
) -> Result<Vec<UserId>, Refusal> {
    let mut seen = BTreeSet::new();
    members.retain(|user| user != creator && seen.insert(user.clone()));
    if u32::try_from(members.len()).is_ok_and(|others| others < max_members) {
        return Ok(members);
    }
    let reason = format!("members: at most {max_members} with the creator (max_members)");
    Err(Refusal::new(Code::TooManyMembers, reason))
}

pub(super) fn change(by: By<'_>, command: ChangeChat) -> Result<Checked, Refusal> {
    let origin = by.origin_in_group(command.chat, command.client_id)?;
    let title = command.title.map(limits::title).transpose()?;
    let description = command.description.map(limits::description).transpose()?;
    if title.is_none() && description.is_none() {
        let reason = "title, description: at least one of them";
        return Err(Refusal::new(Code::InvalidField, reason));
    }
    Ok(Checked::Chat(ChatEvent::ChatChanged(ChatChanged {
        origin,
        title,
        description,
    })))
}

pub(super) fn add_member(by: By<'_>, command: AddMember) -> Result<Checked, Refusal> {
    let origin = by.origin_in_group(command.chat, command.client_id)?;
    if command.role == Role::Owner {
        let reason = "role: member or admin; set_role hands a group over";
        return Err(Refusal::new(Code::InvalidField, reason));
    }
    let (user, role) = (command.user, command.role);
    Ok(Checked::Chat(ChatEvent::MemberAdded(MemberAdded {
        origin,
        user,
        role,
    })))
}

pub(super) fn remove_member(by: By<'_>, command: RemoveMember) -> Result<Checked, Refusal> {
    let origin = by.origin_in_group(command.chat, command.client_id)?;
    let user = command.user;
    Ok(Checked::Chat(ChatEvent::MemberRemoved(MemberRemoved {
        origin,
        user,
    })))
}

pub(super) fn leave(by: By<'_>, command: Leave) -> Result<Checked, Refusal> {
    let origin = by.origin_in_group(command.chat, command.client_id)?;
    Ok(Checked::Chat(ChatEvent::MemberLeft(MemberLeft { origin })))
}

pub(super) fn set_role(by: By<'_>, command: SetRole) -> Result<Checked, Refusal> {
    let origin = by.origin_in_group(command.chat, command.client_id)?;
    let (user, role) = (command.user, command.role);
    Ok(Checked::Chat(ChatEvent::MemberRoleChanged(
        MemberRoleChanged { origin, user, role },
    )))
}
