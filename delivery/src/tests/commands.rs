//! What clients say: in order, bounded, and never the end of more than their own socket.

use std::sync::Arc;

use infra_ports::Runtime;
use infra_ports::memory::transport::{Received, Socket};
use schemas::errors::{Code, close};
use schemas::frames::{
    Command, Frame, MAX_UNSETTLED, MarkUpTo, MembersQuery, Pin, Send, WireBody, encode_command,
};
use schemas::ids::{ChatId, ClientId};
use schemas::position::Seq;

use super::resume::lose_worker;
use crate::Config;
use crate::testing::*;

fn send(chat: &ChatId, n: usize) -> Command {
    Command::Send(Send {
        chat: chat.clone(),
        client_id: ClientId::new(n.to_string()).unwrap(),
        body: WireBody::text("x"),
        reply_to: None,
    })
}

fn sent(frames: &[Frame]) -> Vec<String> {
    let id = |frame: &Frame| match frame {
        Frame::Sent(accepted) => Some(accepted.client_id.to_string()),
        _ => None,
    };
    frames.iter().filter_map(id).collect()
}

fn errors(frames: &[Frame]) -> Vec<Code> {
    let code = |frame: &Frame| match frame {
        Frame::Error(refusal) => Some(refusal.code),
        _ => None,
    };
    frames.iter().filter_map(code).collect()
}

#[test]
fn commands_sent_without_waiting_are_taken_and_answered_in_order() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    for n in 0..MAX_UNSETTLED {
        scene.command(&client, &n.to_string(), &send(&chat, n));
    }
    let expected: Vec<String> = (0..MAX_UNSETTLED).map(|n| n.to_string()).collect();
    assert_eq!(sent(&scene.frames(&client)), expected);
    assert_eq!(*scene.commands.taken.lock(), expected);
}

#[test]
fn a_session_with_as_much_under_way_as_may_be_reads_on_once_something_is_answered() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chats = ["bob", "cyd", "dan", "eve"].map(|peer| chat(&format!("d.ada.{peer}")));
    let peer = client.0.clone();
    let burst = async move {
        for n in 0..800 {
            let command = encode_command(None, &send(&chats[n % 4], n));
            peer.send_text(command).await.unwrap();
        }
    };
    scene.run(burst);
    let expected: Vec<String> = (0..800).map(|n| n.to_string()).collect();
    assert_eq!(sent(&scene.frames(&client)), expected);
    assert_eq!(scene.commands.at_once.lock().1, 512);
}

#[test]
fn a_session_that_goes_before_its_answers_leaves_nothing_behind() {
    let mut scene = Scene::new();
    scene.wait(100);
    // Whatever is under way holds whoever takes commands.
    let commands = Arc::clone(&scene.commands);
    let before = Arc::strong_count(&commands);
    let standing = scene.executor.tasks(NODE);
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    let peer = client.0.clone();
    let burst = async move {
        for n in 0..20 {
            peer.send_text(encode_command(None, &send(&chat, n)))
                .await
                .unwrap();
        }
    };
    scene.run(burst);
    let halt = scene
        .executor
        .run_until(|| !commands.taken.lock().is_empty());
    assert_eq!(halt, infra_ports::memory::Halt::Done);
    client.0.cut();
    // Long before the last of them is durable.
    while scene.executor.tasks(NODE) > standing {
        scene.executor.step();
    }
    assert_eq!(Arc::strong_count(&commands), before);
}

#[test]
fn every_frame_of_a_burst_is_answered() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let peer = client.0.clone();
    let burst = async move {
        for n in 0..1_000 {
            let ping = encode_command(Some(&n.to_string()), &Command::Ping {});
            peer.send_text(ping).await.unwrap();
        }
    };
    scene.run(burst);
    scene.wait(100);
    let frames = scene.frames(&client);
    let pongs = frames.iter().filter(|f| matches!(f, Frame::Pong {}));
    assert_eq!(pongs.count(), 1_000);
}

