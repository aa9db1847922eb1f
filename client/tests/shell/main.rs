//! The client over real sockets, against a server that the test plays by hand.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    clippy::too_many_lines,
    clippy::disallowed_methods,
    reason = "tests may fail loudly"
)]

mod peer;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::peer::Server;
use cursus_client::{
    Client, ClientError, Config, Event, Lost, Observer, Outcome, Output, Pending, State, TokenIn,
};
use futures_util::{SinkExt, StreamExt};
use schemas::errors::{Code, Refusal};
use schemas::frames::{
    Accepted, Chats, Closing, Command, Entry, EntryEvent, Frame, MarkUpTo, WireBody, encode_frame,
};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Ordinal, Seq, Timestamp};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

fn chat() -> ChatId {
    ChatId::new("d.ada.bob").unwrap()
}

fn entry(seq: u64, author: &str, client_id: &str) -> Entry {
    Entry {
        chat: chat(),
        seq: Seq(seq),
        ordinal: Ordinal(seq),
        at: Timestamp(0),
        author: UserId::new(author).unwrap(),
        device: DeviceId::new("phone").unwrap(),
        client_id: ClientId::new(client_id).unwrap(),
        id: "0".into(),
        event: EntryEvent::Message {
            body: WireBody::text(format!("text {seq}")),
            reply_to: None,
        },
    }
}

async fn send(client: &Client) -> Pending {
    client.send(&chat(), WireBody::text("x")).await.unwrap()
}

/// The seqs of the next entries; other events are passed over.
async fn entries(client: &Client, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    while seqs.len() < count {
        if let Event::Entry(entry) = client.next().await.expect("not closed") {
            seqs.push(entry.seq.0);
        }
    }
    seqs
}

/// Its user has done with what it was given; nothing more is there.
async fn come_for_more(client: &Client) {
    let more = tokio::time::timeout(Duration::ZERO, client.next()).await;
    assert!(more.is_err(), "{more:?}");
}

/// Takes and forgets events, as a user does who only sends.
fn forget_events(client: &Client) {
    let client = client.clone();
    tokio::spawn(async move { while client.next().await.is_some() {} });
}

#[tokio::test]
async fn token_travels_in_the_header_or_in_hello() {
    let server = Server::bind().await;
    let client = Client::connect(server.config());
    let peer = server.live().await;
    assert_eq!(peer.token.as_ref().unwrap(), "Bearer secret");
    client.live().await.unwrap();
    let config = Config {
        token_in: TokenIn::Hello,
        ..server.config()
    };
    let _other = Client::connect(config);
    let mut peer = server.accept().await;
    assert!(peer.token.is_none());
    let (_, first) = peer.hear().await.unwrap();
    assert!(matches!(first, Command::Hello(hello) if hello.token.as_deref() == Some("secret")));
}

#[tokio::test]
async fn a_server_that_refuses_is_tried_until_it_takes() {
    let server = Server::bind().await;
    let client = Client::connect(server.config());
    for _ in 0..3 {
        let refused = server.handshake(StatusCode::SERVICE_UNAVAILABLE).await;
        assert!(refused.is_err());
    }
    let (gone, _) = server.0.accept().await.unwrap();
    drop(gone);
    let _peer = server.live().await;
    client.live().await.unwrap();
    assert_eq!(client.state(), State::Live);
}

