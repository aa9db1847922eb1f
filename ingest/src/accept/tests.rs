//! From command to log: what stands there, under which key, and that nothing is answered before.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use infra_ports::EventLog;
use schemas::avro::LogEvent;
use schemas::errors::Code;
use schemas::events::{AccountEvent, ChatEvent, MarkKind, ReceiptEvent};
use schemas::frames::{Command, CreateGroup, Hide, Leave, Pin, Receipt, Send, WireBody};
use schemas::ids::{ChatId, MessageId};
use schemas::position::{Ordinal, Seq};
use schemas::topics::{Topic, partition_of};

use super::StampedMark;
use crate::testing::{House, NOW, PARTITIONS, ada, client, device, direct, group, user};
use crate::{Config, Rate};

fn send(id: &str) -> Command {
    Command::Send(Send {
        chat: direct(),
        client_id: client(id),
        body: WireBody::text("hello"),
        reply_to: None,
    })
}

fn read_mark() -> StampedMark {
    StampedMark {
        chat: direct(),
        kind: MarkKind::Read,
        seq: Seq(2),
        ordinal: Ordinal(1),
        since: Seq(0),
        authors: vec![user("bob")],
    }
}

#[tokio::test]
async fn sent_command_stands_in_the_log_under_its_chat() {
    let house = House::new(&Config::default()).await;
    let Ok(Receipt::Sent(accepted)) = house.ingest.accept(&ada(), send("m-1")).await else {
        panic!("not sent");
    };
    let id = MessageId::of(&direct(), &user("ada"), &device("phone"), &client("m-1"));
    assert_eq!(accepted.id, id.to_string());
    assert_eq!(
        (accepted.chat, accepted.client_id, accepted.at),
        (direct(), client("m-1"), NOW)
    );
    let (partition, record) = house.only(Topic::Chats).await;
    assert_eq!(partition, partition_of(b"d.ada.bob", PARTITIONS));
    assert_eq!((&record.key[..], record.at), (&b"d.ada.bob"[..], NOW));
    let ChatEvent::MessageSent(sent) = ChatEvent::decode(&record.value).unwrap() else {
        panic!("another event");
    };
    assert_eq!((sent.origin.at, sent.body.bytes), (NOW, b"hello".to_vec()));
}

#[tokio::test]
async fn resend_is_appended_again_under_the_same_id() {
    let house = House::new(&Config::default()).await;
    let first = house.ingest.accept(&ada(), send("m-1")).await.unwrap();
    house.clock.pass(Duration::from_secs(1));
    let second = house.ingest.accept(&ada(), send("m-1")).await.unwrap();
    let (Receipt::Sent(first), Receipt::Sent(second)) = (first, second) else {
        panic!()
    };
    assert_eq!(first.id, second.id);
    assert!(first.at < second.at);
    assert_eq!(house.records(Topic::Chats).await.len(), 2);
}

#[tokio::test]
async fn new_group_is_answered_with_its_id() {
    let house = House::new(&Config::default()).await;
    let command = Command::CreateGroup(CreateGroup {
        client_id: client("g-1"),
        title: "T".into(),
        description: String::new(),
        members: vec![user("bob")],
        max_members: None,
    });
    let Ok(Receipt::Sent(accepted)) = house.ingest.accept(&ada(), command).await else {
        panic!()
    };
    let chat = ChatId::group(&user("ada"), &device("phone"), &client("g-1"));
    assert_eq!(accepted.chat, chat);
    let (partition, record) = house.only(Topic::Chats).await;
    assert_eq!(&record.key[..], chat.as_str().as_bytes());
    assert_eq!(partition, partition_of(&record.key, PARTITIONS));
}

