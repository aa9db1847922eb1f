//! What the engine does with records and ports that are not as they should be, and what users are
//! told of those that are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::wildcard_enum_match_arm,
    clippy::panic,
    reason = "tests may fail loudly"
)]

mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use infra_ports::log::EventLog;
use infra_ports::memory::{MemoryStore, Node};
use infra_ports::store::{Mutation, TableStore};
use projectors::{Config, Health, Stop};
use schemas::avro::LogEvent;
use schemas::events::{Body, ChatCreated, ChatEvent, DeadLetter, MemberRemoved, MessageEdited};
use schemas::ids::{ChatId, ClientId, DeviceId};
use schemas::position::{Offset, Partition, Seq};
use schemas::tables::{MessageRow, Table};
use schemas::topics::Topic;

use world::bench::*;
use world::script::{home, script, user};
use world::{
    LIVE, PARTITIONS, append, assert_same_rows, empty_log, now, records, rows, run_straight,
    settle, straight,
};

#[test]
fn an_undecodable_record_becomes_a_dead_letter_and_its_partition_goes_on() {
    let (log, ada) = (empty_log(), user(0));
    let mut bad = send(DIRECT, &ada, 1);
    bad.record.value = Bytes::from_static(b"no frame");
    append(&log, &[send(DIRECT, &ada, 0), bad, send(DIRECT, &ada, 2)]);
    let mut bench = bench(log, MemoryStore::new());
    settle(&mut bench.executor, &bench.log, &bench.projectors);
    assert_eq!(bench.heads().len(), 2);
    let letters = records(&bench.log, Topic::DeadLetters, home(DIRECT));
    let letter = DeadLetter::decode(&letters[0].value).unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letter.topic.as_str(), letter.offset), ("chats", Offset(1)));
    assert_eq!(
        (letter.projection.as_str(), &letter.value[..]),
        ("chats", &b"no frame"[..])
    );
}

#[test]
fn a_record_in_the_wrong_partition_becomes_a_dead_letter() {
    let (log, ada) = (empty_log(), user(0));
    let mut stray = send(DIRECT, &ada, 0);
    stray.partition = Partition((home(DIRECT).0 + 1) % PARTITIONS);
    append(&log, std::slice::from_ref(&stray));
    let mut bench = bench(log, MemoryStore::new());
    settle(&mut bench.executor, &bench.log, &bench.projectors);
    assert!(bench.heads().is_empty());
    assert_eq!(
        records(&bench.log, Topic::DeadLetters, stray.partition).len(),
        1
    );
}

#[test]
fn newer_rules_stop_the_projection_and_what_stands_before_is_complete() {
    let (log, ada) = (empty_log(), user(0));
    let newer = send_under(2, DIRECT, &ada, 1);
    append(&log, &[send(DIRECT, &ada, 0), newer, send(DIRECT, &ada, 2)]);
    let mut bench = bench(log, MemoryStore::new());
    bench.run();
    let Health::Stopped(Stop::UpgradeRequired { offset, .. }) = bench.chats_health() else {
        panic!("{:?}", bench.chats_health());
    };
    assert_eq!(offset, Offset(1));
    assert_eq!(bench.heads().len(), 1);
    let status = bench.projectors.status("chats").unwrap();
    assert_eq!(
        status.applied(home(DIRECT)),
        Some(Offset(1)),
        "the checkpoint stands before it"
    );
}

#[test]
fn what_is_read_behind_newer_rules_waits_for_the_upgrade_whatever_piece_it_comes_in() {
    let (log, ada) = (empty_log(), user(0));
    let newer = send_under(2, DIRECT, &ada, 1);
    append(&log, &[send(DIRECT, &ada, 0), newer, send(DIRECT, &ada, 2)]);
    let in_pieces = Wrong(|site| site == "log.tail.apart");
    let log = log.reopen(Arc::new(in_pieces));
    let mut bench = bench(log, MemoryStore::new());
    bench.run();
    let status = bench.projectors.status("chats").unwrap();
    assert!(matches!(
        status.health(),
        Health::Stopped(Stop::UpgradeRequired {
            offset: Offset(1),
            ..
        })
    ));
    assert_eq!(status.applied(home(DIRECT)), Some(Offset(1)));
    assert_eq!(bench.heads().len(), 1);
}

