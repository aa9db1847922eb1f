//! What users do, on a whole node over real sockets: one behaviour a test.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "a test may fail loudly"
)]

use std::sync::Arc;
use std::time::Duration;

use cursus_client::{Client, Config, Event, Group, Outcome};
use infra_testkit::clock::JumpingClock;
use infra_testkit::platform::Platform;
use infra_testkit::raw::RawClient;
use schemas::errors::Code;
use schemas::frames::{Entry, EntryEvent, WireBody};
use schemas::ids::{ChatId, UserId};
use schemas::position::Seq;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn direct(a: &str, b: &str) -> ChatId {
    ChatId::direct(&user(a), &user(b)).unwrap()
}

async fn connect(platform: &Platform, name: &str, device: &str) -> Client {
    let token = platform.token(name, device).unwrap();
    let client = Client::connect(Config::new(platform.url(), token));
    tokio::time::timeout(PATIENCE, client.live())
        .await
        .unwrap()
        .unwrap();
    client
}

async fn next(client: &Client) -> Event {
    tokio::time::timeout(PATIENCE, client.next())
        .await
        .expect("an event in time")
        .unwrap()
}

/// The next entry of a chat.
async fn next_entry(client: &Client, chat: &ChatId) -> Entry {
    loop {
        if let Event::Entry(entry) = next(client).await
            && entry.chat == *chat
        {
            return *entry;
        }
    }
}

async fn accepted(pending: Result<cursus_client::Pending, cursus_client::ClientError>) -> Seq {
    match tokio::time::timeout(PATIENCE, pending.unwrap().outcome())
        .await
        .unwrap()
        .unwrap()
    {
        Outcome::Accepted { seq, .. } => seq,
        Outcome::Refused(refusal) => panic!("refused: {refusal}"),
    }
}

async fn refused(pending: Result<cursus_client::Pending, cursus_client::ClientError>) -> Code {
    match tokio::time::timeout(PATIENCE, pending.unwrap().outcome())
        .await
        .unwrap()
        .unwrap()
    {
        Outcome::Accepted { seq, .. } => panic!("accepted at {seq}"),
        Outcome::Refused(refusal) => refusal.code,
    }
}

/// Where a message with this text stands.
async fn page_seq(client: &Client, chat: &ChatId, text: &str) -> Seq {
    let history = client.history(chat, None, None).await.unwrap();
    let same = |event: &EntryEvent| matches!(event, EntryEvent::Message { body, .. } if body.text.as_deref() == Some(text));
    let found = history
        .messages
        .iter()
        .find(|message| same(&message.entry.event));
    found.expect("the message is in the history").entry.seq
}

/// Takes events of a client that nobody looks at, so that its socket is read.
fn take_events(client: &Client) {
    let client = client.clone();
    tokio::spawn(async move { while client.next().await.is_some() {} });
}

async fn unread(client: &Client, chat: &ChatId) -> u64 {
    let chats = client.chats(None, None).await.unwrap();
    chats
        .chats
        .iter()
        .find(|line| line.chat == *chat)
        .map_or(0, |line| line.unread)
}

