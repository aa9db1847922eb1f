//! An event of any topic, so that a test can go over all of them; and one fixed sample per type.

use std::collections::BTreeMap;

use bytes::Bytes;
use schemas::avro::{DecodeError, EncodeError, LogEvent, SUBJECTS, SchemaStore, Subject};
use schemas::events::*;
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Offset, Ordinal, Partition, Seq, Timestamp};
use schemas::topics::Topic;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OneEvent {
    Chat(ChatEvent),
    Receipt(ReceiptEvent),
    Account(AccountEvent),
    User(UserEvent),
    Dead(DeadLetter),
}

impl OneEvent {
    pub(crate) fn subject(&self) -> Subject {
        match self {
            Self::Chat(e) => e.subject(),
            Self::Receipt(e) => e.subject(),
            Self::Account(e) => e.subject(),
            Self::User(e) => e.subject(),
            Self::Dead(e) => e.subject(),
        }
    }

    pub(crate) fn encode(&self) -> Result<Bytes, EncodeError> {
        match self {
            Self::Chat(e) => e.encode(),
            Self::Receipt(e) => e.encode(),
            Self::Account(e) => e.encode(),
            Self::User(e) => e.encode(),
            Self::Dead(e) => e.encode(),
        }
    }

    pub(crate) fn decode(topic: Topic, bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_with(SchemaStore::released(), topic, bytes)
    }