#[test]
fn an_unknown_schema_stops_the_projection() {
    let (log, ada) = (empty_log(), user(0));
    let mut unknown = send(DIRECT, &ada, 0);
    unknown.record.value = Bytes::from_static(b"\xC3\x01\x01\x02\x03\x04\x05\x06\x07\x08rest");
    append(&log, &[unknown]);
    let mut bench = bench(log, MemoryStore::new());
    bench.run();
    let health = bench.chats_health();
    assert!(
        matches!(health, Health::Stopped(Stop::UpgradeRequired { .. })),
        "{health:?}"
    );
}

#[test]
fn a_checkpoint_below_the_first_offset_asks_for_a_rebuild() {
    let (log, store, ada) = (empty_log(), MemoryStore::new(), user(0));
    append(&log, &[send(DIRECT, &ada, 0)]);
    run_straight(&log, &store, &Config::default());
    append(&log, &[send(DIRECT, &ada, 1), send(DIRECT, &ada, 2)]);
    log.drop_before(Topic::Chats, home(DIRECT), Offset(2))
        .unwrap();
    let mut bench = bench(log, store);
    bench.run();
    let Health::Stopped(stop) = bench.chats_health() else {
        panic!("{:?}", bench.chats_health());
    };
    assert_eq!(stop.word(), "rebuild_required");
}

#[test]
fn a_checkpoint_beyond_the_log_asks_for_a_rebuild() {
    let (log, store, ada) = (empty_log(), MemoryStore::new(), user(0));
    append(&log, &[send(DIRECT, &ada, 0)]);
    run_straight(&log, &store, &Config::default());
    let mut bench = bench(empty_log(), store);
    bench.run();
    let health = bench.chats_health();
    assert!(
        matches!(health, Health::Stopped(Stop::RebuildRequired { .. })),
        "{health:?}"
    );
}

#[test]
fn a_store_that_fails_for_good_stops_the_projection() {
    let (log, store) = (empty_log(), MemoryStore::new());
    now(store.close()).unwrap();
    let mut bench = bench(log, store);
    bench.run();
    let health = bench.chats_health();
    assert!(
        matches!(health, Health::Stopped(Stop::Store(_))),
        "{health:?}"
    );
}

#[test]
fn a_store_that_does_not_answer_is_waited_for_until_told_to_stop() {
    let (bench, _) = waits_for_room();
    let stopped = bench.stop();
    assert!(matches!(stopped, Err(Stop::GaveUp(_))), "{stopped:?}");
}

#[test]
fn a_store_that_is_back_when_told_to_stop_is_written_to_once_more() {
    let (bench, has_room) = waits_for_room();
    has_room.store(true, Ordering::Relaxed);
    let stopped = bench.stop();
    assert!(stopped.is_ok(), "{stopped:?}");
}

#[test]
fn who_is_dropped_while_a_store_does_not_answer_tries_once_more_and_ends() {
    let (mut bench, _) = waits_for_room();
    let status = bench.projectors.status("chats").unwrap();
    drop(bench.projectors);
    let _halt = bench.executor.run_for(Duration::from_secs(5));
    let health = status.health();
    assert!(
        matches!(health, Health::Stopped(Stop::GaveUp(_))),
        "{health:?}"
    );
}

#[test]
fn rows_that_a_crashed_engine_wrote_ahead_decide_nothing() {
    // The edit comes before the message that it names.
    let (ada, bob) = (user(0), user(1));
    let edit = chats(&ChatEvent::MessageEdited(MessageEdited {
        origin: origin(DIRECT, &ada, 9, 1),
        target: Seq(2),
        body: Body::text("better"),
    }));
    let script = [
        send(DIRECT, &ada, 0),
        edit,
        send(DIRECT, &ada, 1),
        send(DIRECT, &bob, 2),
    ];
    let (_, complete) = straight(&script);
    // Its messages, but neither its states nor its checkpoint: a crash between the two.
    let (log, torn) = (empty_log(), MemoryStore::new());
    now(torn.create_tables(&[MessageRow::DEF], LIVE)).unwrap();
    let ahead = now(complete.scan_table(MessageRow::DEF, LIVE, None, 99)).unwrap();
    let ahead = ahead.iter().map(|row| {
        let typed = row.decode::<MessageRow>().unwrap();
        Mutation::put(LIVE, &typed, row.version)
    });
    now(torn.write(ahead.collect())).unwrap();
    append(&log, &script);
    run_straight(&log, &torn, &Config::default());
    assert_same_rows(&rows(&torn, LIVE), &rows(&complete, LIVE), "rows ahead");
}

