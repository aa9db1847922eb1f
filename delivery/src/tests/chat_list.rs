//! A chat list whose tables are behind: it is waited for, and says so where that takes too long.

use axum::http::StatusCode;
use infra_ports::Mutation;
use schemas::frames::{Chats, ChatsQuery, Command, Frame};
use schemas::ids::ChatId;
use schemas::position::{Timestamp, Version};
use schemas::tables::ChatSettingRow;

use super::reads::get;
use crate::testing::*;

fn list() -> Command {
    Command::Chats(ChatsQuery {
        cursor: None,
        limit: None,
    })
}

/// The heads of a list, and whether it is said to be behind.
fn heads(list: &Chats) -> (Vec<u64>, bool) {
    let heads = list.chats.iter().map(|line| line.head.0);
    (heads.collect(), list.behind)
}

fn lists(frames: &[Frame]) -> Vec<(Vec<u64>, bool)> {
    let list = |frame: &Frame| match frame {
        Frame::Chats(list) => heads(list),
        other => panic!("{other:?}"),
    };
    frames.iter().map(list).collect()
}

/// Three entries of which ada is told, of which the inbox knows none, and her phone has marked all.
fn behind() -> (Scene, ChatId) {
    let mut scene = Scene::new();
    let chat = chat("d.ada.bob");
    scene.fill(&chat, "bob", 1..=3);
    scene.cursor("ada", Some("phone"), &chat, 3);
    for seq in 1..=3 {
        scene.tell(seq, &message(&chat, "bob", &seq.to_string()), &["ada"]);
    }
    scene.applied.hold("inbox", 0);
    // The worker, which reads nothing yet, sees that they are there.
    scene.wait(1_100);
    (scene, chat)
}

#[test]
fn a_list_without_what_its_socket_was_resumed_over_says_that_it_is_behind() {
    let (mut scene, chat) = behind();
    let client = scene.socket(Some("ada/phone"), Default::default());
    scene.wait(2_100);
    let resumed = scene.frames(&client);
    assert!(
        matches!(&resumed[..], [Frame::Welcome(_), Frame::Live {}]),
        "its marks say that it has everything: {resumed:?}"
    );
    scene.command(&client, "c", &list());
    assert!(scene.frames(&client).is_empty(), "the inbox has some time");
    scene.wait(2_000);
    assert_eq!(lists(&scene.frames(&client)), [(vec![], true)]);
    scene.inbox("ada", &chat, 3, 1);
    scene.applied.hold("inbox", 3);
    scene.command(&client, "c", &list());
    assert_eq!(lists(&scene.frames(&client)), [(vec![3], false)]);
}

#[test]
fn a_list_has_what_its_socket_was_told_before() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    scene.applied.hold("inbox", 0);
    scene.tell(1, &message(&chat, "bob", "1"), &["ada"]);
    assert_eq!(seqs(&scene.frames(&client)), [1]);
    scene.command(&client, "c", &list());
    assert!(scene.frames(&client).is_empty(), "it waits for the inbox");
    scene.inbox("ada", &chat, 1, 1);
    scene.applied.hold("inbox", 1);
    assert_eq!(lists(&scene.frames(&client)), [(vec![1], false)]);
}

#[test]
fn a_list_finds_its_settings_among_those_of_chats_that_are_none() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let muted = |chat: &str| {
        let row = ChatSettingRow {
            user: user("ada"),
            chat: ChatId::new(chat).unwrap(),
            muted_until: Timestamp(9),
            archived: false,
            pinned: false,
        };
        Mutation::put(GENERATION, &row, Version(1))
    };
    let made_up = (0..2_500).map(|n| muted(&format!("d.ada.nobody{n}")));
    scene.write(made_up.chain([muted("d.ada.zoe")]).collect());
    for (seq, other) in (1..).zip(["bob", "zoe"]) {
        let chat = chat(&format!("d.ada.{other}"));
        scene.inbox("ada", &chat, seq, seq.cast_signed());
    }
    scene.command(&client, "c", &list());
    let frames = scene.frames(&client);
    let [Frame::Chats(list)] = &frames[..] else {
        panic!("{frames:?}");
    };
    let lines = list.chats.iter();
    let lines: Vec<_> = lines.map(|l| (l.chat.as_str(), l.muted_until.0)).collect();
    assert_eq!(lines, [("d.ada.zoe", 9), ("d.ada.bob", 0)]);
}

#[test]
fn over_http_a_list_has_what_the_log_had_or_says_that_it_is_behind() {
    let (mut scene, chat) = behind();
    let ask = |scene: &mut Scene| {
        let (status, body) = get(scene, "/v1/chats", Some("ada/phone"));
        assert_eq!(status, StatusCode::OK, "{body}");
        heads(&serde_json::from_str(&body).unwrap())
    };
    assert_eq!(ask(&mut scene), (vec![], true));
    scene.inbox("ada", &chat, 3, 1);
    scene.applied.hold("inbox", 3);
    assert_eq!(ask(&mut scene), (vec![3], false));
}