    pub(crate) fn decode_with(
        schemas: &SchemaStore,
        topic: Topic,
        bytes: &[u8],
    ) -> Result<Self, DecodeError> {
        match topic {
            Topic::Chats => ChatEvent::decode_with(schemas, bytes).map(Self::Chat),
            Topic::Receipts => ReceiptEvent::decode_with(schemas, bytes).map(Self::Receipt),
            Topic::Accounts => AccountEvent::decode_with(schemas, bytes).map(Self::Account),
            Topic::Users => UserEvent::decode_with(schemas, bytes).map(Self::User),
            Topic::DeadLetters => DeadLetter::decode_with(schemas, bytes).map(Self::Dead),
        }
    }
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub(crate) fn phone() -> DeviceId {
    DeviceId::new("phone").unwrap()
}

pub(crate) fn client() -> ClientId {
    ClientId::new("c-1").unwrap()
}

pub(crate) fn chat() -> ChatId {
    ChatId::group(&user("ada"), &phone(), &client())
}

pub(crate) fn origin() -> Origin {
    Origin {
        chat: chat(),
        author: user("ada"),
        device: phone(),
        client_id: client(),
        at: Timestamp(1_700_000_000_123),
        rules: RULES,
    }
}

fn body() -> Body {
    Body {
        kind: BodyKind::Image,
        content_type: "image/png".into(),
        bytes: vec![0, 1, 0x7f, 0x80, 0xff],
        fields: BTreeMap::from([
            ("caption".to_owned(), "Grüße".to_owned()),
            ("width".to_owned(), "640".to_owned()),
        ]),
        e2e_key: Some("k1".to_owned()),
        storage_key: None,
    }
}

/// The sample of every event type whose bytes are kept.
pub(crate) fn samples() -> Vec<OneEvent> {
    let all: Vec<_> = chats()
        .into_iter()
        .map(OneEvent::Chat)
        .chain([OneEvent::Receipt(ReceiptEvent::Mark(mark()))])
        .chain(accounts().into_iter().map(OneEvent::Account))
        .chain(users().into_iter().map(OneEvent::User))
        .chain([OneEvent::Dead(dead_letter())])
        .collect();
    let subjects: Vec<_> = all.iter().map(OneEvent::subject).collect();
    assert_eq!(subjects, SUBJECTS, "one sample for each event type");
    all
}

fn chats() -> Vec<ChatEvent> {
    let (origin, target) = (origin(), Seq(41));
    vec![
        ChatEvent::MessageSent(MessageSent {
            origin: origin.clone(),
            body: body(),
            reply_to: Some(Seq(7)),
        }),
        ChatEvent::MessageEdited(MessageEdited {
            origin: origin.clone(),
            target,
            body: Body::text("better"),
        }),
        ChatEvent::MessageDeleted(MessageDeleted {
            origin: origin.clone(),
            target,
        }),
        ChatEvent::ReactionSet(ReactionSet {
            origin: origin.clone(),
            target,
            reaction: Some("👍".into()),
        }),
        ChatEvent::ChatCreated(ChatCreated {
            origin: origin.clone(),
            title: "Engines".to_owned(),
            description: String::new(),
            members: vec![user("bob"), user("eve")],
            max_members: 1_024,
        }),
        ChatEvent::ChatChanged(ChatChanged {
            origin: origin.clone(),
            title: Some("Analytical engines".to_owned()),
            description: None,
        }),
        ChatEvent::MemberAdded(MemberAdded {
            origin: origin.clone(),
            user: user("bob"),
            role: Role::Admin,
        }),
        ChatEvent::MemberRemoved(MemberRemoved {
            origin: origin.clone(),
            user: user("bob"),
        }),
        ChatEvent::MemberLeft(MemberLeft {
            origin: origin.clone(),
        }),
        ChatEvent::MemberRoleChanged(MemberRoleChanged {
            origin,
            user: user("bob"),
            role: Role::Owner,
        }),
    ]
}

fn mark() -> Mark {
    Mark {
        chat: chat(),
        user: user("bob"),
        device: phone(),
        kind: MarkKind::Read,
        seq: Seq(300),
        ordinal: Ordinal(280),
        since: Seq(3),
        authors: vec![user("ada")],
        at: Timestamp(1_700_000_000_456),
    }
}

fn accounts() -> Vec<AccountEvent> {
    let (user, device, chat, at) = (user("ada"), phone(), chat(), Timestamp(1_700_000_000_789));
    vec![
        AccountEvent::ChatMuted(ChatMuted {
            user: user.clone(),
            device: device.clone(),
            chat: chat.clone(),
            until: Some(Timestamp(1_800_000_000_000)),
            at,
        }),
        AccountEvent::ChatArchived(ChatArchived {
            user: user.clone(),
            device: device.clone(),
            chat: chat.clone(),
            archived: true,
            at,
        }),
        AccountEvent::ChatPinned(ChatPinned {
            user: user.clone(),
            device: device.clone(),
            chat: chat.clone(),
            pinned: false,
            at,
        }),
        AccountEvent::MessageHidden(MessageHidden {
            user,
            device,
            chat,
            seq: Seq(12),
            at,
        }),
    ]
}

fn users() -> Vec<UserEvent> {
    let recipients = vec![user("ada"), user("bob")];
    vec![
        UserEvent::EntryTold(EntryTold {
            recipients: recipients.clone(),
            chat: chat(),
            seq: Seq(300),
            ordinal: Ordinal(280),
            at: Timestamp(1_700_000_000_123),
            origin: Offset(123_456),
            event: Bytes::from_static(b"\xc3\x01nested"),
        }),
        UserEvent::VerdictTold(VerdictTold {
            recipients: vec![user("ada")],
            chat: chat(),
            device: phone(),
            client_id: client(),
            seq: None,
            code: Some("not_member".into()),
            origin: Offset(9),
        }),
        UserEvent::StatusTold(StatusTold {
            recipients,
            chat: chat(),
            seq: Seq(300),
            delivered: 12,
            read: 3,
            origin: Offset(77),
        }),
        UserEvent::MarkTold(MarkTold {
            recipients: vec![user("bob")],
            chat: chat(),
            device: phone(),
            kind: MarkKind::Delivered,
            seq: Seq(300),
            ordinal: Ordinal(280),
            origin: Offset(78),
        }),
        UserEvent::SettingTold(SettingTold {
            recipients: vec![user("ada")],
            origin: Offset(5),
            event: Bytes::from_static(b"\xc3\x01nested"),
        }),
    ]
}

fn dead_letter() -> DeadLetter {
    DeadLetter {
        topic: "chats".to_owned(),
        partition: Partition(63),
        offset: Offset(1 << 40),
        projection: "chats".to_owned(),
        reason: "no single-object frame".to_owned(),
        key: Bytes::from_static(b"d.ada.bob"),
        value: Bytes::from_static(b"\x00\xff"),
    }
}
