//! From what a person does to what their app is asked for.

use std::time::Duration;

use schemas::frames::{
    AddMember, Archive, ChangeChat, ChatsQuery, Command, CreateGroup, Delete, Edit, Hide,
    HistoryQuery, Leave, MembersQuery, Mute, Pin, React, RemoveMember, Send, SetRole, StatusQuery,
    TimelineQuery, WireBody,
};
use schemas::ids::ChatId;
use schemas::position::{Seq, Timestamp};

use super::cast::client_id;
use super::device::{Device, Wish};
use super::plan::Act;

/// What is to be done for an act.
pub(super) enum Doing {
    Wish(Wish),
    Cut,
    Silence,
    Doze(Duration),
    Relaunch,
}

/// What an act of a device comes to, as the action with this number.
pub(super) fn doing(device: &Device, act: &Act, number: usize) -> Doing {
    match act {
        Act::Read(chat) => Doing::Wish(Wish::Read(chat.clone())),
        Act::Cut => Doing::Cut,
        Act::Silence => Doing::Silence,
        Act::Doze(ms) => Doing::Doze(Duration::from_millis(*ms)),
        Act::Relaunch => Doing::Relaunch,
        Act::Settings(chat, pick) => submit(settings(chat.clone(), *pick)),
        Act::Ask(chat, pick) => submit(question(chat.clone(), *pick, device.newest(chat))),
        Act::Hide(chat, pick) => submit(Command::Hide(Hide {
            chat: chat.clone(),
            seq: target(device, chat, *pick),
        })),
        Act::Send(_) | Act::Edit(..) | Act::Delete(..) | Act::React(..) => {
            submit(message(device, act, number))
        }
        Act::Create(_)
        | Act::Add(..)
        | Act::Remove(..)
        | Act::Leave(_)
        | Act::SetRole(..)
        | Act::Rename(_) => submit(group(act, number)),
    }
}

fn submit(command: Command) -> Doing {
    Doing::Wish(Wish::Submit(command))
}

/// A place of those that the device has; 1 when it has none.
fn target(device: &Device, chat: &ChatId, pick: u64) -> Seq {
    Seq(1 + pick.checked_rem(device.newest(chat).0).unwrap_or(0))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the one caller gives no others"
)]
fn message(device: &Device, act: &Act, number: usize) -> Command {
    let client_id = client_id(number);
    let body = WireBody::text(format!("text {number}"));
    match act {
        Act::Edit(chat, pick) => Command::Edit(Edit {
            chat: chat.clone(),
            client_id,
            seq: target(device, chat, *pick),
            body,
        }),
        Act::Delete(chat, pick) => Command::Delete(Delete {
            chat: chat.clone(),
            client_id,
            seq: target(device, chat, *pick),
        }),
        Act::React(chat, pick) => Command::React(React {
            chat: chat.clone(),
            client_id,
            seq: target(device, chat, *pick),
            reaction: pick.is_multiple_of(2).then(|| "+1".into()),
        }),
        Act::Send(chat) => Command::Send(Send {
            chat: chat.clone(),
            client_id,
            body,
            reply_to: None,
        }),
        other => unreachable!("{other:?} is no message"),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the one caller gives no others"
)]
fn group(act: &Act, number: usize) -> Command {
    let client_id = client_id(number);
    match act {
        Act::Create(members) => Command::CreateGroup(CreateGroup {
            client_id,
            title: format!("group {number}"),
            description: String::new(),
            members: members.clone(),
            max_members: None,
        }),
        Act::Add(chat, user) => Command::AddMember(AddMember {
            chat: chat.clone(),
            client_id,
            user: user.clone(),
            role: schemas::events::Role::Member,
        }),
        Act::Remove(chat, user) => Command::RemoveMember(RemoveMember {
            chat: chat.clone(),
            client_id,
            user: user.clone(),
        }),
        Act::Leave(chat) => Command::Leave(Leave {
            chat: chat.clone(),
            client_id,
        }),
        Act::SetRole(chat, user, role) => Command::SetRole(SetRole {
            chat: chat.clone(),
            client_id,
            user: user.clone(),
            role: *role,
        }),
        Act::Rename(chat) => Command::ChangeChat(ChangeChat {
            chat: chat.clone(),
            client_id,
            title: Some(format!("title {number}")),
            description: None,
        }),
        other => unreachable!("{other:?} is not done to a group"),
    }
}

fn settings(chat: ChatId, pick: u64) -> Command {
    let on = pick.is_multiple_of(2);
    match pick / 2 % 3 {
        0 => Command::Mute(Mute {
            chat,
            until: on.then_some(Timestamp(1)),
        }),
        1 => Command::Archive(Archive { chat, archived: on }),
        _ => Command::Pin(Pin { chat, pinned: on }),
    }
}

fn question(chat: ChatId, pick: u64, newest: Seq) -> Command {
    let seq = Seq(1 + pick.checked_rem(newest.0).unwrap_or(0));
    match pick % 5 {
        0 => Command::Chats(ChatsQuery {
            cursor: None,
            limit: None,
        }),
        1 => Command::History(HistoryQuery {
            chat,
            before: None,
            limit: Some(5),
        }),
        2 => Command::Timeline(TimelineQuery {
            chat,
            from: seq,
            limit: Some(3),
        }),
        3 => Command::Status(StatusQuery {
            chat,
            seq,
            who: true,
        }),
        _ => Command::Members(MembersQuery { chat }),
    }
}
