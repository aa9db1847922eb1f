//! Live entries: pushed once, in order, without a gap.

use infra_ports::memory::transport::Socket;
use schemas::avro::LogEvent;
use schemas::errors::close;
use schemas::events::{
    AccountEvent, ChatPinned, MarkKind, MarkTold, SettingTold, StatusTold, UserEvent, VerdictTold,
};
use schemas::frames::Frame;
use schemas::ids::{ClientId, DeviceId};
use schemas::position::{Offset, Ordinal, Seq, Timestamp};

use crate::Config;
use crate::testing::*;

#[test]
fn a_live_entry_reaches_all_sessions_of_its_recipients_and_nobody_else() {
    let mut scene = Scene::new();
    let phone = scene.live("ada/phone");
    let tablet = scene.live("ada/tablet");
    let other = scene.live("eve/phone");
    let chat = chat("d.ada.bob");
    scene.tell(1, &message(&chat, "bob", "one"), &["ada", "bob"]);
    assert_eq!(seqs(&scene.frames(&phone)), [1]);
    assert_eq!(seqs(&scene.frames(&tablet)), [1]);
    assert_eq!(scene.frames(&other), []);
}

#[test]
fn what_the_device_has_is_not_pushed_again() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    for seq in [1, 2, 2, 1, 3] {
        scene.tell(seq, &message(&chat, "bob", &seq.to_string()), &["ada"]);
    }
    assert_eq!(seqs(&scene.frames(&client)), [1, 2, 3]);
}

#[test]
fn a_gap_is_filled_from_the_timeline_and_what_follows_waits_for_it() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    scene.fill(&chat, "bob", 1..=9);
    scene.tell(1, &message(&chat, "bob", "1"), &["ada"]);
    for seq in [5, 6, 7] {
        scene.tell(seq, &message(&chat, "bob", &seq.to_string()), &["ada"]);
    }
    let frames = scene.frames(&client);
    assert_eq!(seqs(&frames), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(
        entries(&frames)[1],
        (2, 4, vec![2, 3, 4]),
        "one batch closes the gap"
    );
}

#[test]
fn a_gap_whose_rows_are_not_there_yet_waits_for_them_while_other_chats_go_on() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let (slow, quick) = (chat("d.ada.bob"), chat("d.ada.cyd"));
    scene.applied.hold("chats", 1);
    scene.tell(1, &message(&slow, "bob", "1"), &["ada"]);
    scene.tell(3, &message(&slow, "bob", "3"), &["ada"]);
    scene.tell(1, &message(&quick, "cyd", "1"), &["ada"]);
    let frames = scene.frames(&client);
    assert_eq!(seqs(&frames), [1, 1], "3 waits for 2");
    scene.wait(5_000);
    assert_eq!(seqs(&scene.frames(&client)), [0; 0]);
    scene.fill(&slow, "bob", 1..=3);
    scene.applied.hold("chats", 4);
    assert_eq!(seqs(&scene.frames(&client)), [2, 3]);
}

#[test]
fn a_long_gap_with_much_after_it_comes_in_order_without_a_hole() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    scene.applied.hold("chats", 1);
    scene.tell(1, &message(&chat, "bob", "1"), &["ada"]);
    let live = (400..=999).map(|seq| told(seq, &message(&chat, "bob", &seq.to_string()), &["ada"]));
    scene.append(live.collect());
    scene.wait(300);
    scene.fill(&chat, "bob", 1..=999);
    scene.applied.hold("chats", 2_000);
    let expected: Vec<u64> = (1..=999).collect();
    assert_eq!(seqs(&scene.frames(&client)), expected);
}

#[test]
fn a_gap_in_a_chat_that_never_rests_is_filled_though_its_newest_rows_are_always_late() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    scene.tell(1, &message(&chat, "bob", "1"), &["ada"]);
    let mut got = seqs(&scene.frames(&client));
    // 2 is never told, and rows are eight messages late: longer than one chat's turn.
    for seq in 3..=150 {
        let applied = seq.max(9) - 8;
        scene.fill(&chat, "bob", applied..=applied);
        scene.applied.hold("chats", applied + 1);
        scene.tell(seq, &message(&chat, "bob", &seq.to_string()), &["ada"]);
        scene.wait(20);
        // Nothing is marked: some come again.
        let newest = got.last().copied().unwrap_or(0);
        let frames = seqs(&scene.frames(&client));
        got.extend(frames.into_iter().filter(|seq| *seq > newest));
    }
    let expected: Vec<u64> = (1..=150).collect();
    assert_eq!(got, expected);
}

#[test]
fn a_removed_member_sees_their_removal_and_nothing_after_it() {
    let mut scene = Scene::new();
    let chat = group(7);
    scene.stay(&chat, "ada", 1, 3);
    scene.fill(&chat, "bob", 1..=2);
    scene.rows(3, &removed(&chat, "bob", "ada", "out"));
    scene.fill(&chat, "bob", 4..=6);
    scene.cursor("ada", Some("phone"), &chat, 1);
    scene.inbox("ada", &chat, 3, 1);
    let (client, frames) = scene.connect("ada/phone");
    assert_eq!(entries(&frames), [(2, 3, vec![2, 3])]);
    // Back again: what happened meanwhile stays unseen, and is no gap.
    scene.stay(&chat, "ada", 7, 0);
    let back = added(&chat, "bob", "ada", "in");
    scene.rows(7, &back);
    scene.tell(7, &back, &["ada"]);
    let frames = scene.frames(&client);
    assert_eq!(entries(&frames), [(4, 6, vec![]), (7, 7, vec![7])]);
}