#[test]
fn a_message_whose_row_is_not_written_yet_can_be_edited() {
    let (log, store, ada) = (empty_log(), MemoryStore::new(), user(0));
    let mut script: Vec<_> = (0..200).map(|id| send(DIRECT, &ada, id)).collect();
    script.push(chats(&ChatEvent::MessageEdited(MessageEdited {
        origin: origin(DIRECT, &ada, 200, 1),
        target: Seq(1),
        body: Body::text("better"),
    })));
    append(&log, &script);
    run_straight(&log, &store, &Config::default());
    let changes = rows(&store, LIVE).into_iter();
    assert_eq!(changes.filter(|(table, ..)| *table == "changes").count(), 1);
}

#[test]
fn a_group_of_1024_costs_one_record_a_partition_and_event() {
    let (log, owner) = (empty_log(), user(0));
    let client = ClientId::new("c0").unwrap();
    let chat = ChatId::group(&owner, &DeviceId::new("phone").unwrap(), &client);
    let created = chats(&ChatEvent::ChatCreated(ChatCreated {
        origin: origin(chat.as_str(), &owner, 0, 1),
        title: "all".into(),
        description: String::new(),
        members: (1..1_024).map(user).collect(),
        max_members: 1_024,
    }));
    append(&log, &[created, send(chat.as_str(), &owner, 1)]);
    let mut bench = bench(log, MemoryStore::new());
    settle(&mut bench.executor, &bench.log, &bench.projectors);
    let told = entries(&bench.log);
    assert_eq!(told.len(), 2 * PARTITIONS as usize);
    for seq in [Seq(1), Seq(2)] {
        let of_event = told.iter().filter(|(_, e)| e.seq == seq);
        let recipients: Vec<_> = of_event
            .flat_map(|(p, e)| e.recipients.iter().map(|r| (*p, r.clone())))
            .collect();
        assert_eq!(recipients.len(), 1_024);
        assert!(recipients.iter().all(|(p, r)| home(r.as_str()) == *p));
    }
}

#[test]
fn who_is_removed_is_told_so_and_nothing_after() {
    let (log, owner, other) = (empty_log(), user(0), user(1));
    let client = ClientId::new("c0").unwrap();
    let chat = ChatId::group(&owner, &DeviceId::new("phone").unwrap(), &client);
    let created = chats(&ChatEvent::ChatCreated(ChatCreated {
        origin: origin(chat.as_str(), &owner, 0, 1),
        title: "two".into(),
        description: String::new(),
        members: vec![other.clone()],
        max_members: 9,
    }));
    let removed = chats(&ChatEvent::MemberRemoved(MemberRemoved {
        origin: origin(chat.as_str(), &owner, 1, 1),
        user: other.clone(),
    }));
    append(&log, &[created, removed, send(chat.as_str(), &owner, 2)]);
    let mut bench = bench(log, MemoryStore::new());
    settle(&mut bench.executor, &bench.log, &bench.projectors);
    let told = entries(&bench.log).into_iter();
    let mut seen: Vec<Seq> = told
        .filter(|(_, e)| e.recipients.contains(&other))
        .map(|(_, e)| e.seq)
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [Seq(1), Seq(2)]);
}

#[test]
fn the_event_goes_out_in_the_bytes_in_which_it_stands_in_the_log() {
    let (log, ada) = (empty_log(), user(0));
    let sent = send(DIRECT, &ada, 0);
    append(&log, std::slice::from_ref(&sent));
    let mut bench = bench(log, MemoryStore::new());
    settle(&mut bench.executor, &bench.log, &bench.projectors);
    let told = entries(&bench.log);
    assert!(
        told.iter()
            .all(|(_, e)| e.event == sent.record.value && e.origin == Offset(0))
    );
    assert_eq!(
        told.iter().map(|(_, e)| e.recipients.len()).sum::<usize>(),
        2
    );
}

#[test]
fn who_waits_for_a_position_is_woken_when_its_rows_are_there() {
    let mut bench = bench(empty_log(), MemoryStore::new());
    let status = bench.projectors.status("inbox").unwrap();
    let home = home(user(1).as_str());
    let waiting = status.clone();
    let scripts = script(3, 60);
    append(&bench.log, &scripts);
    let waited = bench.executor.block_on(Node(5), async move {
        waiting.wait_applied(home, Offset(3)).await;
        waiting.applied(home)
    });
    assert!(waited.unwrap() >= Some(Offset(3)));
    settle(&mut bench.executor, &bench.log, &bench.projectors);
    assert!(status.is_ready());
    let ends = now(bench.log.positions(Topic::Users, home)).unwrap();
    assert_eq!(status.applied(home), Some(ends.durable_end));
}
