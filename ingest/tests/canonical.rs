//! Whatever a client says, it is refused or becomes an event that keeps the limits and comes back
//! from its bytes as it went.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests may fail loudly"
)]

use std::collections::BTreeSet;

use compact_str::CompactString;
use ingest::check::limits::{MAX_REACTION_BYTES, MAX_SEQ, MAX_TITLE_CHARS};
use ingest::check::{Checked, check};
use proptest::prelude::*;
use schemas::avro::LogEvent;
use schemas::events::{AccountEvent, BodyKind, ChatEvent, RULES, Role};
use schemas::frames::{
    AddMember, Archive, ChangeChat, Command, CreateGroup, Delete, Edit, Hide, Leave, MAX_MEMBERS,
    Mute, Pin, React, RemoveMember, Send, SetRole, WireBody,
};
use schemas::ids::{ChatId, ClientId, DeviceId, Identity, UserId};
use schemas::position::{Seq, Timestamp};

fn ada() -> Identity {
    Identity {
        user: UserId::new("ada").unwrap(),
        device: DeviceId::new("phone").unwrap(),
        expires_at: Timestamp(i64::MAX),
    }
}

fn users() -> impl Strategy<Value = UserId> {
    "[a-c]{1,2}|ada|bob".prop_map(|id| UserId::new(id).unwrap())
}

fn chats() -> impl Strategy<Value = ChatId> {
    prop_oneof![
        "g\\.[0-9a-f]{32}".prop_map(|id| ChatId::new(id).unwrap()),
        (users(), users()).prop_filter_map("one person", |(a, b)| ChatId::direct(&a, &b).ok()),
    ]
}

fn seqs() -> impl Strategy<Value = Seq> {
    prop_oneof![0_u64..5, MAX_SEQ.0 - 1..MAX_SEQ.0 + 2, any::<u64>()].prop_map(Seq)
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,40}",
        "[a-z ]{0,200}",
        "[\\PC\\n\\t]{0,20}",
        "é{120,130}"
    ]
}

fn bodies() -> impl Strategy<Value = WireBody> {
    let kinds = prop_oneof![
        Just(BodyKind::Text),
        Just(BodyKind::Image),
        Just(BodyKind::Unknown)
    ];
    let data = prop::option::of("[A-Za-z0-9+/]{4}{0,3}={0,2}");
    let media = prop::option::of("[a-z]{0,5}/?[a-z]{0,5}");
    let fields = prop::collection::btree_map("[a-z]{1,4}", texts(), 0..3);
    (kinds, media, prop::option::of(texts()), data, fields).prop_map(
        |(kind, content_type, text, data, fields)| WireBody {
            kind,
            content_type: content_type.map(CompactString::from),
            text,
            data,
            fields,
            e2e_key: None,
        },
    )
}

fn in_chat() -> impl Strategy<Value = (ChatId, ClientId)> {
    (
        chats(),
        "[!-~]{1,64}".prop_map(|id| ClientId::new(id).unwrap()),
    )
}

fn messages() -> BoxedStrategy<Command> {
    let place = || (in_chat(), seqs());
    let reaction = prop::option::of(texts().prop_map(CompactString::from));
    prop_oneof![
        (in_chat(), bodies(), prop::option::of(seqs())).prop_map(
            |((chat, client_id), body, reply_to)| {
                Command::Send(Send {
                    chat,
                    client_id,
                    body,
                    reply_to,
                })
            }
        ),
        (place(), bodies()).prop_map(|(((chat, client_id), seq), body)| {
            Command::Edit(Edit {
                chat,
                client_id,
                seq,
                body,
            })
        }),
        place().prop_map(|((chat, client_id), seq)| Command::Delete(Delete {
            chat,
            client_id,
            seq
        })),
        (place(), reaction).prop_map(|(((chat, client_id), seq), reaction)| {
            Command::React(React {
                chat,
                client_id,
                seq,
                reaction,
            })
        }),
    ]
    .boxed()
}