#[test]
fn a_new_member_gets_the_entry_that_made_them_one_without_looking_back() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    scene.applied.hold("chats", 0);
    scene.tell(57, &added(&group(1), "bob", "ada", "in"), &["ada", "bob"]);
    assert_eq!(entries(&scene.frames(&client)), [(57, 57, vec![57])]);
}

#[test]
fn a_slow_reader_is_closed_and_others_are_not_affected() {
    let config = Config {
        outbox_bytes: 20_000,
        ..Config::default()
    };
    let mut scene = Scene::with(config);
    let slow = scene.socket(
        Some("ada/phone"),
        Socket {
            buffer_bytes: 2_000,
            ..Socket::default()
        },
    );
    let quick = scene.live("ada/tablet");
    let chat = chat("d.ada.bob");
    let all = (1..=200).map(|seq| told(seq, &message(&chat, "bob", &seq.to_string()), &["ada"]));
    for event in all {
        scene.append(vec![event]);
        scene.wait(1);
        assert!(quick.0.waiting_bytes() < 64 * 1024);
    }
    let expected: Vec<u64> = (1..=200).collect();
    assert_eq!(seqs(&scene.frames(&quick)), expected);
    let received = scene.received(&slow);
    assert_eq!(close_code(&received), Some(close::SLOW_CONSUMER));
    assert!(received.len() < 200);
}

#[test]
fn verdicts_go_to_the_device_that_asked_and_marks_and_settings_to_all() {
    let mut scene = Scene::new();
    let phone = scene.live("ada/phone");
    let tablet = scene.live("ada/tablet");
    let chat = chat("d.ada.bob");
    let device = DeviceId::new("phone").unwrap();
    let pinned = AccountEvent::ChatPinned(ChatPinned {
        user: user("ada"),
        device: device.clone(),
        chat: chat.clone(),
        pinned: true,
        at: Timestamp(0),
    });
    scene.append(vec![
        UserEvent::VerdictTold(VerdictTold {
            recipients: vec![user("ada")],
            chat: chat.clone(),
            device: device.clone(),
            client_id: ClientId::new("m-1").unwrap(),
            seq: None,
            code: Some("not_member".into()),
            origin: Offset(0),
        }),
        UserEvent::MarkTold(MarkTold {
            recipients: vec![user("ada")],
            chat: chat.clone(),
            device,
            kind: MarkKind::Read,
            seq: Seq(4),
            ordinal: Ordinal(4),
            origin: Offset(0),
        }),
        UserEvent::SettingTold(SettingTold {
            recipients: vec![user("ada")],
            origin: Offset(0),
            event: pinned.encode().unwrap(),
        }),
    ]);
    let kinds = |frames: Vec<Frame>| {
        let kind = |frame: &Frame| match frame {
            Frame::Verdict(_) => "verdict",
            Frame::Marked(_) => "marked",
            Frame::Settings(s) if s.pinned == Some(true) => "pinned",
            _ => "other",
        };
        frames.iter().map(kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(scene.frames(&phone)), ["verdict", "marked", "pinned"]);
    assert_eq!(kinds(scene.frames(&tablet)), ["marked", "pinned"]);
}

#[test]
fn a_setting_that_is_told_again_puts_no_device_back() {
    let mut scene = Scene::new();
    let phone = scene.live("ada/phone");
    let pinned = |origin, pinned| {
        let event = AccountEvent::ChatPinned(ChatPinned {
            user: user("ada"),
            device: DeviceId::new("tablet").unwrap(),
            chat: chat("d.ada.bob"),
            pinned,
            at: Timestamp(0),
        });
        UserEvent::SettingTold(SettingTold {
            recipients: vec![user("ada")],
            origin: Offset(origin),
            event: event.encode().unwrap(),
        })
    };
    scene.append(vec![pinned(0, true), pinned(3, false)]);
    // By a fold that goes on from an older place.
    scene.append(vec![pinned(0, true), pinned(3, false), pinned(4, true)]);
    let heard: Vec<_> = scene
        .frames(&phone)
        .into_iter()
        .filter_map(|frame| match frame {
            Frame::Settings(settings) => settings.pinned,
            _ => None,
        })
        .collect();
    assert_eq!(heard, [true, false, true]);
}

#[test]
fn ticks_say_what_the_record_counts() {
    let mut scene = Scene::new();
    let chat = chat("d.ada.bob");
    scene.inbox("ada", &chat, 4, 1);
    scene.cursor("ada", Some("phone"), &chat, 4);
    let client = scene.live("ada/phone");
    let status = |seq| {
        UserEvent::StatusTold(StatusTold {
            recipients: vec![user("ada")],
            chat: chat.clone(),
            seq: Seq(seq),
            delivered: 2,
            read: 1,
            origin: Offset(0),
        })
    };
    scene.append(vec![status(4), status(5)]);
    let ticks: Vec<_> = scene
        .frames(&client)
        .into_iter()
        .filter_map(|frame| match frame {
            Frame::Ticks(t) => Some((t.seq.0, t.delivered, t.read)),
            _ => None,
        })
        .collect();
    assert_eq!(
        ticks,
        [(4, 2, 1), (5, 2, 1)],
        "the fold counts beside the author, a session changes nothing"
    );
}