#[tokio::test]
async fn setting_stands_in_the_log_under_its_user() {
    let house = House::new(&Config::default()).await;
    let command = Command::Pin(Pin {
        chat: group(),
        pinned: true,
    });
    let answer = house.ingest.accept(&ada(), command).await;
    assert!(matches!(answer, Ok(Receipt::Settled(settled)) if settled.chat == group()));
    let (partition, record) = house.only(Topic::Accounts).await;
    assert_eq!(
        (partition, &record.key[..]),
        (partition_of(b"ada", PARTITIONS), &b"ada"[..])
    );
    let AccountEvent::ChatPinned(pinned) = AccountEvent::decode(&record.value).unwrap() else {
        panic!("another event");
    };
    assert_eq!(
        (pinned.user, pinned.chat, pinned.pinned),
        (user("ada"), group(), true)
    );
}

#[tokio::test]
async fn mark_stands_in_the_log_under_its_chat() {
    let house = House::new(&Config::default()).await;
    let settled = house.mark(read_mark()).await.unwrap();
    assert_eq!(settled.chat, direct());
    let (_, record) = house.only(Topic::Receipts).await;
    assert_eq!(&record.key[..], b"d.ada.bob");
    let ReceiptEvent::Mark(mark) = ReceiptEvent::decode(&record.value).unwrap();
    assert_eq!(
        (mark.kind, mark.seq, mark.authors),
        (MarkKind::Read, Seq(2), vec![user("bob")])
    );
}

#[tokio::test]
async fn refused_command_leaves_no_trace_in_the_log() {
    let house = House::new(&Config::default()).await;
    let stranger = ChatId::new("d.bob.eve").unwrap();
    let commands = [
        Command::Leave(Leave {
            chat: stranger,
            client_id: client("c"),
        }),
        Command::Hide(Hide {
            chat: direct(),
            seq: Seq(0),
        }),
        Command::Ping {},
    ];
    for command in commands {
        assert!(house.ingest.accept(&ada(), command).await.is_err());
    }
    for topic in [Topic::Chats, Topic::Accounts, Topic::Receipts] {
        assert_eq!(house.records(topic).await, []);
    }
}

#[tokio::test]
async fn append_that_fails_is_never_answered_with_sent() {
    let house = House::new(&Config::default()).await;
    // Full; unavailable and nothing written; unavailable but written.
    let faults = [
        (1, Code::LogFull, 0),
        (2, Code::Unavailable, 0),
        (3, Code::Unavailable, 1),
    ];
    for (fault, code, written) in faults {
        house.on_append.0.store(fault, Ordering::SeqCst);
        let before = house.records(Topic::Chats).await.len();
        let refusal = house.ingest.accept(&ada(), send("m-1")).await.unwrap_err();
        assert_eq!(refusal.code, code);
        assert!(refusal.code.is_retryable());
        assert_eq!(house.records(Topic::Chats).await.len(), before + written);
        let pin = Command::Pin(Pin {
            chat: group(),
            pinned: true,
        });
        assert_eq!(
            house.ingest.accept(&ada(), pin).await.unwrap_err().code,
            code
        );
        assert_eq!(house.mark(read_mark()).await.unwrap_err().code, code);
    }
    house.on_append.0.store(0, Ordering::SeqCst);
    assert!(house.ingest.accept(&ada(), send("m-1")).await.is_ok());
}

#[tokio::test]
async fn closed_log_is_answered_with_shutting_down() {
    let house = House::new(&Config::default()).await;
    house.log.close().await.unwrap();
    let refusal = house.ingest.accept(&ada(), send("m-1")).await.unwrap_err();
    assert_eq!(refusal.code, Code::ShuttingDown);
}