#[test]
fn the_257th_unsettled_command_of_a_chat_is_refused_until_one_is_settled() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    for n in 0..=MAX_UNSETTLED {
        scene.command(&client, &n.to_string(), &send(&chat, n));
    }
    let frames = scene.frames(&client);
    assert_eq!(errors(&frames), [Code::TooManyUnsettled]);
    assert_eq!(sent(&frames).len(), MAX_UNSETTLED);
    // Its entry settles the first.
    scene.tell(1, &message(&chat, "ada", "0"), &["ada"]);
    scene.wait(10);
    scene.command(&client, "again", &send(&chat, MAX_UNSETTLED));
    assert_eq!(sent(&scene.frames(&client)), ["256"]);
}

#[test]
fn what_a_lost_worker_may_have_settled_is_counted_no_longer_once_live_is_said_anew() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    for n in 0..MAX_UNSETTLED {
        scene.command(&client, &n.to_string(), &send(&chat, n));
    }
    assert_eq!(sent(&scene.frames(&client)).len(), MAX_UNSETTLED);
    lose_worker(&scene);
    let frames = scene.frames(&client);
    assert!(matches!(frames[..], [Frame::Live {}]), "{frames:?}");
    // All of them may be settled for the client, by entries that it had already.
    scene.command(&client, "next", &send(&chat, MAX_UNSETTLED));
    assert_eq!(sent(&scene.frames(&client)), ["256"]);
}

#[test]
fn a_refused_command_is_answered_with_its_ref_and_does_not_stay_unsettled() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    *scene.commands.refuse.lock() = Some(Code::LogFull);
    for n in 0..=MAX_UNSETTLED {
        scene.command(&client, "mine", &send(&chat, n));
        scene.wait(1);
    }
    let received = scene.received(&client);
    assert_eq!(received.len(), MAX_UNSETTLED + 1);
    for frame in received {
        let Received::Text(text) = frame else {
            panic!("{frame:?}")
        };
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(
            text.contains(r#""ref":"mine""#) && text.contains("log_full"),
            "{text}"
        );
    }
}

#[test]
fn settings_are_answered_when_they_are_durable() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let pin = Command::Pin(Pin {
        chat: chat("d.ada.bob"),
        pinned: true,
    });
    scene.command(&client, "1", &pin);
    assert!(matches!(&scene.frames(&client)[..], [Frame::Settled(_)]));
}

