//! Marks: stamped from what was sent, merged, refused when ahead; and pushes repeated without them.

use std::time::Duration;

use infra_ports::EventLog;
use infra_ports::log::NewRecord;
use schemas::avro::LogEvent;
use schemas::errors::Code;
use schemas::events::MarkKind;
use schemas::frames::{Command, Frame, MarkUpTo};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Ordinal, Partition, Seq, Timestamp};
use schemas::topics::Topic;

use crate::StampedMark;
use crate::testing::*;

fn delivered(chat: &ChatId, seq: u64) -> Command {
    Command::Delivered(MarkUpTo {
        chat: chat.clone(),
        seq: Seq(seq),
    })
}

fn read(chat: &ChatId, seq: u64) -> Command {
    Command::Read(MarkUpTo {
        chat: chat.clone(),
        seq: Seq(seq),
    })
}

fn settled(frames: &[Frame]) -> usize {
    frames
        .iter()
        .filter(|frame| matches!(frame, Frame::Settled(_)))
        .count()
}

fn errors(frames: &[Frame]) -> Vec<Code> {
    let code = |frame: &Frame| match frame {
        Frame::Error(refusal) => Some(refusal.code),
        _ => None,
    };
    frames.iter().filter_map(code).collect()
}

#[test]
fn marks_are_merged_and_stamped_from_what_was_sent() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = group(3);
    scene.stay(&chat, "ada", 1, 0);
    scene.tell(1, &added(&chat, "bob", "ada", "in"), &["ada"]);
    for (seq, author) in [(2, "bob"), (3, "cyd"), (4, "ada"), (5, "bob")] {
        scene.tell(seq, &message(&chat, author, &seq.to_string()), &["ada"]);
    }
    scene.wait(10);
    for seq in [2, 5, 4] {
        scene.command(&client, "r", &delivered(&chat, seq));
    }
    let frames = scene.frames(&client);
    assert_eq!(settled(&frames), 3, "all who asked are answered");
    let expected = StampedMark {
        chat: chat.clone(),
        kind: MarkKind::Delivered,
        seq: Seq(5),
        ordinal: Ordinal(5),
        since: Seq(1),
        authors: vec![user("bob"), user("cyd")],
    };
    assert_eq!(
        *scene.commands.marks.lock(),
        [("ada/phone".to_owned(), expected)]
    );
    // A lower mark, and the same again, change nothing and are answered.
    scene.command(&client, "r", &delivered(&chat, 3));
    scene.command(&client, "r", &delivered(&chat, 5));
    assert_eq!(settled(&scene.frames(&client)), 2);
    assert_eq!(scene.commands.marks.lock().len(), 1);
}

#[test]
fn a_mark_over_more_than_a_session_remembers_is_stamped_from_what_went_out_of_late() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = group(3);
    scene.stay(&chat, "ada", 1, 0);
    scene.tell(1, &added(&chat, "bob", "ada", "in"), &["ada"]);
    scene.command(&client, "r", &delivered(&chat, 1));
    scene.frames(&client);
    let message = |seq: u64| {
        let author = if seq == 2 { "cyd" } else { "bob" };
        told(seq, &message(&chat, author, &seq.to_string()), &["ada"])
    };
    scene.append((2..=200).map(message).collect());
    // The tables have none of this, so only memory can answer.
    scene.applied.hold("chats", 0);
    scene.command(&client, "r", &delivered(&chat, 100));
    assert_eq!(settled(&scene.frames(&client)), 1);
    let marks = scene.commands.marks.lock();
    let (_, stamped) = marks.last().unwrap();
    assert_eq!((stamped.seq, stamped.ordinal), (Seq(100), Ordinal(100)));
    assert_eq!(stamped.authors, [user("bob"), user("cyd")]);
}

#[test]
fn a_mark_on_what_was_pushed_is_not_refused_for_good_while_the_tables_lag() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = group(3);
    scene.applied.hold("chats", 0);
    scene.tell(1, &added(&chat, "bob", "ada", "in"), &["ada"]);
    scene.wait(10);
    scene.command(&client, "r", &read(&chat, 1));
    scene.wait(5_000);
    assert_eq!(errors(&scene.frames(&client)), [Code::Unavailable]);
    scene.stay(&chat, "ada", 1, 0);
    scene.applied.hold("chats", 2);
    scene.command(&client, "r", &read(&chat, 1));
    assert_eq!(settled(&scene.frames(&client)), 1);
}

