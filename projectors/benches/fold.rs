//! What the pure folds cost an event, without log, store or engine.
//!
//! `decide` is the chats fold alone: is it accepted, which seq. `tell` is the whole pure part of a
//! record: the fold, the records for `users` (one for each partition in which a member is) and the
//! rows. `inbox` is one line of a chat list. Every number is for one event, or one line.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench may fail loudly, and its macros make the main function"
)]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use infra_ports::Record;
use projectors::chats::Chats;
use projectors::chats::fold::{self, Outcome};
use projectors::chats::state::ChatState;
use projectors::engine::projection::{Effects, Place, Projection};
use projectors::inbox::fold::{Line, News};
use schemas::avro::LogEvent;
use schemas::events::{Body, ChatCreated, ChatEvent, EntryTold, MessageSent, Origin, RULES};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Generation, Offset, Ordinal, Partition, Seq, Timestamp};
use schemas::topics::DEFAULT_PARTITIONS;

/// Events of one measured batch: one full ring of verdicts, so that all of them can be sent again.
const EVENTS: u64 = 256;
/// A typical message.
const BODY_BYTES: usize = 200;
/// The largest group.
const MEMBERS: usize = 1_024;

type MakeScene = fn() -> Scene;

/// A chat that stands at some offset, and what comes next in its partition.
struct Scene {
    chat: ChatId,
    state: ChatState,
    events: Vec<(ChatEvent, Record)>,
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn origin(chat: &ChatId, author: &UserId, nth: u64) -> Origin {
    Origin {
        chat: chat.clone(),
        author: author.clone(),
        device: DeviceId::new("phone").unwrap(),
        client_id: ClientId::new(format!("{nth:016x}-0")).unwrap(),
        at: Timestamp(i64::try_from(nth).unwrap()),
        rules: RULES,
    }
}

fn stored(event: ChatEvent, offset: u64) -> (ChatEvent, Record) {
    let origin = event.origin();
    let (key, at) = (
        Bytes::copy_from_slice(origin.chat.as_str().as_bytes()),
        origin.at,
    );
    let record = Record {
        offset: Offset(offset),
        key,
        value: event.encode().unwrap(),
        at,
    };
    (event, record)
}

fn sends(chat: &ChatId, author: &UserId, first: u64) -> Vec<(ChatEvent, Record)> {
    let send = |nth: u64| {
        let body = Body::text("x".repeat(BODY_BYTES));
        let sent = MessageSent {
            origin: origin(chat, author, nth),
            body,
            reply_to: None,
        };
        stored(ChatEvent::MessageSent(sent), nth)
    };
    (first..first + EVENTS).map(send).collect()
}

fn direct() -> Scene {
    let (ada, bob) = (user("ada"), user("bob"));
    let chat = ChatId::direct(&ada, &bob).unwrap();
    let (state, events) = (ChatState::new(&chat), sends(&chat, &ada, 0));
    Scene {
        chat,
        state,
        events,
    }
}

/// A group of the largest size, just created.
fn group() -> Scene {
    let ada = user("ada");
    let (device, client) = (
        DeviceId::new("phone").unwrap(),
        ClientId::new("group").unwrap(),
    );
    let chat = ChatId::group(&ada, &device, &client);
    let created = ChatEvent::ChatCreated(ChatCreated {
        origin: origin(&chat, &ada, 0),
        title: "all".to_owned(),
        description: String::new(),
        members: (1..MEMBERS).map(|n| user(&format!("member-{n}"))).collect(),
        max_members: u32::try_from(MEMBERS).unwrap(),
    });
    let mut state = ChatState::new(&chat);
    let outcome = fold::apply(&mut state, &created, None, Offset(0));
    assert!(matches!(outcome, Outcome::Accepted(_)));
    let events = sends(&chat, &ada, 1);
    Scene {
        chat,
        state,
        events,
    }
}

/// The whole conversation once more, from the places where it stands the second time.
fn sent_again(mut scene: Scene) -> Scene {
    for (event, record) in &mut scene.events {
        let outcome = fold::apply(&mut scene.state, event, None, record.offset);
        assert!(matches!(outcome, Outcome::Accepted(_)));
        record.offset = Offset(record.offset.0 + EVENTS);
    }
    scene
}

/// The fold alone.
fn decide(scene: &mut Scene) {
    for (event, record) in &scene.events {
        black_box(fold::apply(&mut scene.state, event, None, record.offset));
    }
}

/// The fold, what is told and the rows: everything that the engine carries out afterwards.
fn tell(scene: &mut Scene) -> Effects {
    let mut effects = Effects::new(DEFAULT_PARTITIONS, Generation(1));
    for (event, record) in &scene.events {
        let place = Place {
            partition: Partition(0),
            record,
            written: Offset(0),
        };
        let state = &mut scene.state;
        black_box(Chats.apply(&place, event, &scene.chat, state, None, &mut effects));
    }
    effects
}

fn chats(c: &mut Criterion) {
    let mut bench = c.benchmark_group("chats");
    bench.throughput(Throughput::Elements(EVENTS));
    let scenes: [(&str, MakeScene); 3] = [
        ("one-to-one", direct),
        ("group of 1024", group),
        ("resend", || sent_again(direct())),
    ];
    for (name, scene) in scenes {
        let alone = |mut scene: Scene| {
            decide(&mut scene);
            scene
        };
        bench.bench_function(format!("decide/{name}"), |b| {
            b.iter_batched(scene, alone, BatchSize::PerIteration);
        });
        let whole = |mut scene: Scene| (tell(&mut scene), scene);
        bench.bench_function(format!("tell/{name}"), |b| {
            b.iter_batched(scene, whole, BatchSize::PerIteration);
        });
    }
    bench.finish();
}

/// News of these sends, to everybody.
fn news(scene: Scene, recipients: &[UserId]) -> Vec<News> {
    let told = |(seq, (event, record)): (u64, (ChatEvent, Record))| {
        let told = EntryTold {
            recipients: recipients.to_vec(),
            chat: scene.chat.clone(),
            seq: Seq(seq),
            ordinal: Ordinal(seq),
            at: record.at,
            origin: record.offset,
            event: record.value,
        };
        News::new(told, &event)
    };
    (1..).zip(scene.events).map(told).collect()
}

fn inbox(c: &mut Criterion) {
    let mut bench = c.benchmark_group("inbox");
    let pair = [user("ada"), user("bob")];
    let everybody: Vec<UserId> = (0..MEMBERS).map(|n| user(&format!("member-{n}"))).collect();
    for (name, recipients) in [
        ("one-to-one", pair.as_slice()),
        ("group of 1024", &everybody),
    ] {
        let news = news(direct(), recipients);
        let lines = EVENTS * u64::try_from(recipients.len()).unwrap();
        bench.throughput(Throughput::Elements(lines));
        let fresh = || vec![Line::default(); recipients.len()];
        let apply = |mut lines: Vec<Line>| {
            for one in &news {
                for (line, user) in lines.iter_mut().zip(recipients) {
                    black_box(projectors::inbox::fold::apply(line, user, one));
                }
            }
            lines
        };
        bench.bench_function(name, |b| {
            b.iter_batched(fresh, apply, BatchSize::PerIteration)
        });
    }
    bench.finish();
}

criterion_group!(benches, chats, inbox);
criterion_main!(benches);