#[test]
fn malformed_frames_are_answered_and_the_session_goes_on() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    for bad in [
        "",
        "{",
        "[]",
        "null",
        "{\"type\":1}",
        "\u{0}",
        "{\"type\":\"nonsense\"}",
    ] {
        scene.say(&client, bad);
    }
    scene.say(
        &client,
        r#"{"type":"send","ref":"1","data":{"chat":"d.b.a"}}"#,
    );
    scene.say(&client, r#"{"type":"hello","data":{"token":"ada/phone"}}"#);
    scene.say(&client, r#"{"type":"ping","ref":"2"}"#);
    let frames = scene.frames(&client);
    assert_eq!(errors(&frames).len(), 9);
    assert_eq!(errors(&frames)[8], Code::HelloTwice);
    assert!(matches!(frames.last(), Some(Frame::Pong {})));
}

#[test]
fn a_frame_over_the_limit_closes_its_own_socket_only() {
    let mut scene = Scene::new();
    let bad = scene.live("ada/phone");
    let good = scene.live("ada/tablet");
    scene.say(&bad, vec![b'x'; 300 * 1024]);
    let received = scene.received(&bad);
    assert_eq!(close_code(&received), Some(close::TOO_LARGE));
    let garbage = scene.live("eve/phone");
    let peer = garbage.0.clone();
    scene
        .run(async move { peer.send_garbage("not UTF-8").await })
        .unwrap();
    assert_eq!(close_code(&scene.received(&garbage)), Some(close::PROTOCOL));
    scene.tell(1, &message(&chat("d.ada.bob"), "bob", "1"), &["ada"]);
    assert_eq!(seqs(&scene.frames(&good)), [1]);
}

#[test]
fn a_session_without_a_token_says_hello_first_and_in_time() {
    let mut scene = Scene::new();
    let client = scene.socket(None, Socket::default());
    scene.command(&client, "1", &send(&chat("d.ada.bob"), 1));
    assert_eq!(errors(&scene.frames(&client)), [Code::HelloRequired]);
    scene.say(
        &client,
        r#"{"type":"hello","ref":"2","data":{"token":"ada/phone"}}"#,
    );
    let frames = scene.frames(&client);
    assert!(
        matches!(&frames[..], [Frame::Welcome(_), Frame::Live {}]),
        "{frames:?}"
    );
    let mute = scene.socket(None, Socket::default());
    scene.wait(9_900);
    assert_eq!(mute.0.try_receive(), None);
    scene.wait(200);
    assert_eq!(close_code(&scene.received(&mute)), Some(close::TIMEOUT));
}

#[test]
fn a_bad_token_is_answered_and_closed_with_4001() {
    let mut scene = Scene::new();
    let client = scene.socket(Some("nonsense"), Socket::default());
    let received = scene.received(&client);
    assert_eq!(close_code(&received), Some(close::UNAUTHORIZED));
    assert!(matches!(&received[0], Received::Text(text) if text.ends_with(b"}")));
    let hello = scene.socket(None, Socket::default());
    scene.say(
        &hello,
        encode_command(
            None,
            &Command::Hello(schemas::frames::Hello { token: None }),
        ),
    );
    assert_eq!(
        close_code(&scene.received(&hello)),
        Some(close::UNAUTHORIZED)
    );
}

#[test]
fn sent_comes_before_the_entry_even_if_the_entry_is_faster() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let chat = chat("d.ada.bob");
    for n in 1..=20 {
        scene.command(&client, "mine", &send(&chat, n));
        scene.tell(n as u64, &message(&chat, "ada", &n.to_string()), &["ada"]);
        let frames = scene.frames(&client);
        assert!(
            matches!(&frames[..], [Frame::Sent(_), Frame::Entry(_)]),
            "{frames:?}"
        );
    }
}

#[test]
fn while_the_tables_answer_nothing_whatever_is_asked_is_answered_in_time() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    scene.table_reads.hold_back();
    let (chat, seen) = (chat("d.ada.bob"), Seq(1));
    let mut asked: Vec<Command> = (0..20).map(|n| send(&chat, n)).collect();
    let mark = |_| {
        Command::Delivered(MarkUpTo {
            chat: chat.clone(),
            seq: seen,
        })
    };
    // More than a session may have under way; what is said after them waits for them.
    asked.extend((0..600).map(mark));
    let members = |_| Command::Members(MembersQuery { chat: chat.clone() });
    asked.extend((0..600).map(members));
    asked.extend((20..40).map(|n| send(&chat, n)));
    let count = asked.len();
    let peer = client.0.clone();
    let talks = async move {
        for (n, command) in asked.iter().enumerate() {
            let text = encode_command(Some(&n.to_string()), command);
            peer.send_text(text).await.unwrap();
        }
    };
    let runtime = scene.executor.runtime(NODE);
    runtime.spawn("client", Box::pin(talks));
    scene.wait(100);
    let frames = scene.frames(&client);
    assert_eq!(sent(&frames).len(), 20, "a command needs no table");
    // Three times as much as may be under way is asked.
    let within = 3 * Config::default().tables_within.as_millis() + 1_000;
    let mut later = Vec::new();
    for _ in 0..within / 1_000 {
        scene.wait(1_000);
        later.extend(scene.frames(&client));
    }
    assert_eq!(sent(&later).len(), 20);
    let refused = errors(&later);
    assert!(refused.iter().all(|code| *code == Code::Unavailable));
    assert_eq!(frames.len() + later.len(), count, "each has its answer");
    scene.table_reads.let_through(100);
    scene.command(&client, "again", &members(0));
    let answered = scene.frames(&client);
    assert!(matches!(answered[..], [Frame::Members(_)]), "{answered:?}");
}
