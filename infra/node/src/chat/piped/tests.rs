//! Lines in, lines out, against a server that the test plays by hand.

use std::io::Cursor;

use cursus_client::Config;
use futures_util::{SinkExt, StreamExt};
use schemas::errors::Code;
use schemas::frames::{
    Command, Entry, Frame, SUBPROTOCOL, Send, Verdict, Welcome, decode_command, encode_frame,
};
use schemas::ids::DeviceId;
use schemas::position::{Ordinal, Seq, Timestamp};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::*;

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn chat() -> ChatId {
    ChatId::new("d.ada.bob").unwrap()
}

fn device() -> DeviceId {
    DeviceId::new("terminal").unwrap()
}

/// The server's end of the socket.
struct Peer(WebSocketStream<TcpStream>);

impl Peer {
    #[expect(clippy::result_large_err, reason = "the callback's own type")]
    async fn live(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        let agree = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            let protocol = HeaderValue::from_static(SUBPROTOCOL);
            response
                .headers_mut()
                .insert("sec-websocket-protocol", protocol);
            Ok(response)
        };
        let mut peer = Self(accept_hdr_async(stream, agree).await.unwrap());
        let welcome = Welcome {
            user: user("ada"),
            device: device(),
            at: Timestamp(0),
            heartbeat_ms: 30_000,
        };
        peer.say(&Frame::Welcome(welcome)).await;
        peer.say(&Frame::Live {}).await;
        peer
    }

    async fn say(&mut self, frame: &Frame) {
        let text = String::from_utf8(encode_frame(None, frame)).unwrap();
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next command but marks.
    async fn hear(&mut self) -> Option<Send> {
        while let Some(Ok(message)) = self.0.next().await {
            let Message::Text(text) = message else {
                continue;
            };
            match decode_command(text.as_bytes()).value.unwrap() {
                Command::Send(send) => return Some(send),
                Command::Delivered(_) | Command::Read(_) => {}
                other => panic!("{other:?}"),
            }
        }
        None
    }

    async fn entry(&mut self, seq: u64, author: &str, send: &Send) {
        let entry = Entry {
            chat: chat(),
            seq: Seq(seq),
            ordinal: Ordinal(seq),
            at: Timestamp(0),
            author: user(author),
            device: device(),
            client_id: send.client_id.clone(),
            id: "0".into(),
            event: EntryEvent::Message {
                body: send.body.clone(),
                reply_to: None,
            },
        };
        self.say(&Frame::Entry(entry)).await;
    }
}

fn text(send: &Send) -> String {
    send.body.text.clone().unwrap()
}

struct Ended {
    result: anyhow::Result<()>,
    lines: String,
    complaints: String,
}

/// Runs the piped chat of ada with this input against a server.
async fn pipe(input: Vec<u8>, listener: &TcpListener) -> Ended {
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let mut config = Config::new(url, "secret");
    config.session.verify_heads = false;
    let client = Client::connect(config);
    let (mut lines, mut complaints) = (Vec::new(), Vec::new());
    let outputs = Outputs {
        lines: &mut lines,
        complaints: &mut complaints,
        terminal: false,
    };
    let result = run(&client, &user("ada"), &chat(), Cursor::new(input), outputs).await;
    client.close().await;
    Ended {
        result,
        lines: String::from_utf8(lines).unwrap(),
        complaints: String::from_utf8(complaints).unwrap(),
    }
}

#[tokio::test]
async fn every_line_of_a_long_file_is_sent_in_order_and_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let input: String = (1..=2000).map(|n| format!("line {n}\n")).collect();
    let serve = async {
        let mut peer = Peer::live(&listener).await;
        for n in 1..=2000 {
            let send = peer.hear().await.unwrap();
            assert_eq!(text(&send), format!("line {n}"));
            peer.entry(n, "ada", &send).await;
        }
        assert!(peer.hear().await.is_none());
    };
    let (ended, ()) = tokio::join!(pipe(input.into_bytes(), &listener), serve);
    ended.result.unwrap();
    assert_eq!((ended.lines.as_str(), ended.complaints.as_str()), ("", ""));
}

#[tokio::test]
async fn lines_of_others_are_printed_plainly_while_sending_and_own_ones_are_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let serve = async {
        let mut peer = Peer::live(&listener).await;
        let mut send = peer.hear().await.unwrap();
        let mine = send.clone();
        send.body = WireBody::text("hello yourself");
        peer.entry(1, "bob", &send).await;
        peer.entry(2, "ada", &mine).await;
        assert!(peer.hear().await.is_none());
    };
    let (ended, ()) = tokio::join!(pipe(b"hello\n".to_vec(), &listener), serve);
    ended.result.unwrap();
    assert_eq!(ended.lines, "hello yourself\n");
}

#[test]
fn a_message_is_one_line_and_a_terminal_obeys_none_of_it() {
    let text = "one\r\ntwo \x1b[2J\u{202e}";
    assert_eq!(one_line(text, true), "one\\r\\ntwo \u{fffd}[2J\u{fffd}");
    assert_eq!(one_line(text, false), "one\\r\\ntwo \x1b[2J\u{202e}");
}

#[tokio::test]
async fn a_refused_line_is_named_and_makes_the_whole_fail_after_the_rest_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let serve = async {
        let mut peer = Peer::live(&listener).await;
        let refused = peer.hear().await.unwrap();
        let verdict = Verdict {
            chat: chat(),
            device: device(),
            client_id: refused.client_id,
            seq: None,
            code: Some(Code::NotMember),
        };
        peer.say(&Frame::Verdict(verdict)).await;
        let send = peer.hear().await.unwrap();
        assert_eq!(text(&send), "two");
        peer.entry(1, "ada", &send).await;
        assert!(peer.hear().await.is_none());
    };
    let (ended, ()) = tokio::join!(pipe(b"one\n\ntwo\n".to_vec(), &listener), serve);
    let error = ended.result.unwrap_err().to_string();
    assert_eq!(error, "1 of 3 lines were refused");
    assert!(ended.complaints.starts_with("line 1: not_member"));
}

#[tokio::test]
async fn a_broken_socket_loses_no_line() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let serve = async {
        let mut peer = Peer::live(&listener).await;
        let lost = peer.hear().await.unwrap();
        drop(peer);
        let mut peer = Peer::live(&listener).await;
        let again = peer.hear().await.unwrap();
        assert_eq!(lost, again);
        peer.entry(1, "ada", &again).await;
        assert!(peer.hear().await.is_none());
    };
    let (ended, ()) = tokio::join!(pipe(b"once".to_vec(), &listener), serve);
    ended.result.unwrap();
    assert!(ended.complaints.contains("trying again"));
}

#[tokio::test]
async fn what_is_no_text_stops_and_names_the_line() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let serve = async {
        let mut peer = Peer::live(&listener).await;
        while let Some(send) = peer.hear().await {
            peer.entry(1, "ada", &send).await;
        }
    };
    let (ended, ()) = tokio::join!(pipe(b"good\n\xff\xfe\n".to_vec(), &listener), serve);
    assert_eq!(ended.result.unwrap_err().to_string(), "line 2");
}