#[tokio::test]
async fn a_refused_token_ends_the_client_and_everything_waiting() {
    let server = Server::bind().await;
    let client = Client::connect(server.config());
    let pending = send(&client).await;
    let refused = server.handshake(StatusCode::UNAUTHORIZED).await;
    assert!(refused.is_err());
    assert_eq!(client.live().await, Err(ClientError::Closed));
    assert_eq!(pending.await, Err(ClientError::Closed));
    let event = client.next().await;
    let lost = matches!(event, Some(Event::Disconnected { why, .. }) if why == Lost::Unauthorized);
    assert!(lost);
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn a_fresh_token_is_used_when_the_old_one_has_expired() {
    let server = Server::bind().await;
    let asked = Arc::new(Mutex::new(0));
    let config = Config {
        token: Arc::new(move || {
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            format!("token-{asked}")
        }),
        ..server.config()
    };
    let client = Client::connect(config);
    let refused = server.handshake(StatusCode::UNAUTHORIZED).await;
    assert!(refused.is_err());
    let peer = server.live().await;
    client.live().await.unwrap();
    assert_ne!(peer.token.unwrap(), "Bearer token-1");
}

#[tokio::test]
async fn closing_with_a_hint_leads_to_the_other_server() {
    let (server, other) = (Server::bind().await, Server::bind().await);
    let client = Client::connect(server.config());
    let mut peer = server.live().await;
    client.live().await.unwrap();
    let closing = Closing {
        code: Code::ShuttingDown,
        reconnect_after_ms: 1,
        reconnect_to: Some(other.url()),
    };
    peer.say(None, &Frame::Closing(closing)).await;
    peer.close(CloseCode::Restart).await;
    let mut peer = other.live().await;
    peer.say(None, &Frame::Entry(entry(1, "bob", "b-1"))).await;
    assert_eq!(entries(&client, 1).await, [1]);
}

#[tokio::test]
async fn unsettled_commands_travel_again_and_are_settled_once() {
    let server = Server::bind().await;
    let client = Client::connect(server.config());
    let mut peer = server.live().await;
    let (mut one, two) = (send(&client).await, send(&client).await);
    let first = peer.hear_send().await;
    assert_eq!(first, *one.client_id());
    let accepted = Accepted {
        chat: chat(),
        client_id: first.clone(),
        id: "0a".into(),
        at: Timestamp(0),
    };
    peer.say(None, &Frame::Sent(accepted)).await;
    assert_eq!(one.sent().await.unwrap().id, "0a");
    let second = peer.hear_send().await;
    drop(peer);
    let mut peer = server.live().await;
    assert_eq!(peer.hear_send().await, first);
    assert_eq!(peer.hear_send().await, second);
    for (seq, id) in [(1, &first), (2, &second), (1, &first)] {
        let entry = entry(seq, "ada", id.as_str());
        peer.say(None, &Frame::Entry(entry)).await;
    }
    let outcome = |seq| Outcome::Accepted {
        chat: chat(),
        seq: Seq(seq),
    };
    assert_eq!(one.await.unwrap(), outcome(1));
    assert_eq!(two.await.unwrap(), outcome(2));
    assert_eq!(entries(&client, 2).await, [1, 2]);
}

#[tokio::test]
async fn entries_pushed_again_after_a_break_are_handed_over_once() {
    let server = Server::bind().await;
    let client = Client::connect(server.config());
    let mut peer = server.live().await;
    for seq in [1, 2, 2, 3] {
        peer.say(None, &Frame::Entry(entry(seq, "bob", "b"))).await;
    }
    assert_eq!(entries(&client, 3).await, [1, 2, 3]);
    drop(peer);
    let mut peer = server.live().await;
    for seq in 1..=4 {
        peer.say(None, &Frame::Entry(entry(seq, "bob", "b"))).await;
    }
    assert_eq!(entries(&client, 1).await, [4]);
    assert_eq!(client.progress().of(&chat()), Some(Seq(4)));
}

#[tokio::test]
async fn a_slow_user_gets_everything_and_the_socket_waits() {
    const COUNT: u64 = 20_000;
    let server = Server::bind().await;
    let mut config = server.config();
    config.events = 16;
    let client = Client::connect(config);
    let mut peer = server.live().await;
    let pushing = tokio::spawn(async move {
        for seq in 1..=COUNT {
            let text = encode_frame(None, &Frame::Entry(entry(seq, "bob", "b")));
            let text = String::from_utf8(text).unwrap();
            peer.socket.feed(Message::text(text)).await.unwrap();
        }
        peer.socket.flush().await.unwrap();
        peer
    });
    client.live().await.unwrap();
    assert!(
        !pushing.is_finished(),
        "some MB do not fit into 16 events and the kernel's buffers"
    );
    let all = entries(&client, COUNT as usize).await;
    assert_eq!(all, (1..=COUNT).collect::<Vec<_>>());
    pushing.await.unwrap();
}

#[tokio::test]
async fn the_server_never_sees_more_than_128_unsettled() {
    let server = Server::bind().await;
    let client = Client::connect(server.config());
    forget_events(&client);
    let mut peer = server.live().await;
    let sender = client.clone();
    let sending = tokio::spawn(async move {
        let mut all = Vec::new();
        for _ in 0..1000 {
            all.push(send(&sender).await);
        }
        for (n, pending) in all.into_iter().enumerate() {
            let seq = Seq(n as u64 + 1);
            let outcome = pending.await.unwrap();
            assert_eq!(outcome, Outcome::Accepted { chat: chat(), seq });
        }
    });
    let mut unsettled = std::collections::VecDeque::new();
    for _ in 0..128 {
        unsettled.push_back(peer.hear_send().await);
    }
    let mut seq = 0;
    while let Some(id) = unsettled.pop_front() {
        seq += 1;
        let entry = entry(seq, "ada", id.as_str());
        peer.say(None, &Frame::Entry(entry)).await;
        if seq <= 1000 - 128 {
            unsettled.push_back(peer.hear_send().await);
            assert!(unsettled.len() <= 128);
        }
    }
    sending.await.unwrap();
}

#[tokio::test]
async fn reads_and_settings_bring_their_answer_or_refusal() {
    let server = Server::bind().await;
    let client = Client::connect(server.config());
    let mut peer = server.live().await;
    let asker = client.clone();
    let asking = tokio::spawn(async move { asker.chats(None, Some(3)).await });
    let (reference, query) = peer.hear().await.unwrap();
    assert!(matches!(query, Command::Chats(query) if query.limit == Some(3)));
    let page = Chats {
        chats: vec![],
        cursor: None,
        behind: true,
    };
    peer.say(Some(&reference), &Frame::Chats(page.clone()))
        .await;
    assert_eq!(asking.await.unwrap(), Ok(page));
    let asker = client.clone();
    let asking = tokio::spawn(async move { asker.pin(&chat(), true).await });
    let (reference, _) = peer.hear().await.unwrap();
    let refusal = Refusal::plain(Code::NotMember);
    peer.say(Some(&reference), &Frame::Error(refusal.clone()))
        .await;
    assert_eq!(asking.await.unwrap(), Err(ClientError::Refused(refusal)));
}

#[tokio::test]
async fn pings_are_answered() {
    let server = Server::bind().await;
    let _client = Client::connect(server.config());
    let mut peer = server.live().await;
    peer.socket.send(Message::Ping("x".into())).await.unwrap();
    loop {
        if let Message::Pong(data) = peer.socket.next().await.unwrap().unwrap() {
            assert_eq!(&data[..], b"x");
            return;
        }
    }
}

#[tokio::test]
async fn closing_writes_the_marks_that_wait_and_says_goodbye() {
    let server = Server::bind().await;
    let client = Client::connect(server.config());
    let mut peer = server.live().await;
    peer.say(None, &Frame::Entry(entry(1, "bob", "b"))).await;
    assert_eq!(entries(&client, 1).await, [1]);
    come_for_more(&client).await;
    client.mark_read(&chat(), Seq(1)).await.unwrap();
    client.close().await;
    let mut kinds = Vec::new();
    while let Some((_, command)) = peer.hear().await {
        match command {
            Command::Delivered(_) => kinds.push("delivered"),
            Command::Read(_) => kinds.push("read"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(kinds, ["delivered", "read"]);
    let gone = client.send(&chat(), WireBody::text("x")).await;
    assert_eq!(gone.unwrap_err(), ClientError::Closed);
}

#[tokio::test]
async fn an_entry_in_its_users_hands_is_not_marked_and_comes_again_after_a_crash() {
    let server = Server::bind().await;
    let client = Client::connect(server.config());
    let mut peer = server.live().await;
    peer.say(None, &Frame::Entry(entry(1, "bob", "b"))).await;
    peer.say(None, &Frame::Entry(entry(2, "bob", "b"))).await;
    assert_eq!(entries(&client, 1).await, [1]);
    let written_down = client.progress();
    assert_eq!(entries(&client, 1).await, [2]);
    client.close().await;
    let (_, command) = peer.hear().await.unwrap();
    let first = MarkUpTo {
        chat: chat(),
        seq: Seq(1),
    };
    assert_eq!(command, Command::Delivered(first));
    assert_eq!(
        peer.hear().await,
        None,
        "the second may be lost with its user"
    );
    let mut config = server.config();
    config.progress = written_down;
    let client = Client::connect(config);
    let mut peer = server.live().await;
    peer.say(None, &Frame::Entry(entry(2, "bob", "b"))).await;
    assert_eq!(entries(&client, 1).await, [2]);
}

#[tokio::test]
async fn an_observer_sees_a_command_begin_and_end() {
    #[derive(Default)]
    struct Seen(Mutex<Vec<&'static str>>);
    impl Observer for Seen {
        fn observe(&self, output: &Output) {
            let name = match output {
                Output::Began { .. } => "began",
                Output::Sent { .. } => "sent",
                Output::Settled { .. } => "settled",
                Output::Event(Event::Entry(_)) => "entry",
                _ => return,
            };
            self.0.lock().unwrap().push(name);
        }
    }
    let (server, seen) = (Server::bind().await, Arc::new(Seen::default()));
    let mut config = server.config();
    config.observer = Some(seen.clone());
    let client = Client::connect(config);
    let mut peer = server.live().await;
    let pending = send(&client).await;
    let id = peer.hear_send().await;
    let accepted = Accepted {
        chat: chat(),
        client_id: id.clone(),
        id: "0a".into(),
        at: Timestamp(0),
    };
    peer.say(None, &Frame::Sent(accepted)).await;
    peer.say(None, &Frame::Entry(entry(1, "ada", id.as_str())))
        .await;
    pending.await.unwrap();
    entries(&client, 1).await;
    assert_eq!(
        *seen.0.lock().unwrap(),
        ["began", "sent", "settled", "entry"]
    );
}
