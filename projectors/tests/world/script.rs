//! Random scripts: what some people do to a few chats, much of it against the rules.

use bytes::Bytes;
use infra_ports::log::NewRecord;
use schemas::avro::LogEvent;
use schemas::events::{
    AccountEvent, Body, ChatArchived, ChatChanged, ChatCreated, ChatEvent, ChatMuted, ChatPinned,
    Mark, MarkKind, MemberAdded, MemberLeft, MemberRemoved, MemberRoleChanged, MessageDeleted,
    MessageEdited, MessageHidden, MessageSent, Origin, RULES, ReactionSet, ReceiptEvent, Role,
};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Ordinal, Partition, Seq, Timestamp};
use schemas::topics::{Topic, partition_of};

use super::PARTITIONS;

/// A record and where it goes.
#[derive(Debug, Clone)]
pub struct Scripted {
    pub topic: Topic,
    pub partition: Partition,
    pub record: NewRecord,
}

/// SplitMix64: repeatable, and enough for tests.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub fn roll(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Takes a portion of what is left: one record at least, so many at most.
    pub fn portion<'a>(&mut self, most: u64, rest: &mut &'a [Scripted]) -> &'a [Scripted] {
        let portion = (1 + self.roll(most) as usize).min(rest.len());
        let (now, later) = rest.split_at(portion);
        *rest = later;
        now
    }
}

pub fn user(n: u64) -> UserId {
    UserId::new(format!("u{n}")).unwrap()
}

const USERS: u64 = 5;

fn device(n: u64) -> DeviceId {
    DeviceId::new(["phone", "web"][n as usize % 2]).unwrap()
}

/// The chats of every script: two direct ones and two groups.
pub fn chats() -> Vec<ChatId> {
    let group = |n: u64| {
        let client = ClientId::new(format!("create-{n}")).unwrap();
        ChatId::group(&user(n), &device(0), &client)
    };
    vec![
        ChatId::direct(&user(0), &user(1)).unwrap(),
        ChatId::direct(&user(1), &user(2)).unwrap(),
        group(0),
        group(3),
    ]
}

/// Where the records of a key go.
pub fn home(key: &str) -> Partition {
    partition_of(key.as_bytes(), PARTITIONS)
}

/// One record of an event.
pub fn scripted(topic: Topic, key: &str, value: Bytes, at: i64) -> Scripted {
    Scripted {
        topic,
        partition: home(key),
        record: NewRecord {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value,
            at: Timestamp(at),
        },
    }
}

/// A script of so many records.
pub fn script(seed: u64, records: usize) -> Vec<Scripted> {
    let mut dice = Dice(seed);
    let mut made: Vec<Scripted> = Vec::new();
    for n in 0..records as u64 {
        let one = match dice.roll(40) {
            0 if n > 4 => again(&mut dice, &made),
            1 => garbage(&mut dice),
            2..=8 => mark(&mut dice, n),
            9..=11 => setting(&mut dice, n),
            _ => chat_event(&mut dice, n),
        };
        made.push(one);
    }
    made
}

/// A resend: the same bytes once more.
fn again(dice: &mut Dice, made: &[Scripted]) -> Scripted {
    made[dice.roll(made.len() as u64) as usize].clone()
}

/// What nobody can decode: no frame at all.
fn garbage(dice: &mut Dice) -> Scripted {
    let topic = [Topic::Chats, Topic::Receipts, Topic::Accounts][dice.roll(3) as usize];
    let bytes = [0, dice.roll(256) as u8, dice.roll(256) as u8];
    scripted(
        topic,
        &bytes[1].to_string(),
        Bytes::copy_from_slice(&bytes),
        0,
    )
}

fn pick_chat(dice: &mut Dice) -> ChatId {
    let all = chats();
    all[dice.roll(all.len() as u64) as usize].clone()
}

fn chat_event(dice: &mut Dice, n: u64) -> Scripted {
    let chat = pick_chat(dice);
    let origin = Origin {
        chat: chat.clone(),
        author: user(dice.roll(USERS)),
        device: device(dice.next()),
        // Now and then an id that was used before, for something else.
        client_id: ClientId::new(format!("c{}", if dice.roll(30) == 0 { n / 2 } else { n }))
            .unwrap(),
        at: Timestamp(1_000 + n as i64 * 10 - dice.roll(50) as i64),
        rules: dice.roll(u64::from(RULES) + 1) as u32,
    };
    let at = origin.at.0;
    let event = if chat.is_group() && dice.roll(12) == 0 {
        create(dice, origin)
    } else {
        deed(dice, origin)
    };
    let value = event.encode().unwrap();
    scripted(Topic::Chats, chat.as_str(), value, at)
}