#[tokio::test]
async fn commands_are_in_the_log_in_the_order_of_their_first_poll() {
    let house = House::new(&Config::default()).await;
    let who = ada();
    let mut pending: Vec<_> = (0..20)
        .map(|i| Box::pin(house.ingest.accept(&who, send(&format!("m-{i}")))))
        .collect();
    for future in &mut pending {
        let answered = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
        assert!(answered, "a log in memory without faults answers at once");
    }
    let ids: Vec<String> = house
        .records(Topic::Chats)
        .await
        .iter()
        .map(|(_, r)| {
            ChatEvent::decode(&r.value)
                .unwrap()
                .origin()
                .client_id
                .to_string()
        })
        .collect();
    assert_eq!(ids, (0..20).map(|i| format!("m-{i}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn session_that_outlives_its_token_is_told_so() {
    let house = House::new(&Config::default()).await;
    house.clock.pass(Duration::from_secs(3_600));
    let refusal = house.ingest.accept(&ada(), send("m-1")).await.unwrap_err();
    assert_eq!(refusal.code, Code::TokenExpired);
    assert_eq!(
        house.mark(read_mark()).await.unwrap_err().code,
        Code::TokenExpired
    );
    assert_eq!(house.records(Topic::Chats).await, []);
}

#[tokio::test]
async fn rate_is_limited_by_time_that_passes_whatever_the_clock_says() {
    let config = Config {
        commands: Rate::new(10, 3),
        ..Config::default()
    };
    let house = House::new(&config).await;
    for i in 0..3 {
        assert!(
            house
                .ingest
                .accept(&ada(), send(&format!("m-{i}")))
                .await
                .is_ok()
        );
    }
    house.clock.jump(60_000);
    let refusal = house.ingest.accept(&ada(), send("m-3")).await.unwrap_err();
    assert_eq!(
        (refusal.code, refusal.retry_after_ms),
        (Code::RateLimited, Some(100))
    );
    assert!(house.mark(read_mark()).await.is_ok());
    house.clock.pass(Duration::from_millis(100));
    assert!(house.ingest.accept(&ada(), send("m-3")).await.is_ok());
    assert_eq!(house.records(Topic::Chats).await.len(), 4);
}

#[tokio::test]
async fn marks_have_a_rate_of_their_own() {
    let config = Config {
        marks: Rate::new(10, 1),
        ..Config::default()
    };
    let house = House::new(&config).await;
    assert!(house.mark(read_mark()).await.is_ok());
    let refusal = house.mark(read_mark()).await.unwrap_err();
    assert_eq!(refusal.code, Code::RateLimited);
    assert!(house.ingest.accept(&ada(), send("m-1")).await.is_ok());
    assert_eq!(house.records(Topic::Receipts).await.len(), 1);
}

#[tokio::test]
async fn new_group_costs_ten_commands() {
    let config = Config {
        commands: Rate::new(10, 10),
        ..Config::default()
    };
    let house = House::new(&config).await;
    let create = Command::CreateGroup(CreateGroup {
        client_id: client("g-1"),
        title: "T".into(),
        description: String::new(),
        members: Vec::new(),
        max_members: None,
    });
    assert!(house.ingest.accept(&ada(), create).await.is_ok());
    let refusal = house.ingest.accept(&ada(), send("m-1")).await.unwrap_err();
    assert_eq!(refusal.retry_after_ms, Some(100));
}

#[tokio::test]
async fn clock_that_went_back_stamps_what_it_says() {
    let house = House::new(&Config::default()).await;
    house.clock.jump(-60_000);
    let Ok(Receipt::Sent(accepted)) = house.ingest.accept(&ada(), send("m-1")).await else {
        panic!()
    };
    assert_eq!(accepted.at.0, NOW.0 - 60_000);
}

#[tokio::test]
async fn token_is_judged_by_the_clock_of_the_runtime() {
    let house = House::new(&Config::default()).await;
    let token = house.token("ada");
    assert_eq!(house.ingest.authenticate(&token).unwrap().user, user("ada"));
    house.clock.pass(Duration::from_secs(3_600));
    assert_eq!(
        house.ingest.authenticate(&token).unwrap_err().code,
        Code::TokenExpired
    );
}

#[tokio::test]
async fn a_command_that_waits_for_the_log_takes_little_room() {
    let house = House::new(&Config::default()).await;
    let waiting = house.ingest.accept(&ada(), send("m-1"));
    let bytes = size_of_val(&waiting);
    assert!(
        bytes <= 400,
        "{bytes} bytes: thousands wait while the disk is slow"
    );
    assert!(waiting.await.is_ok());
}
