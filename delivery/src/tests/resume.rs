//! Resuming: what was missed, newest chats first, then live, without gap or duplicate.

use infra_ports::EventLog;
use infra_ports::memory::Chances;
use infra_ports::memory::transport::{Received, Socket};
use schemas::frames::{Frame, decode_frame};
use schemas::ids::ChatId;

use crate::Config;
use crate::testing::*;

#[test]
fn a_device_gets_what_it_missed_in_batches_newest_chats_first_then_live() {
    let mut scene = Scene::new();
    let (old, new) = (chat("d.ada.bob"), chat("d.ada.cyd"));
    scene.fill(&old, "bob", 1..=1_250);
    scene.fill(&new, "cyd", 1..=30);
    scene.inbox("ada", &old, 1_250, 10);
    scene.inbox("ada", &new, 30, 20);
    scene.cursor("ada", Some("phone"), &old, 1_000);
    scene.cursor("ada", Some("phone"), &new, 10);
    let (_, frames) = scene.connect("ada/phone");
    let Some((Frame::Live {}, batches)) = frames[1..].split_last() else {
        panic!("live comes last: {frames:?}");
    };
    let batches: Vec<_> = batches
        .iter()
        .map(|frame| match frame {
            Frame::Entries(e) => (e.chat.as_str(), e.from.0, e.through.0, e.entries.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        ("d.ada.cyd", 11, 30, 20),
        ("d.ada.bob", 1_001, 1_100, 100),
        ("d.ada.bob", 1_101, 1_200, 100),
        ("d.ada.bob", 1_201, 1_250, 50),
    ];
    assert_eq!(batches, expected);
}

/// More chats than a new device is sent, each with more entries: `d.ada.b34` is the newest.
fn with_25_chats() -> Scene {
    let mut scene = Scene::new();
    for n in 10..35 {
        let chat = chat(&format!("d.ada.b{n}"));
        scene.fill(&chat, "bob", 1..=80);
        scene.inbox("ada", &chat, 80, n);
    }
    scene
}

#[test]
fn a_new_device_gets_the_newest_50_of_the_newest_20_chats() {
    let mut scene = with_25_chats();
    let (client, frames) = scene.connect("ada/phone");
    let batches = entries(&frames);
    assert_eq!(batches.len(), 20);
    assert!(
        batches
            .iter()
            .all(|(from, through, seqs)| (*from, *through, seqs.len()) == (31, 80, 50))
    );
    // Of a chat that was not sent it gets what comes next, and nothing before.
    let oldest = chat("d.ada.b10");
    scene.tell(81, &message(&oldest, "bob", "81"), &["ada"]);
    assert_eq!(seqs(&scene.frames(&client)), [81]);
}

#[test]
fn a_chat_that_cannot_be_read_does_not_hold_back_live() {
    let mut scene = Scene::new();
    let (chat, open) = (group(1), chat("d.ada.bob"));
    scene.fill(&chat, "bob", 1..=3);
    // A line of the list without a stay in the chat.
    scene.inbox("ada", &chat, 3, 1);
    let (client, frames) = scene.connect("ada/phone");
    assert!(
        matches!(&frames[..], [Frame::Welcome(_), Frame::Live {}]),
        "{frames:?}"
    );
    scene.tell(1, &message(&open, "bob", "1"), &["ada"]);
    assert_eq!(seqs(&scene.frames(&client)), [1]);
}

#[test]
fn a_device_far_behind_gets_everything_at_its_own_pace_while_others_go_on() {
    let config = Config {
        outbox_bytes: 120_000,
        ..Config::default()
    };
    let mut scene = Scene::with(config);
    let (far, other) = (chat("d.ada.bob"), chat("d.ada.cyd"));
    scene.fill(&far, "bob", 1..=10_000);
    scene.inbox("ada", &far, 10_000, 1);
    scene.cursor("ada", Some("phone"), &far, 0);
    let client = scene.socket(
        Some("ada/phone"),
        Socket {
            buffer_bytes: 50_000,
            ..Socket::default()
        },
    );
    scene.wait(500);
    scene.tell(1, &message(&other, "cyd", "1"), &["ada"]);
    let frames = scene.frames(&client);
    let live = frames
        .iter()
        .position(|f| matches!(f, Frame::Entry(_)))
        .unwrap();
    assert!(
        live < 20,
        "the other chat did not wait for ten thousand: {live}"
    );
    let missed: Vec<u64> = entries(&frames)
        .into_iter()
        .filter(|(_, _, seqs)| seqs.len() > 1)
        .flat_map(|(_, _, seqs)| seqs)
        .collect();
    assert!(
        missed.iter().copied().eq(1..=10_000),
        "all of them, once, in order"
    );
    assert!(matches!(frames.last(), Some(Frame::Live {})));
}

#[test]
fn a_page_that_is_being_read_for_who_does_not_read_keeps_nobody_waiting() {
    let config = Config {
        outbox_bytes: 40_000,
        ..Config::default()
    };
    let mut scene = Scene::with(config);
    let (far, other) = (chat("d.ada.bob"), chat("d.ada.cyd"));
    scene.fill(&far, "bob", 1..=10);
    scene.inbox("ada", &far, 10, 1);
    scene.cursor("ada", Some("phone"), &far, 0);
    scene.table_reads.hold_back();
    let socket = Socket {
        buffer_bytes: 1_000,
        ..Socket::default()
    };
    let client = scene.socket(Some("ada/phone"), socket);
    let reads = scene.delivery.gateway.reads().clone();
    while reads.turns_left() == 64 {
        scene.table_reads.let_through(1);
        scene.wait(5);
    }
    // Its socket takes no more, and half of what may wait for it waits.
    for seq in 1..=100 {
        scene.tell(seq, &message(&other, "cyd", &seq.to_string()), &["ada"]);
    }
    scene.wait(100);
    scene.table_reads.let_through(1_000);
    scene.wait(1_000);
    assert_eq!(reads.turns_left(), 64, "others read");
    let mut came = Vec::new();
    for _ in 0..10 {
        came.extend(seqs(&scene.frames(&client)));
        scene.wait(100);
    }
    came.sort_unstable();
    let mut expected: Vec<u64> = (1..=10).chain(1..=100).collect();
    expected.sort_unstable();
    assert_eq!(came, expected, "of both chats, once");
}

#[test]
fn an_inbox_that_lags_is_made_up_for_from_the_users_log() {
    let mut scene = Scene::new();
    let chat = chat("d.ada.bob");
    scene.fill(&chat, "bob", 1..=3);
    scene.inbox("ada", &chat, 1, 1);
    scene.cursor("ada", Some("phone"), &chat, 1);
    for seq in 1..=3 {
        scene.tell(seq, &message(&chat, "bob", &seq.to_string()), &["ada"]);
    }
    // The worker, which reads nothing yet, sees that they are there.
    scene.wait(1_100);
    scene.applied.hold("inbox", 1);
    let client = scene.socket(Some("ada/phone"), Socket::default());
    scene.wait(1_900);
    let early: Vec<_> = std::iter::from_fn(|| client.0.try_receive()).collect();
    assert_eq!(early.len(), 1, "only welcome before the inbox had its time");
    scene.wait(200);
    assert_eq!(seqs(&scene.frames(&client)), [2, 3]);
}

#[test]
fn what_is_told_while_a_device_resumes_follows_without_gap_or_duplicate() {
    for seed in 0..60 {
        let mut scene = Scene::seeded(Config::default(), seed, Chances::SHUFFLED);
        let chat = chat("d.ada.bob");
        scene.fill(&chat, "bob", 1..=150);
        scene.inbox("ada", &chat, 120, 1);
        scene.cursor("ada", Some("phone"), &chat, 7);
        let client = scene.socket(Some("ada/phone"), Socket::default());
        for seq in 119..=150 {
            scene.tell(seq, &message(&chat, "bob", &seq.to_string()), &["ada"]);
            scene.inbox("ada", &chat, seq, 1);
        }
        let expected: Vec<u64> = (8..=150).collect();
        assert_eq!(seqs(&scene.frames(&client)), expected, "seed {seed}");
        assert!(scene.executor.panics().is_empty());
    }
}

/// The worker of everybody is lost, and another one has begun to read behind what was told meanwhile.
pub(super) fn lose_worker(scene: &Scene) {
    let gateway = scene.delivery.gateway.gateway_for_tests();
    infra_ports::link::Deliveries::detached(&*gateway, &[schemas::position::Partition(0)]);
}

/// A live device that got the first entry of a chat and marked none, when those behind it up to `through` were
/// lost with a worker.
fn after_a_loss(through: u64) -> (Scene, Client, ChatId) {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    scene.tell(1, &message(&chat, "bob", "1"), &["ada"]);
    assert_eq!(seqs(&scene.frames(&client)), [1]);
    // Retention overtakes the worker: a record in between is never delivered.
    scene.fill(&chat, "bob", 1..=through);
    scene.inbox("ada", &chat, through, 1);
    lose_worker(&scene);
    (scene, client, chat)
}

#[test]
fn a_session_whose_worker_lost_records_resumes_as_if_it_had_just_come() {
    let (mut scene, client, chat) = after_a_loss(3);
    let frames = scene.frames(&client);
    assert_eq!(seqs(&frames), [2, 3]);
    assert!(matches!(frames.last(), Some(Frame::Live {})), "{frames:?}");
    scene.tell(4, &message(&chat, "bob", "4"), &["ada"]);
    assert_eq!(seqs(&scene.frames(&client)), [4]);
}

#[test]
fn a_session_without_marks_misses_nothing_however_much_a_lost_worker_left_out() {
    let (mut scene, client, _) = after_a_loss(200);
    let expected: Vec<u64> = (2..=200).collect();
    assert_eq!(seqs(&scene.frames(&client)), expected);
}

#[test]
fn what_a_lost_worker_left_out_comes_from_chats_too_that_a_new_device_was_not_sent() {
    let mut scene = with_25_chats();
    let (client, _) = scene.connect("ada/phone");
    let oldest = chat("d.ada.b10");
    scene.fill(&oldest, "bob", 81..=81);
    scene.inbox("ada", &oldest, 81, 11);
    lose_worker(&scene);
    assert_eq!(seqs(&scene.frames(&client)), [81]);
}

#[test]
fn whatever_the_ports_do_a_device_gets_everything_once_and_in_order() {
    // Tables and log do not answer now and then, everything is late and out of order.
    let chances = Chances {
        effect: 60,
        crash: 0,
        ..Chances::ROUGH
    };
    for seed in 0..60 {
        let mut scene = Scene::seeded(Config::default(), seed, chances);
        let (one, two) = (chat("d.ada.bob"), chat("d.ada.cyd"));
        scene.fill(&one, "bob", 1..=230);
        scene.inbox("ada", &one, 210, 1);
        scene.cursor("ada", Some("phone"), &one, 3);
        let client = scene.socket(Some("ada/phone"), Socket::default());
        for seq in 200..=230 {
            // Every third record of `users` is lost to the worker.
            if seq % 3 != 0 || seq == 230 {
                scene.tell(seq, &message(&one, "bob", &seq.to_string()), &["ada"]);
            }
            let event = message(&two, "cyd", &seq.to_string());
            scene.rows(seq - 199, &event);
            scene.tell(seq - 199, &event, &["ada"]);
        }
        scene.wait(5_000);
        let frames = scene.frames(&client);
        let of = |wanted: &schemas::ids::ChatId| {
            let seqs = frames.iter().flat_map(|frame| match frame {
                Frame::Entry(e) if e.chat == *wanted => vec![e.seq.0],
                Frame::Entries(e) if e.chat == *wanted => {
                    e.entries.iter().map(|e| e.seq.0).collect()
                }
                _ => Vec::new(),
            });
            seqs.collect::<Vec<u64>>()
        };
        assert!(
            of(&one).into_iter().eq(4..=230),
            "seed {seed}: {:?}",
            of(&one)
        );
        assert!(
            of(&two).into_iter().eq(1..=31),
            "seed {seed}: {:?}",
            of(&two)
        );
        assert!(scene.executor.panics().is_empty(), "seed {seed}");
    }
}

#[test]
fn records_dropped_before_the_worker_read_them_are_made_up_for() {
    let mut scene = Scene::new();
    let chat = chat("d.ada.bob");
    let client = scene.live("ada/phone");
    scene.fill(&chat, "bob", 1..=4);
    scene.inbox("ada", &chat, 2, 1);
    // The worker has not run yet when retention takes what it would have read.
    let log = scene.log.clone();
    let told = |seq: u64| told(seq, &message(&chat, "bob", &seq.to_string()), &["ada"]);
    let records: Vec<_> = [told(1), told(2), told(3)]
        .iter()
        .map(|event| infra_ports::log::NewRecord {
            key: bytes::Bytes::new(),
            value: schemas::avro::LogEvent::encode(event).unwrap(),
            at: schemas::position::Timestamp(0),
        })
        .collect();
    let users = schemas::topics::Topic::Users;
    let partition = schemas::position::Partition(0);
    scene.run(async move {
        log.append(users, partition, records).await.unwrap();
        // Only what is durable is ever dropped.
        log.sync(users).await.unwrap();
        log.drop_before(users, partition, schemas::position::Offset(2))
            .unwrap();
    });
    assert_eq!(seqs(&scene.frames(&client)), [1, 2, 3]);
}

#[test]
fn a_page_of_large_messages_fits_into_the_outbox() {
    let mut scene = Scene::new();
    let chat = chat("d.ada.bob");
    for seq in 1..=100 {
        let event = schemas::events::ChatEvent::MessageSent(schemas::events::MessageSent {
            origin: message(&chat, "bob", &seq.to_string()).origin().clone(),
            body: schemas::events::Body::text("\u{1}".repeat(60_000)),
            reply_to: None,
        });
        scene.rows(seq, &event);
    }
    scene.inbox("ada", &chat, 100, 1);
    scene.cursor("ada", Some("phone"), &chat, 0);
    let socket = Socket {
        buffer_bytes: 4 << 20,
        ..Socket::default()
    };
    let client = scene.socket(Some("ada/phone"), socket);
    let frames = scene.frames(&client);
    assert!(seqs(&frames).into_iter().eq(1..=100));
    let query = schemas::frames::HistoryQuery {
        chat,
        before: None,
        limit: Some(100),
    };
    scene.command(&client, "h", &schemas::frames::Command::History(query));
    let frames = scene.frames(&client);
    let [Frame::History(page)] = &frames[..] else {
        panic!("no page")
    };
    assert!(page.messages.len() < 10);
    assert_eq!(
        page.before,
        page.messages.last().map(|message| message.entry.seq)
    );
}

/// A small generator of its own, so that the scene's choices stay as they are.
fn dice(state: &mut u64, sides: u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % sides
}

#[test]
fn a_device_that_comes_and_goes_has_everything_up_to_its_mark_and_gets_the_rest() {
    for seed in 0..40 {
        let mut scene = Scene::seeded(Config::default(), seed, Chances::SHUFFLED);
        let chat = chat("d.ada.bob");
        let (mut has, mut head, mut state) = (1, 1, seed);
        scene.fill(&chat, "bob", 1..=1);
        scene.cursor("ada", Some("phone"), &chat, 1);
        for _ in 0..6 {
            let client = scene.socket(Some("ada/phone"), Socket::default());
            for _ in 0..dice(&mut state, 25) {
                head += 1;
                let event = message(&chat, "bob", &head.to_string());
                // Told first or written first, as it happens.
                if dice(&mut state, 2) == 0 {
                    scene.tell(head, &event, &["ada"]);
                    scene.rows(head, &event);
                } else {
                    scene.rows(head, &event);
                    scene.tell(head, &event, &["ada"]);
                }
                scene.inbox("ada", &chat, head, 1);
                scene.wait(dice(&mut state, 3));
            }
            let gone_early = dice(&mut state, 2) == 0;
            let frames = match gone_early {
                true => std::iter::from_fn(|| client.0.try_receive())
                    .filter_map(|received| match received {
                        Received::Text(text) => decode_frame(&text).unwrap().value,
                        _ => None,
                    })
                    .collect(),
                false => scene.frames(&client),
            };
            let got = seqs(&frames);
            let expected: Vec<u64> = (has + 1..).take(got.len()).collect();
            assert_eq!(got, expected, "seed {seed}");
            assert!(
                gone_early || got.last().is_none_or(|last| *last == head),
                "seed {seed}"
            );
            // Not all of it is marked before the connection breaks; a mark never goes back.
            let last = got.last().copied().unwrap_or(has);
            has = last.saturating_sub(dice(&mut state, 3)).max(has);
            scene.cursor("ada", Some("phone"), &chat, has);
            client.0.cut();
        }
    }
}

/// Devices that come back at once.
const CROWD: usize = 1_000;

#[test]
fn a_crowd_that_resumes_while_the_inbox_lags_reads_the_log_once() {
    let mut scene = Scene::new();
    let names: Vec<String> = (0..CROWD).map(|n| format!("u{n:04}")).collect();
    let chat_of = |name: &str| chat(&format!("d.bob.{name}"));
    let tell = |scene: &mut Scene, seq: u64| {
        let events = names.iter().map(|name| {
            let event = message(&chat_of(name), "bob", &seq.to_string());
            told(seq, &event, &[name])
        });
        scene.append(events.collect());
    };
    let written = |name: &String| {
        let seqs = 1..=4;
        seqs.flat_map(|seq| rows(seq, &message(&chat_of(name), "bob", &seq.to_string())))
            .collect::<Vec<_>>()
    };
    scene.write(names.iter().flat_map(written).collect());
    (1..=3).for_each(|seq| tell(&mut scene, seq));
    scene.wait(10);
    scene.applied.hold("inbox", 0);
    let mut clients = Vec::new();
    for name in &names {
        let token = format!("{name}/phone");
        clients.push(scene.socket(Some(&token), Socket::default()));
    }
    scene.wait(1_990);
    // Written while they wait, or while `users` is read for them.
    tell(&mut scene, 4);
    scene.wait(3_000);
    for (client, name) in clients.iter().zip(&names) {
        let received = std::iter::from_fn(|| client.0.try_receive());
        let frames: Vec<Frame> = received
            .filter_map(|received| match received {
                Received::Text(text) => decode_frame(&text).unwrap().value,
                _ => None,
            })
            .collect();
        assert_eq!(seqs(&frames), [1, 2, 3, 4], "{name}");
        assert!(frames.iter().any(|frame| matches!(frame, Frame::Live {})));
    }
    let reads = scene.log_reads.count();
    // Three passes at most: those who come while one is under way wait for the next.
    assert!(reads <= 12, "4,000 records were read in {reads} reads");
    assert!(scene.executor.panics().is_empty());
}