fn create(dice: &mut Dice, origin: Origin) -> ChatEvent {
    let all = 0..USERS;
    ChatEvent::ChatCreated(ChatCreated {
        origin,
        title: format!("title {}", dice.roll(9)),
        description: String::new(),
        members: all.filter(|_| dice.roll(2) == 0).map(user).collect(),
        max_members: 3 + dice.roll(4) as u32,
    })
}

fn deed(dice: &mut Dice, origin: Origin) -> ChatEvent {
    let target = Seq(dice.roll(30));
    let who = user(dice.roll(USERS));
    match dice.roll(30) {
        0 | 1 => ChatEvent::MemberAdded(MemberAdded {
            origin,
            user: who,
            role: role(dice),
        }),
        2 => ChatEvent::MemberRemoved(MemberRemoved { origin, user: who }),
        3 => ChatEvent::MemberLeft(MemberLeft { origin }),
        4 => ChatEvent::MemberRoleChanged(MemberRoleChanged {
            origin,
            user: who,
            role: role(dice),
        }),
        5 => ChatEvent::ChatChanged(ChatChanged {
            origin,
            title: (dice.roll(2) == 0).then(|| "another".to_owned()),
            description: Some("why".to_owned()),
        }),
        6..=8 => ChatEvent::MessageEdited(MessageEdited {
            origin,
            target,
            body: Body::text(format!("edited {}", dice.roll(99))),
        }),
        9 | 10 => ChatEvent::MessageDeleted(MessageDeleted { origin, target }),
        11..=13 => ChatEvent::ReactionSet(ReactionSet {
            origin,
            target,
            reaction: (dice.roll(3) > 0).then(|| "+1".into()),
        }),
        _ => ChatEvent::MessageSent(MessageSent {
            origin,
            body: Body::text(format!("text {}", dice.roll(1_000))),
            reply_to: None,
        }),
    }
}

fn role(dice: &mut Dice) -> Role {
    [Role::Member, Role::Admin, Role::Owner][dice.roll(3) as usize]
}

fn mark(dice: &mut Dice, n: u64) -> Scripted {
    let chat = pick_chat(dice);
    // Stays of one user do not overlap: a mark ends where its stay does.
    let (since, length) = match chat.is_group() {
        true => (Seq(dice.roll(3) * 7), 7),
        false => (Seq(0), 25),
    };
    let seq = Seq(since.0 + dice.roll(length));
    let mark = Mark {
        chat: chat.clone(),
        user: user(dice.roll(USERS)),
        device: device(dice.next()),
        kind: [MarkKind::Delivered, MarkKind::Read][dice.roll(2) as usize],
        seq,
        ordinal: Ordinal(seq.0 / 2),
        since,
        authors: vec![user(dice.roll(USERS)), user(dice.roll(USERS))],
        at: Timestamp(n as i64),
    };
    let value = ReceiptEvent::Mark(mark).encode().unwrap();
    scripted(Topic::Receipts, chat.as_str(), value, n as i64)
}

fn setting(dice: &mut Dice, n: u64) -> Scripted {
    let (user, device, chat) = (user(dice.roll(USERS)), device(dice.next()), pick_chat(dice));
    let at = Timestamp(n as i64);
    let key = user.to_string();
    let event = match dice.roll(4) {
        0 => AccountEvent::ChatMuted(ChatMuted {
            user,
            device,
            chat,
            until: (dice.roll(2) == 0).then_some(Timestamp(99)),
            at,
        }),
        1 => {
            let archived = dice.roll(2) == 0;
            AccountEvent::ChatArchived(ChatArchived {
                user,
                device,
                chat,
                archived,
                at,
            })
        }
        2 => {
            let pinned = dice.roll(2) == 0;
            AccountEvent::ChatPinned(ChatPinned {
                user,
                device,
                chat,
                pinned,
                at,
            })
        }
        _ => {
            let seq = Seq(1 + dice.roll(20));
            AccountEvent::MessageHidden(MessageHidden {
                user,
                device,
                chat,
                seq,
                at,
            })
        }
    };
    scripted(Topic::Accounts, &key, event.encode().unwrap(), n as i64)
}
