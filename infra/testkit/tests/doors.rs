//! Who is let in: a node that delivers nothing any more says so, and no address takes all places.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use infra_testkit::platform::Platform;
use infra_testkit::raw::RawClient;
use ingest::Rate;
use schemas::frames::SUBPROTOCOL;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Asks once over a connection of its own and answers all that comes.
fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    // A connection that was turned away may be gone already.
    drop(stream.write_all(request.as_bytes()));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8(answer).unwrap()
}

/// Asks for a socket, without a token and from this address; what the node answers first.
async fn knock_from(from: [u8; 4], address: SocketAddr) -> String {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request = format!(
        "GET /v1/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4_096];
    let mut read = 0;
    // The head, and the body after it where there is one.
    while !String::from_utf8_lossy(&answer[..read]).contains("}}") {
        match stream.read(&mut answer[read..]).await.unwrap() {
            0 => break,
            more => read += more,
        }
        if answer.starts_with(b"HTTP/1.1 101") {
            break;
        }
    }
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

/// Asks until the answer is as wanted.
async fn until(address: SocketAddr, path: &'static str, wanted: impl Fn(&str) -> bool) -> String {
    let asked = async {
        loop {
            let answer = tokio::task::spawn_blocking(move || ask(address, path));
            let answer = answer.await.unwrap();
            if wanted(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(30), asked).await;
    asked.expect("the wanted answer in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_when_nothing_is_delivered_any_more_is_told_to_go_elsewhere() {
    let mut log = None;
    let platform = Platform::start_on(
        |_| {},
        |adapters| {
            log = Some(adapters.log.clone());
            adapters
        },
    );
    let platform = platform.await.unwrap();
    log.unwrap().close().await.unwrap();
    let address = platform.node().address();
    let refused = |answer: &str| answer.contains("\"shutting_down\"");
    let answer = until(address, "/v1/connect", refused).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    for page in ["/readyz", "/healthz"] {
        let report = until(address, page, |_| true).await;
        assert!(report.starts_with("HTTP/1.1 503"), "{page}: {report}");
    }
    let trouble = platform.try_shutdown().await.unwrap_err().to_string();
    assert!(trouble.contains("the log is closed"), "{trouble}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_never_takes_all_places() {
    let platform = Platform::start_with(|config| config.connections_per_address = 2);
    let platform = platform.await.unwrap();
    let address = platform.node().address();
    let held = [TcpStream::connect(address), TcpStream::connect(address)];
    until(address, "/healthz", str::is_empty).await;
    drop(held);
    let answer = until(address, "/healthz", |answer| !answer.is_empty()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_when_to_come_back_whatever_they_ask_for() {
    let platform = Platform::start_with(|config| config.ingest.addresses = Rate::new(1, 2));
    let platform = platform.await.unwrap();
    let address = platform.node().address();
    for path in ["/v1/connect", "/v1/chats", "/nothing"] {
        let refused = |answer: &str| answer.starts_with("HTTP/1.1 429");
        let answer = until(address, path, refused).await;
        assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
        assert!(answer.contains("\"rate_limited\""), "{answer}");
        assert!(is_let_in(&ask(address, "/healthz")), "free on loopback");
    }
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_may_be_served_apart_and_then_nowhere_else() {
    let apart = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let platform = Platform::start_with(|config| config.operators_listen = apart);
    let platform = platform.await.unwrap();
    let (clients, operators) = (
        platform.node().address(),
        platform.node().operators_address(),
    );
    assert_ne!(clients, operators);
    for page in ["/healthz", "/readyz", "/metrics"] {
        until(operators, page, is_let_in).await;
        assert!(ask(clients, page).starts_with("HTTP/1.1 404"), "{page}");
    }
    assert!(ask(operators, "/v1/chats").starts_with("HTTP/1.1 404"));
    platform.shutdown().await;
}

/// A healthy answer over a connection of its own.
fn is_let_in(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_keeps_the_place_of_its_address_until_it_has_said_who_it_is() {
    let platform = Platform::start_with(|config| {
        config.connections_per_address = 3;
        config.delivery.hello_within = Duration::from_secs(600);
    });
    let platform = platform.await.unwrap();
    let (address, url) = (platform.node().address(), platform.url());
    let mut strangers = Vec::new();
    for _ in 0..3 {
        strangers.push(RawClient::connect(&url, None).await.unwrap());
    }
    assert_eq!(ask(address, "/healthz"), "", "no place is left");
    assert!(RawClient::connect(&url, None).await.is_err());
    // Who says a valid hello makes room, again and again: sessions are not counted here.
    for name in ["ada", "bob", "eve"] {
        let hello = json!({ "token": platform.token(name, "phone").unwrap() });
        let hello = json!({ "type": "hello", "ref": "h", "data": hello });
        let mut known = strangers.remove(0);
        known.send(hello.to_string()).await.unwrap();
        assert_eq!(known.answer("h").await.unwrap()["type"], "welcome");
        until(address, "/healthz", is_let_in).await;
        strangers.push(known);
    }
    let token = platform.token("eve", "tablet").unwrap();
    let in_handshake = RawClient::live(&url, &token).await.unwrap();
    // The fourth was a session at once, so three more strangers have room.
    let three_more = async {
        while strangers.len() < 6 {
            strangers.extend(RawClient::connect(&url, None).await);
        }
    };
    let three_more = tokio::time::timeout(Duration::from_secs(30), three_more).await;
    three_more.expect("room for strangers");
    assert_eq!(ask(address, "/healthz"), "", "no place is left");
    drop((strangers, in_handshake));
    until(address, "/healthz", is_let_in).await;
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_have_said_no_hello_are_bounded_from_all_addresses_together() {
    let platform = Platform::start_with(|config| {
        config.sockets_without_hello = 2;
        config.delivery.hello_within = Duration::from_secs(600);
    });
    let platform = platform.await.unwrap();
    let (address, url) = (platform.node().address(), platform.url());
    let mut first = RawClient::connect(&url, None).await.unwrap();
    let second = RawClient::connect(&url, None).await.unwrap();
    let refused = knock_from([127, 0, 0, 2], address).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("too_many_sessions"), "{refused}");
    // With a token in the handshake nobody is a stranger.
    let token = platform.token("ada", "phone").unwrap();
    drop(RawClient::live(&url, &token).await.unwrap());
    let hello = json!({ "type": "hello", "ref": "h", "data": { "token": token } });
    first.send(hello.to_string()).await.unwrap();
    assert_eq!(first.answer("h").await.unwrap()["type"], "welcome");
    let third = async {
        loop {
            if let Ok(third) = RawClient::connect(&url, None).await {
                return third;
            }
        }
    };
    let third = tokio::time::timeout(Duration::from_secs(30), third).await;
    let third = third.expect("who has said hello made room");
    drop((second, third));
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_never_takes_all_sessions() {
    let platform = Platform::start_with(|config| config.delivery.sessions_per_user = 2);
    let platform = platform.await.unwrap();
    let (url, ada) = (platform.url(), platform.token("ada", "phone").unwrap());
    let first = RawClient::live(&url, &ada).await.unwrap();
    let second = RawClient::live(&url, &ada).await.unwrap();
    let mut third = RawClient::connect(&url, Some(&ada)).await.unwrap();
    let refused = third.until("error").await.unwrap();
    assert_eq!(refused["code"], "too_many_sessions");
    assert_eq!(third.until_closed().await.unwrap(), Some(1013));
    let bob = platform.token("bob", "phone").unwrap();
    drop(RawClient::live(&url, &bob).await.unwrap());
    drop(first);
    let again = async { while RawClient::live(&url, &ada).await.is_err() {} };
    let again = tokio::time::timeout(Duration::from_secs(30), again).await;
    again.expect("who left has made room");
    drop(second);
    platform.shutdown().await;
}