#[test]
fn a_mark_on_what_another_session_was_sent_is_not_refused_for_good_while_the_tables_lag() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let (chat, log) = (group(3), scene.log.clone());
    let record = NewRecord {
        key: bytes::Bytes::new(),
        value: added(&chat, "bob", "ada", "in").encode().unwrap(),
        at: Timestamp(0),
    };
    scene.applied.hold("chats", 0);
    scene
        .run(async move { log.append(Topic::Chats, Partition(0), vec![record]).await })
        .unwrap();
    for mark in [read(&chat, 1), delivered(&chat, 1)] {
        scene.command(&client, "r", &mark);
        scene.wait(3_000);
        assert_eq!(errors(&scene.frames(&client)), [Code::Unavailable]);
    }
    scene.applied.hold("chats", 1);
    scene.command(&client, "r", &read(&chat, 1));
    let refused = errors(&scene.frames(&client));
    assert_eq!(refused, [Code::ChatNotFound], "the tables have everything");
}

#[test]
fn a_mark_that_the_tables_must_be_asked_for_counts_as_a_read() {
    let mut scene = Scene::new();
    let (mine, other) = (chat("d.ada.bob"), chat("d.ada.cyd"));
    scene.fill(&mine, "bob", 1..=3);
    scene.fill(&other, "cyd", 1..=3);
    let client = scene.live("ada/phone");
    *scene.commands.reads_left.lock() = 1;
    scene.command(&client, "r", &delivered(&mine, 2));
    assert_eq!(settled(&scene.frames(&client)), 1);
    scene.command(&client, "r", &delivered(&other, 2));
    assert_eq!(errors(&scene.frames(&client)), [Code::RateLimited]);
    // What the session knows itself costs no read.
    let told = chat("d.ada.dan");
    scene.tell(1, &message(&told, "dan", "1"), &["ada"]);
    scene.frames(&client);
    scene.command(&client, "r", &delivered(&told, 1));
    let frames = scene.frames(&client);
    assert_eq!((settled(&frames), errors(&frames)), (1, vec![]));
    *scene.commands.reads_left.lock() = 1;
    scene.command(&client, "r", &delivered(&other, 2));
    assert_eq!(settled(&scene.frames(&client)), 1, "it may be sent again");
}

#[test]
fn a_mark_on_what_was_resumed_is_stamped_from_the_timeline() {
    let mut scene = Scene::new();
    let chat = chat("d.ada.bob");
    scene.fill(&chat, "bob", 1..=140);
    scene.inbox("ada", &chat, 140, 1);
    scene.cursor("ada", Some("phone"), &chat, 20);
    let (client, _) = scene.connect("ada/phone");
    scene.command(&client, "r", &read(&chat, 130));
    assert_eq!(settled(&scene.frames(&client)), 1);
    let marks = scene.commands.marks.lock().clone();
    let [(_, mark)] = &marks[..] else {
        panic!("{marks:?}")
    };
    assert_eq!(
        (mark.seq, mark.ordinal, mark.since),
        (Seq(130), Ordinal(130), Seq(0))
    );
    assert_eq!(mark.authors, [user("bob")]);
    // Read implies delivered.
    scene.command(&client, "r", &delivered(&chat, 130));
    assert_eq!(settled(&scene.frames(&client)), 1);
    assert_eq!(scene.commands.marks.lock().len(), 1);
}

#[test]
fn a_mark_beyond_what_was_sent_and_is_there_is_refused() {
    let mut scene = Scene::new();
    let chat = chat("d.ada.bob");
    let client = scene.live("ada/phone");
    scene.fill(&chat, "bob", 1..=4);
    scene.command(&client, "1", &delivered(&chat, 5));
    scene.command(
        &client,
        "2",
        &delivered(&crate::testing::chat("d.bob.cyd"), 1),
    );
    scene.command(&client, "3", &delivered(&group(9), 1));
    scene.command(&client, "4", &delivered(&chat, 0));
    let mut codes = errors(&scene.frames(&client));
    codes.sort();
    let mut expected = [
        Code::MarkAhead,
        Code::NotMember,
        Code::ChatNotFound,
        Code::InvalidField,
    ];
    expected.sort();
    assert_eq!(codes, expected);
    assert!(scene.commands.marks.lock().is_empty());
    // What another device or a page of history showed may be marked.
    scene.command(&client, "5", &read(&chat, 4));
    assert_eq!(settled(&scene.frames(&client)), 1);
}

#[test]
fn what_is_not_marked_is_pushed_again_after_2_4_8_16_and_32_seconds() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    scene.fill(&chat, "bob", 1..=2);
    scene.tell(1, &message(&chat, "bob", "1"), &["ada"]);
    scene.tell(2, &message(&chat, "bob", "2"), &["ada"]);
    let mut at = Vec::new();
    for tenth in 0..1_200 {
        scene.wait(100);
        let frames: Vec<_> = std::iter::from_fn(|| client.0.try_receive()).collect();
        if frames
            .iter()
            .any(|f| matches!(f, infra_ports::memory::transport::Received::Ping(_)))
        {
            let peer = client.0.clone();
            scene.run(async move { peer.send_pong().await }).unwrap();
        }
        let texts = frames
            .iter()
            .filter(|f| matches!(f, infra_ports::memory::transport::Received::Text(_)))
            .count();
        if texts > 0 {
            assert_eq!(texts, 2, "both are pushed again");
            at.push(tenth / 10);
        }
    }
    assert_eq!(at, [0, 7, 11, 19, 35, 67]);
}

