//! Events, and the rows and records that follow from them.

use compact_str::CompactString;
use infra_ports::Mutation;
use schemas::avro::LogEvent;
use schemas::events::*;
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::*;
use schemas::tables::*;

use super::GENERATION;

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub(crate) fn chat(name: &str) -> ChatId {
    ChatId::new(name).unwrap()
}

/// A group's id from a number.
pub(crate) fn group(number: u8) -> ChatId {
    ChatId::new(format!("g.{number:032x}")).unwrap()
}

fn origin(chat: &ChatId, author: &str, client_id: &str) -> Origin {
    Origin {
        chat: chat.clone(),
        author: user(author),
        device: DeviceId::new("phone").unwrap(),
        client_id: ClientId::new(client_id).unwrap(),
        at: Timestamp(1),
        rules: RULES,
    }
}

/// A message whose text is its client id.
pub(crate) fn message(chat: &ChatId, author: &str, text: &str) -> ChatEvent {
    let origin = origin(chat, author, text);
    ChatEvent::MessageSent(MessageSent {
        origin,
        body: Body::text(text),
        reply_to: None,
    })
}

pub(crate) fn added(chat: &ChatId, author: &str, who: &str, id: &str) -> ChatEvent {
    let origin = origin(chat, author, id);
    ChatEvent::MemberAdded(MemberAdded {
        origin,
        user: user(who),
        role: Role::Member,
    })
}

pub(crate) fn removed(chat: &ChatId, author: &str, who: &str, id: &str) -> ChatEvent {
    let origin = origin(chat, author, id);
    ChatEvent::MemberRemoved(MemberRemoved {
        origin,
        user: user(who),
    })
}

pub(crate) fn edited(chat: &ChatId, author: &str, target: u64, text: &str) -> ChatEvent {
    let origin = origin(chat, author, text);
    let (target, body) = (Seq(target), Body::text(text));
    ChatEvent::MessageEdited(MessageEdited {
        origin,
        target,
        body,
    })
}

pub(crate) fn deleted(chat: &ChatId, author: &str, target: u64) -> ChatEvent {
    let origin = origin(chat, author, "delete");
    ChatEvent::MessageDeleted(MessageDeleted {
        origin,
        target: Seq(target),
    })
}

pub(crate) fn reacted(chat: &ChatId, author: &str, target: u64, with: Option<&str>) -> ChatEvent {
    let (origin, reaction) = (origin(chat, author, "react"), with.map(CompactString::from));
    ChatEvent::ReactionSet(ReactionSet {
        origin,
        target: Seq(target),
        reaction,
    })
}

/// An event as its recipients are told of it.
pub(crate) fn told(seq: u64, event: &ChatEvent, recipients: &[&str]) -> UserEvent {
    UserEvent::EntryTold(EntryTold {
        recipients: recipients.iter().map(|name| user(name)).collect(),
        chat: event.origin().chat.clone(),
        seq: Seq(seq),
        ordinal: Ordinal(seq),
        at: Timestamp(0),
        origin: Offset(seq),
        event: event.encode().unwrap(),
    })
}

pub(crate) fn rows(seq: u64, event: &ChatEvent) -> Vec<Mutation> {
    let origin = event.origin();
    let (chat, author) = (origin.chat.clone(), origin.author.clone());
    let (bucket, version) = (bucket(Seq(seq)), Version(seq + 1));
    let (ordinal, at, encoded) = (Ordinal(seq), Timestamp(0), event.encode().unwrap());
    let (title, members) = ("a group".to_owned(), 2);
    let head = ChatRow {
        chat: chat.clone(),
        title,
        description: String::new(),
        created_at: at,
        updated_at: at,
        head: Seq(seq),
        ordinal,
        owner: None,
        members,
        max_members: 256,
    };
    let head = Mutation::put(GENERATION, &head, version);
    let Some(target) = event.target() else {
        let row = MessageRow {
            chat,
            bucket,
            seq: Seq(seq),
            ordinal,
            at,
            author,
            event: encoded,
        };
        return vec![Mutation::put(GENERATION, &row, version), head];
    };
    let what = match event {
        ChatEvent::MessageDeleted(_) => DELETED,
        ChatEvent::ReactionSet(_) => reaction_of(&author),
        _ => EDITED,
    };
    let overlay = OverlayRow {
        chat: chat.clone(),
        bucket: schemas::tables::bucket(target),
        target,
        what,
        seq: Seq(seq),
        at,
        event: encoded.clone(),
    };
    let row = ChangeRow {
        chat,
        bucket,
        seq: Seq(seq),
        ordinal,
        at,
        author,
        target,
        event: encoded,
    };
    let (row, overlay) = (
        Mutation::put(GENERATION, &row, version),
        Mutation::put(GENERATION, &overlay, version),
    );
    vec![row, overlay, head]
}