fn groups() -> BoxedStrategy<Command> {
    let roles = || prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner)];
    let members = prop::collection::vec(users(), 0..8);
    let most = prop::option::of(prop_oneof![0_u32..8, 1_020_u32..1_030, any::<u32>()]);
    prop_oneof![
        (in_chat(), texts(), texts(), members, most).prop_map(
            |((_, client_id), title, description, members, max_members)| {
                let group = CreateGroup {
                    client_id,
                    title,
                    description,
                    members,
                    max_members,
                };
                Command::CreateGroup(group)
            }
        ),
        (
            in_chat(),
            prop::option::of(texts()),
            prop::option::of(texts())
        )
            .prop_map(|((chat, client_id), title, description)| {
                Command::ChangeChat(ChangeChat {
                    chat,
                    client_id,
                    title,
                    description,
                })
            }),
        (in_chat(), users(), roles()).prop_map(|((chat, client_id), user, role)| {
            Command::AddMember(AddMember {
                chat,
                client_id,
                user,
                role,
            })
        }),
        (in_chat(), users()).prop_map(|((chat, client_id), user)| {
            Command::RemoveMember(RemoveMember {
                chat,
                client_id,
                user,
            })
        }),
        in_chat().prop_map(|(chat, client_id)| Command::Leave(Leave { chat, client_id })),
        (in_chat(), users(), roles()).prop_map(|((chat, client_id), user, role)| {
            Command::SetRole(SetRole {
                chat,
                client_id,
                user,
                role,
            })
        }),
    ]
    .boxed()
}

fn settings() -> BoxedStrategy<Command> {
    let until = prop::option::of(any::<i64>().prop_map(Timestamp));
    prop_oneof![
        (chats(), until).prop_map(|(chat, until)| Command::Mute(Mute { chat, until })),
        (chats(), any::<bool>())
            .prop_map(|(chat, archived)| Command::Archive(Archive { chat, archived })),
        (chats(), any::<bool>()).prop_map(|(chat, pinned)| Command::Pin(Pin { chat, pinned })),
        (chats(), seqs()).prop_map(|(chat, seq)| Command::Hide(Hide { chat, seq })),
    ]
    .boxed()
}

/// What must hold of every event of a chat, whoever reads it and whenever.
fn keeps_the_limits(event: &ChatEvent) {
    let origin = event.origin();
    assert_eq!((origin.author.as_str(), origin.rules), ("ada", RULES));
    if let Some((a, b)) = origin.chat.pair() {
        assert!(a == origin.author || b == origin.author);
    }
    if let Some(target) = event.target() {
        assert!(target > Seq(0) && target <= MAX_SEQ);
    }
    match event {
        ChatEvent::MessageSent(e) => assert!(!e.body.bytes.is_empty()),
        ChatEvent::ReactionSet(e) => {
            assert!(
                e.reaction
                    .iter()
                    .all(|r| !r.is_empty() && r.len() <= MAX_REACTION_BYTES)
            );
        }
        ChatEvent::ChatCreated(e) => {
            let each: BTreeSet<_> = e.members.iter().collect();
            assert_eq!(each.len(), e.members.len());
            assert!(!each.contains(&origin.author));
            assert!(e.members.len() < e.max_members as usize && e.max_members <= MAX_MEMBERS);
            assert!((1..=MAX_TITLE_CHARS).contains(&e.title.chars().count()));
            assert_eq!(e.title.trim(), e.title);
        }
        ChatEvent::MemberAdded(e) => assert_ne!(e.role, Role::Owner),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, ..ProptestConfig::default() })]

    #[test]
    fn command_becomes_an_event_that_keeps_the_limits_and_comes_back_from_its_bytes(
        command in prop_oneof![messages(), groups(), settings()],
        at in any::<i64>().prop_map(Timestamp),
    ) {
        match check(&ada(), command.clone(), at) {
            Ok(Checked::Chat(event)) => {
                keeps_the_limits(&event);
                prop_assert_eq!(event.origin().at, at);
                let bytes = event.encode().unwrap();
                prop_assert_eq!(ChatEvent::decode(&bytes).unwrap(), event);
            }
            Ok(Checked::Account(event)) => {
                let bytes = event.encode().unwrap();
                prop_assert_eq!(AccountEvent::decode(&bytes).unwrap(), event);
            }
            Err(refusal) => {
                prop_assert!(!refusal.code.is_retryable(), "{}", refusal);
                prop_assert!(refusal.message.len() < 300);
                prop_assert_eq!(check(&ada(), command, at), Err(refusal));
            }
        }
    }
}