#[test]
fn a_device_that_marks_in_time_is_pushed_nothing_twice_in_a_chat_that_never_rests() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    scene.fill(&chat, "bob", 1..=30);
    let mut came = Vec::new();
    for seq in 1..=30 {
        scene.tell(seq, &message(&chat, "bob", "text"), &["ada"]);
        came.extend(seqs(&scene.frames(&client)));
        // There is always one that is not marked yet.
        if seq > 1 {
            scene.command(&client, &seq.to_string(), &delivered(&chat, seq - 1));
        }
        scene.wait(500);
        came.extend(seqs(&scene.frames(&client)));
    }
    assert!(came.iter().copied().eq(1..=30), "{came:?}");
}

#[test]
fn what_was_resumed_and_not_marked_is_sent_again_from_the_timeline() {
    let mut scene = Scene::new();
    let chat = chat("d.ada.bob");
    scene.fill(&chat, "bob", 1..=140);
    scene.inbox("ada", &chat, 140, 1);
    scene.cursor("ada", Some("phone"), &chat, 20);
    let (client, frames) = scene.connect("ada/phone");
    assert!(seqs(&frames).into_iter().eq(21..=140));
    scene.command(&client, "r", &delivered(&chat, 100));
    assert_eq!(settled(&scene.frames(&client)), 1);
    scene.wait(8_000);
    let again = scene.frames(&client);
    assert!(seqs(&again).into_iter().eq(101..=140), "after the mark");
}

#[test]
fn a_read_mark_made_on_another_device_still_counts_as_delivered_here() {
    let mut scene = Scene::new();
    let chat = chat("d.ada.bob");
    scene.fill(&chat, "bob", 1..=3);
    scene.inbox("ada", &chat, 3, 1);
    scene.cursor("ada", None, &chat, 3);
    scene.cursor("ada", Some("phone"), &chat, 1);
    let (client, _) = scene.connect("ada/phone");
    scene.command(&client, "r", &read(&chat, 3));
    assert_eq!(settled(&scene.frames(&client)), 1);
    let marks = scene.commands.marks.lock().clone();
    let kinds: Vec<_> = marks.iter().map(|(_, m)| (m.kind, m.seq)).collect();
    assert_eq!(kinds, [(MarkKind::Delivered, Seq(3))]);
}

#[test]
fn a_mark_names_at_most_16_authors_the_newest_of_messages_it_newly_covers() {
    let mut scene = Scene::new();
    let chat = group(3);
    scene.stay(&chat, "ada", 1, 0);
    let by = |n: u64| format!("b{n:02}");
    for seq in 1..=40 {
        scene.rows(seq, &message(&chat, &by(seq), &seq.to_string()));
    }
    scene.inbox("ada", &chat, 40, 1);
    scene.cursor("ada", Some("phone"), &chat, 30);
    let (client, _) = scene.connect("ada/phone");
    scene.command(&client, "1", &delivered(&chat, 40));
    scene.wait(50);
    scene.command(&client, "2", &read(&chat, 40));
    scene.wait(50);
    let marks = scene.commands.marks.lock().clone();
    let authors = |at: usize| marks[at].1.authors.clone();
    let newest = |from: u64| (from..=40).rev().map(|n| user(&by(n))).collect::<Vec<_>>();
    assert_eq!(authors(0), newest(31));
    assert_eq!(authors(1), newest(25), "sixteen of forty");
}

#[test]
fn a_marked_push_is_not_repeated() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    scene.tell(1, &message(&chat, "bob", "1"), &["ada"]);
    scene.wait(4_000);
    scene.command(&client, "r", &delivered(&chat, 1));
    assert_eq!(seqs(&scene.frames(&client)), [1]);
    scene.wait(20_000);
    assert_eq!(scene.frames(&client), []);
}

