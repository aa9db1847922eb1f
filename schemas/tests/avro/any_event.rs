//! Strategies: any event of any type, with any value its schema can hold.

use bytes::Bytes;
use compact_str::CompactString;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use schemas::events::*;
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Offset, Ordinal, Partition, Seq, Timestamp};

use super::one_event::OneEvent;

fn user() -> impl Strategy<Value = UserId> {
    "[a-z0-9_-]{1,64}".prop_map(|s| UserId::new(s).unwrap())
}

fn users() -> impl Strategy<Value = Vec<UserId>> {
    vec(user(), 0..5)
}

fn device() -> impl Strategy<Value = DeviceId> {
    "[a-z0-9_-]{1,64}".prop_map(|s| DeviceId::new(s).unwrap())
}

fn client() -> impl Strategy<Value = ClientId> {
    "[!-~]{1,64}".prop_map(|s| ClientId::new(s).unwrap())
}

fn chat() -> impl Strategy<Value = ChatId> {
    prop_oneof![
        "g\\.[0-9a-f]{32}".prop_map(|s| ChatId::new(s).unwrap()),
        (user(), user())
            .prop_filter("two users", |(a, b)| a != b)
            .prop_map(|(a, b)| ChatId::direct(&a, &b).unwrap()),
    ]
}

fn place() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..1_000_u64,
        0..=i64::MAX.cast_unsigned(),
        Just(i64::MAX.cast_unsigned())
    ]
}

fn seq() -> impl Strategy<Value = Seq> {
    place().prop_map(Seq)
}

fn at() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..64).prop_map(Bytes::from)
}

fn origin() -> impl Strategy<Value = Origin> {
    (chat(), user(), device(), client(), at(), any::<u32>()).prop_map(
        |(chat, author, device, client_id, at, rules)| Origin {
            chat,
            author,
            device,
            client_id,
            at,
            rules,
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    let kind = prop_oneof![
        Just(BodyKind::Unknown),
        Just(BodyKind::Text),
        Just(BodyKind::Image),
        Just(BodyKind::Video),
        Just(BodyKind::Audio),
        Just(BodyKind::Document),
        Just(BodyKind::Location),
    ];
    let fields = btree_map(any::<String>(), any::<String>(), 0..4);
    let key = || option::of(any::<String>());
    (
        kind,
        any::<String>(),
        vec(any::<u8>(), 0..64),
        fields,
        key(),
        key(),
    )
        .prop_map(
            |(kind, content_type, bytes, fields, e2e_key, storage_key)| Body {
                kind,
                content_type: content_type.into(),
                bytes,
                fields,
                e2e_key,
                storage_key,
            },
        )
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner)]
}

fn kind() -> impl Strategy<Value = MarkKind> {
    prop_oneof![Just(MarkKind::Delivered), Just(MarkKind::Read)]
}

fn short() -> impl Strategy<Value = CompactString> {
    any::<String>().prop_map(CompactString::from)
}

fn chats() -> impl Strategy<Value = ChatEvent> {
    use ChatEvent as E;
    let text = || option::of(any::<String>());
    prop_oneof![
        (origin(), body(), option::of(seq())).prop_map(|(origin, body, reply_to)| {
            E::MessageSent(MessageSent {
                origin,
                body,
                reply_to,
            })
        }),
        (origin(), seq(), body()).prop_map(|(origin, target, body)| {
            E::MessageEdited(MessageEdited {
                origin,
                target,
                body,
            })
        }),
        (origin(), seq())
            .prop_map(|(origin, target)| E::MessageDeleted(MessageDeleted { origin, target })),
        (origin(), seq(), option::of(short())).prop_map(|(origin, target, reaction)| {
            E::ReactionSet(ReactionSet {
                origin,
                target,
                reaction,
            })
        }),
        (
            origin(),
            any::<String>(),
            any::<String>(),
            users(),
            any::<u32>()
        )
            .prop_map(|(origin, title, description, members, max_members)| {
                E::ChatCreated(ChatCreated {
                    origin,
                    title,
                    description,
                    members,
                    max_members,
                })
            }),
        (origin(), text(), text()).prop_map(|(origin, title, description)| {
            E::ChatChanged(ChatChanged {
                origin,
                title,
                description,
            })
        }),
        (origin(), user(), role()).prop_map(|(origin, user, role)| E::MemberAdded(MemberAdded {
            origin,
            user,
            role
        })),
        (origin(), user())
            .prop_map(|(origin, user)| E::MemberRemoved(MemberRemoved { origin, user })),
        origin().prop_map(|origin| E::MemberLeft(MemberLeft { origin })),
        (origin(), user(), role()).prop_map(|(origin, user, role)| {
            E::MemberRoleChanged(MemberRoleChanged { origin, user, role })
        }),
    ]
}