/// Asks until the answer is as wanted: tables follow the log by moments.
async fn until<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .expect("the wanted answer in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn message_goes_from_one_socket_to_another_and_ticks_come_back() {
    let platform = Platform::start().await.unwrap();
    let (ada, bob) = (
        connect(&platform, "ada", "phone").await,
        connect(&platform, "bob", "phone").await,
    );
    let chat = direct("ada", "bob");
    assert_eq!(
        accepted(ada.send(&chat, WireBody::text("hello")).await).await,
        Seq(1)
    );
    let entry = next_entry(&bob, &chat).await;
    assert_eq!((entry.seq, entry.author.as_str()), (Seq(1), "ada"));
    let body = WireBody::text("hello");
    assert_eq!(
        entry.event,
        EntryEvent::Message {
            body,
            reply_to: None
        }
    );
    take_events(&bob);
    let delivered = until(|| async {
        match next(&ada).await {
            Event::Ticks(ticks) => Some(ticks),
            _ => None,
        }
    });
    assert_eq!(delivered.await.delivered, 1);
    until(|| async { (unread(&bob, &chat).await == 1).then_some(()) }).await;
    bob.mark_read(&chat, Seq(1)).await.unwrap();
    until(|| async { (unread(&bob, &chat).await == 0).then_some(()) }).await;
    let status = until(|| async {
        let status = ada.status(&chat, Seq(1), true).await.ok()?;
        (status.read == 1).then_some(status)
    });
    let status = status.await;
    assert_eq!((status.of, status.delivered), (1, 1));
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn group_of_1024_gets_one_message_each_and_its_status_counts_them() {
    let platform = Platform::start().await.unwrap();
    let ada = connect(&platform, "ada", "phone").await;
    let members: Vec<UserId> = (0..1_023).map(|n| user(&format!("m{n}"))).collect();
    let group = Group {
        title: "all".into(),
        members: members.clone(),
        max_members: Some(1_024),
        ..Group::default()
    };
    let created = ada.create_group(group).await.unwrap();
    let chat = match created.outcome().await.unwrap() {
        Outcome::Accepted { chat, .. } => chat,
        Outcome::Refused(refusal) => panic!("{refusal}"),
    };
    let mut others = Vec::new();
    for member in members.iter().take(100) {
        others.push(connect(&platform, member.as_str(), "phone").await);
    }
    let seq = accepted(ada.send(&chat, WireBody::text("to all")).await).await;
    take_events(&ada);
    for other in &others {
        let entry = until(|| async {
            let entry = next_entry(other, &chat).await;
            (entry.seq == seq).then_some(entry)
        });
        assert_eq!(entry.await.author.as_str(), "ada");
    }
    for other in &others {
        take_events(other);
    }
    others[0].mark_read(&chat, seq).await.unwrap();
    let status = until(|| async {
        let status = ada.status(&chat, seq, true).await.ok()?;
        (status.delivered == 100 && status.read == 1).then_some(status)
    });
    let status = status.await;
    assert_eq!(status.of, 1_023);
    let who = status.who.unwrap();
    assert_eq!(who.iter().filter(|one| one.delivered).count(), 100);
    assert_eq!(accepted(ada.leave(&chat).await).await, seq.next());
    assert_eq!(
        refused(ada.send(&chat, WireBody::text("gone")).await).await,
        Code::NotMember
    );
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_devices_of_one_user_see_the_same_and_each_others_reads() {
    let platform = Platform::start().await.unwrap();
    let bob = connect(&platform, "bob", "phone").await;
    let chat = direct("ada", "bob");
    let mut devices = Vec::new();
    for device in ["phone", "tablet", "web"] {
        devices.push(connect(&platform, "ada", device).await);
    }
    accepted(bob.send(&chat, WireBody::text("one")).await).await;
    accepted(devices[0].send(&chat, WireBody::text("two")).await).await;
    take_events(&bob);
    for device in &devices {
        assert_eq!(next_entry(device, &chat).await.seq, Seq(1));
        assert_eq!(
            next_entry(device, &chat).await.author.as_str(),
            "ada",
            "own sends appear"
        );
    }
    accepted(bob.send(&chat, WireBody::text("three")).await).await;
    for device in &devices {
        assert_eq!(next_entry(device, &chat).await.seq, Seq(3));
    }
    devices[1].mark_read(&chat, Seq(3)).await.unwrap();
    let marked = until(|| async {
        match next(&devices[2]).await {
            Event::Marked(m) if m.kind == schemas::events::MarkKind::Read => Some(m),
            _ => None,
        }
    });
    let marked = marked.await;
    assert_eq!((marked.seq, marked.device.as_str()), (Seq(3), "tablet"));
    until(|| async { (unread(&devices[0], &chat).await == 0).then_some(()) }).await;
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resend_after_a_lost_acknowledgement_makes_no_second_message() {
    let platform = Platform::start().await.unwrap();
    let token = platform.token("ada", "phone").unwrap();
    let body = json!({ "kind": "text", "text": "once" });
    let data = json!({ "chat": "d.ada.bob", "client_id": "c1", "body": body });
    let send = json!({ "type": "send", "ref": "1", "data": data }).to_string();
    let mut first = RawClient::live(&platform.url(), &token).await.unwrap();
    first.send(send.clone()).await.unwrap();
    drop(first);
    for _ in 0..3 {
        let mut again = RawClient::live(&platform.url(), &token).await.unwrap();
        again.send(send.clone()).await.unwrap();
        let sent = again.answer("1").await.unwrap();
        assert_eq!(sent["type"], "sent");
    }
    let client = connect(&platform, "ada", "web").await;
    let chat = direct("ada", "bob");
    let history = until(|| async {
        let history = client.history(&chat, None, None).await.ok()?;
        (!history.messages.is_empty()).then_some(history)
    });
    assert_eq!(history.await.messages.len(), 1);
    assert_eq!(
        accepted(client.send(&chat, WireBody::text("next")).await).await,
        Seq(2)
    );
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_member_sees_the_removal_and_nothing_after() {
    let platform = Platform::start().await.unwrap();
    let (ada, bob) = (
        connect(&platform, "ada", "phone").await,
        connect(&platform, "bob", "phone").await,
    );
    let group = Group {
        title: "g".into(),
        members: vec![user("bob")],
        ..Group::default()
    };
    let chat = match ada
        .create_group(group)
        .await
        .unwrap()
        .outcome()
        .await
        .unwrap()
    {
        Outcome::Accepted { chat, .. } => chat,
        Outcome::Refused(refusal) => panic!("{refusal}"),
    };
    take_events(&ada);
    accepted(ada.send(&chat, WireBody::text("seen")).await).await;
    let removed = accepted(ada.remove_member(&chat, &user("bob")).await).await;
    let after = accepted(ada.send(&chat, WireBody::text("not for bob")).await).await;
    let mut last = next_entry(&bob, &chat).await;
    while last.seq < removed {
        last = next_entry(&bob, &chat).await;
    }
    assert_eq!(last.event, EntryEvent::MemberRemoved { user: user("bob") });
    assert_eq!(
        refused(bob.send(&chat, WireBody::text("still?")).await).await,
        Code::NotMember
    );
    let page = until(|| async {
        let page = bob.timeline(&chat, Seq(1)).await.unwrap();
        page.entries
            .iter()
            .any(|e| e.seq == removed)
            .then_some(page)
    });
    assert!(page.await.entries.iter().all(|entry| entry.seq < after));
    // What is changed after bob has left is not his to see, on a message he may see either.
    let seen = page_seq(&bob, &chat, "seen").await;
    accepted(
        ada.edit(&chat, seen, WireBody::text("the new door code"))
            .await,
    )
    .await;
    until(|| async {
        let history = ada.history(&chat, None, None).await.ok()?;
        let message = history.messages.into_iter().find(|m| m.entry.seq == seen)?;
        message.edited.map(drop)
    })
    .await;
    let history = bob.history(&chat, None, None).await.unwrap();
    assert!(
        history
            .messages
            .iter()
            .all(|message| message.edited.is_none())
    );
    let again = accepted(
        ada.add_member(&chat, &user("bob"), schemas::events::Role::Member)
            .await,
    )
    .await;
    let entry = next_entry(&bob, &chat).await;
    assert_eq!(entry.seq, again, "what came between is not seen");
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn device_that_is_back_after_10000_messages_gets_each_once_in_order() {
    const MISSED: u64 = 10_000;
    let platform = Platform::start_with(|config| {
        config.ingest.commands = ingest::Rate::new(1_000_000, 1_000_000);
    });
    let platform = platform.await.unwrap();
    let chat = direct("ada", "bob");
    let ada = connect(&platform, "ada", "phone").await;
    take_events(&ada);
    let bob = connect(&platform, "bob", "phone").await;
    accepted(ada.send(&chat, WireBody::text("0")).await).await;
    assert_eq!(next_entry(&bob, &chat).await.seq, Seq(1));
    let progress = bob.progress();
    // It counts as delivered when its user has written that down and comes for more.
    take_events(&bob);
    until(|| async {
        let status = ada.status(&chat, Seq(1), false).await.ok()?;
        (status.delivered == 1).then_some(())
    })
    .await;
    bob.close().await;
    let mut pending = Vec::new();
    for n in 1..=MISSED {
        pending.push(ada.send(&chat, WireBody::text(n.to_string())).await);
    }
    for given in pending {
        accepted(given).await;
    }
    let token = platform.token("bob", "phone").unwrap();
    let mut config = Config::new(platform.url(), token);
    config.progress = progress;
    let bob = Client::connect(config);
    for seq in 2..=MISSED + 1 {
        assert_eq!(next_entry(&bob, &chat).await.seq, Seq(seq));
    }
    accepted(ada.send(&chat, WireBody::text("live")).await).await;
    assert_eq!(next_entry(&bob, &chat).await.seq, Seq(MISSED + 2));
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_reader_is_closed_resumes_and_nobody_else_waits() {
    let platform = Platform::start_with(|config| {
        config.ingest.commands = ingest::Rate::new(1_000_000, 1_000_000);
    });
    let platform = platform.await.unwrap();
    let chat = direct("ada", "bob");
    let token = platform.token("bob", "slow").unwrap();
    let mut slow = RawClient::live(&platform.url(), &token).await.unwrap();
    let (ada, bob) = (
        connect(&platform, "ada", "phone").await,
        connect(&platform, "bob", "phone").await,
    );
    take_events(&ada);
    let text = "x".repeat(16 * 1024);
    let count = 2_000;
    for n in 1..=count {
        let given = ada.send(&chat, WireBody::text(text.clone())).await;
        accepted(given).await;
        assert_eq!(next_entry(&bob, &chat).await.seq, Seq(n));
    }
    let code = slow.until_closed().await.unwrap();
    assert!(matches!(code, Some(4003) | None), "closed with {code:?}");
    let slow = connect(&platform, "bob", "slow").await;
    let newest = until(|| async {
        let entry = next_entry(&slow, &chat).await;
        (entry.seq == Seq(count)).then_some(entry)
    });
    assert_eq!(newest.await.author.as_str(), "ada");
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_that_jumps_back_moves_no_chat_back() {
    let clock = Arc::new(JumpingClock::default());
    let platform = Platform::start_on(|_| {}, |adapters| clock.wrap(adapters))
        .await
        .unwrap();
    let (ada, bob) = (
        connect(&platform, "ada", "phone").await,
        connect(&platform, "bob", "phone").await,
    );
    let chat = direct("ada", "bob");
    accepted(ada.send(&chat, WireBody::text("now")).await).await;
    clock.jump(-3_600_000);
    accepted(ada.send(&chat, WireBody::text("an hour earlier")).await).await;
    clock.jump(7_200_000);
    accepted(ada.send(&chat, WireBody::text("an hour later")).await).await;
    let (mut last, mut times) = (Seq(0), Vec::new());
    while last < Seq(3) {
        let entry = next_entry(&bob, &chat).await;
        assert_eq!(entry.seq, last.next());
        (last, _) = (entry.seq, times.push(entry.at));
    }
    assert_eq!(times[1], times[0], "chat time does not go back");
    assert!(times[2] > times[1]);
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_in_order_loses_nothing_and_clients_come_back_by_themselves() {
    let platform = Platform::start().await.unwrap();
    let (ada, bob) = (
        connect(&platform, "ada", "phone").await,
        connect(&platform, "bob", "phone").await,
    );
    let chat = direct("ada", "bob");
    accepted(ada.send(&chat, WireBody::text("before")).await).await;
    assert_eq!(next_entry(&bob, &chat).await.seq, Seq(1));
    let platform = platform.restart().await.unwrap();
    assert_eq!(
        accepted(ada.send(&chat, WireBody::text("after")).await).await,
        Seq(2)
    );
    assert_eq!(next_entry(&bob, &chat).await.seq, Seq(2));
    platform.shutdown().await;
}