#[test]
fn marks_of_many_sessions_go_together() {
    let mut scene = Scene::new();
    let chat = group(4);
    let names = ["ada", "bob", "cyd"];
    let clients: Vec<_> = names
        .iter()
        .map(|name| {
            scene.stay(&chat, name, 1, 0);
            scene.live(&format!("{name}/phone"))
        })
        .collect();
    let created = added(&chat, "ada", "dan", "in");
    scene.tell(1, &created, &names);
    for seq in 2..=4 {
        scene.tell(seq, &message(&chat, "dan", &seq.to_string()), &names);
    }
    scene.wait(10);
    // The first mark in a group looks the join up; from then on the session knows it.
    for round in 2..=4 {
        for client in &clients {
            scene.command(client, "r", &delivered(&chat, round));
        }
        for client in &clients {
            assert_eq!(settled(&scene.frames(client)), 1, "round {round}");
        }
    }
    let rounds = scene.commands.rounds.lock().clone();
    assert_eq!(rounds.iter().sum::<usize>(), 9, "{rounds:?}");
    assert_eq!(rounds[rounds.len() - 2..], [3, 3], "{rounds:?}");
    let marks = scene.commands.marks.lock();
    assert!(marks.iter().all(|(_, mark)| mark.since == Seq(1)));
}

#[test]
fn where_appends_are_slow_marks_wait_for_company() {
    let mut scene = Scene::new();
    let clients = ["ada", "bob", "cyd"].map(|name| {
        let chat = chat(&format!("d.{name}.dan"));
        let client = scene.live(&format!("{name}/phone"));
        scene.tell(1, &message(&chat, "dan", name), &[name]);
        (client, delivered(&chat, 1))
    });
    *scene.commands.round_takes.lock() = Duration::from_millis(50);
    // The second and the third come 20 ms apart, after the first one's round.
    for ((client, mark), then) in clients.iter().zip([60, 20, 110]) {
        scene.command(client, "r", mark);
        scene.wait(then);
    }
    for (client, _) in &clients {
        assert_eq!(settled(&scene.frames(client)), 1);
    }
    assert_eq!(*scene.commands.rounds.lock(), [1, 2]);
}

#[test]
fn a_mark_after_joining_anew_belongs_to_the_new_stay() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = group(5);
    scene.stay(&chat, "ada", 1, 0);
    scene.tell(1, &added(&chat, "bob", "ada", "in"), &["ada"]);
    scene.tell(2, &message(&chat, "bob", "2"), &["ada"]);
    for seq in [1, 2] {
        scene.command(&client, "r", &delivered(&chat, seq));
        assert_eq!(settled(&scene.frames(&client)), 1);
    }
    scene.stay(&chat, "ada", 1, 3);
    scene.stay(&chat, "ada", 4, 0);
    scene.tell(3, &removed(&chat, "bob", "ada", "out"), &["ada"]);
    scene.tell(4, &added(&chat, "bob", "ada", "again"), &["ada"]);
    scene.tell(5, &message(&chat, "bob", "5"), &["ada"]);
    scene.command(&client, "r", &delivered(&chat, 5));
    assert_eq!(settled(&scene.frames(&client)), 1);
    assert_eq!(stamps(&scene), [(1, 1), (1, 2), (1, 3), (4, 5)]);
    // From then on the session knows enough, and asks no tables.
    scene.applied.hold("chats", 0);
    scene.tell(6, &message(&chat, "bob", "6"), &["ada"]);
    scene.command(&client, "r", &delivered(&chat, 6));
    assert_eq!(settled(&scene.frames(&client)), 1);
    assert_eq!(stamps(&scene).last(), Some(&(4, 6)));
}

/// Joins and places of all marks.
fn stamps(scene: &Scene) -> Vec<(u64, u64)> {
    let marks = scene.commands.marks.lock();
    marks.iter().map(|(_, m)| (m.since.0, m.seq.0)).collect()
}

#[test]
fn one_mark_over_several_stays_counts_in_each_and_tells_nobody_who_wrote_between_them() {
    let mut scene = Scene::new();
    let chat = group(6);
    for (since, until) in [(1, 4), (6, 8), (10, 0)] {
        scene.stay(&chat, "ada", since, until);
    }
    let by = |seq: u64| format!("b{seq:02}");
    for seq in 1..=12 {
        scene.rows(seq, &message(&chat, &by(seq), &seq.to_string()));
    }
    scene.inbox("ada", &chat, 12, 1);
    scene.cursor("ada", Some("phone"), &chat, 2);
    let (client, _) = scene.connect("ada/phone");
    scene.command(&client, "r", &delivered(&chat, 12));
    assert_eq!(settled(&scene.frames(&client)), 1, "one answer");
    assert_eq!(stamps(&scene), [(1, 4), (6, 8), (10, 12)]);
    let told: Vec<Vec<UserId>> = {
        let marks = scene.commands.marks.lock();
        marks.iter().map(|(_, mark)| mark.authors.clone()).collect()
    };
    let newest = |places: [&[u64]; 3]| {
        places.map(|seqs| seqs.iter().map(|seq| user(&by(*seq))).collect::<Vec<_>>())
    };
    assert_eq!(told, newest([&[4, 3], &[8, 7, 6], &[12, 11, 10]]));
}