fn receipts() -> impl Strategy<Value = ReceiptEvent> {
    let who = (chat(), user(), device(), kind());
    (who, seq(), place(), seq(), users(), at()).prop_map(
        |((chat, user, device, kind), seq, ordinal, since, authors, at)| {
            let ordinal = Ordinal(ordinal);
            ReceiptEvent::Mark(Mark {
                chat,
                user,
                device,
                kind,
                seq,
                ordinal,
                since,
                authors,
                at,
            })
        },
    )
}

fn accounts() -> impl Strategy<Value = AccountEvent> {
    use AccountEvent as E;
    let who = || (user(), device(), chat(), at());
    prop_oneof![
        (who(), option::of(at())).prop_map(|((user, device, chat, at), until)| {
            E::ChatMuted(ChatMuted {
                user,
                device,
                chat,
                until,
                at,
            })
        }),
        (who(), any::<bool>()).prop_map(|((user, device, chat, at), archived)| {
            E::ChatArchived(ChatArchived {
                user,
                device,
                chat,
                archived,
                at,
            })
        }),
        (who(), any::<bool>()).prop_map(|((user, device, chat, at), pinned)| {
            E::ChatPinned(ChatPinned {
                user,
                device,
                chat,
                pinned,
                at,
            })
        }),
        (who(), seq()).prop_map(|((user, device, chat, at), seq)| {
            E::MessageHidden(MessageHidden {
                user,
                device,
                chat,
                seq,
                at,
            })
        }),
    ]
}

fn told() -> impl Strategy<Value = UserEvent> {
    use UserEvent as E;
    let from = || (users(), chat(), place().prop_map(Offset));
    prop_oneof![
        (from(), seq(), place(), at(), bytes()).prop_map(
            |((recipients, chat, origin), seq, ordinal, at, event)| {
                let ordinal = Ordinal(ordinal);
                E::EntryTold(EntryTold {
                    recipients,
                    chat,
                    seq,
                    ordinal,
                    at,
                    origin,
                    event,
                })
            }
        ),
        (
            from(),
            device(),
            client(),
            option::of(seq()),
            option::of(short())
        )
            .prop_map(
                |((recipients, chat, origin), device, client_id, seq, code)| {
                    E::VerdictTold(VerdictTold {
                        recipients,
                        chat,
                        device,
                        client_id,
                        seq,
                        code,
                        origin,
                    })
                }
            ),
        (from(), seq(), any::<u32>(), any::<u32>()).prop_map(
            |((recipients, chat, origin), seq, delivered, read)| {
                E::StatusTold(StatusTold {
                    recipients,
                    chat,
                    seq,
                    delivered,
                    read,
                    origin,
                })
            }
        ),
        (from(), device(), kind(), seq(), place()).prop_map(
            |((recipients, chat, origin), device, kind, seq, ordinal)| {
                let ordinal = Ordinal(ordinal);
                E::MarkTold(MarkTold {
                    recipients,
                    chat,
                    device,
                    kind,
                    seq,
                    ordinal,
                    origin,
                })
            }
        ),
        (from(), bytes()).prop_map(|((recipients, _, origin), event)| {
            E::SettingTold(SettingTold {
                recipients,
                origin,
                event,
            })
        }),
    ]
}

fn dead() -> impl Strategy<Value = DeadLetter> {
    let place = (any::<String>(), any::<u32>(), place());
    (place, any::<String>(), any::<String>(), bytes(), bytes()).prop_map(
        |((topic, partition, offset), projection, reason, key, value)| DeadLetter {
            topic,
            partition: Partition(partition),
            offset: Offset(offset),
            projection,
            reason,
            key,
            value,
        },
    )
}

/// Any event.
pub(crate) fn any_event() -> impl Strategy<Value = OneEvent> {
    prop_oneof![
        10 => chats().prop_map(OneEvent::Chat),
        2 => receipts().prop_map(OneEvent::Receipt),
        4 => accounts().prop_map(OneEvent::Account),
        5 => told().prop_map(OneEvent::User),
        2 => dead().prop_map(OneEvent::Dead),
    ]
}
