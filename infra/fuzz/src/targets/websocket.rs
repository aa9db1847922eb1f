//! What a client writes into its socket after the handshake: frames, fragments, masks, lengths.
//!
//! The reader ends every session in one way, holds no more than its limit, and does not care how
//! the bytes were cut on their way: whole or in small pieces they read as the same.

use bytes::Bytes;
use infra_ports::{FrameReader, Inbound, TransportError};
use infra_transport_websocket::{Config, open_stream};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::{Target, linear};

const LIMITS: Config = Config {
    message_bytes: 4096,
};
/// A piece on its way.
const PIECE_BYTES: usize = 7;

pub(super) struct Websocket {
    runtime: tokio::runtime::Runtime,
}

impl Websocket {
    pub(super) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        Self {
            runtime: runtime.expect("a runtime"),
        }
    }
}

/// A frame as a client sends it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < 126 => frame.push(0x80 | short),
        (_, middle) => {
            frame.push(0x80 | 126);
            frame.extend(middle.unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend(mask);
    let keys = mask.iter().cycle();
    frame.extend(payload.iter().zip(keys).map(|(byte, key)| byte ^ key));
    frame
}

impl Target for Websocket {
    fn name(&self) -> &'static str {
        "websocket"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        let text = "drei 🚲".as_bytes();
        vec![
            [
                masked(0x81, b"one"),
                masked(0x81, text),
                masked(0x88, &[3, 232]),
            ]
            .concat(),
            [
                masked(0x01, b"in "),
                masked(0x89, b"!"),
                masked(0x00, b"three "),
                masked(0x80, b"parts"),
            ]
            .concat(),
            [masked(0x89, &[]), masked(0x8A, b"pong"), masked(0x88, &[])].concat(),
            [
                masked(0x81, &[b'x'; 200]),
                masked(0x81, &[b'y'; 4096]),
                masked(0x81, b"z"),
            ]
            .concat(),
            [
                masked(0x01, &[b'x'; 4000]),
                masked(0x00, &[b'x'; 90]),
                masked(0x80, &[b'x'; 10]),
            ]
            .concat(),
            [masked(0x82, b"binary"), masked(0x81, b"after")].concat(),
            [
                masked(0x81, b"one"),
                masked(0x88, b"\x03\xe9going away"),
                masked(0x81, b"late"),
            ]
            .concat(),
        ]
    }

    fn bound_bytes(&self, input_bytes: usize) -> u64 {
        // Both runs, their outcomes, and what was read and not taken yet.
        linear(input_bytes, 16) + 16 * LIMITS.message_bytes as u64
    }

    fn run(&self, input: &[u8]) {
        self.runtime.block_on(async {
            let whole = Outcome::of(input, input.len().max(1)).await;
            let pieces = Outcome::of(input, PIECE_BYTES.max(input.len() / 64)).await;
            assert_eq!(whole, pieces, "whole and in pieces");
        });
    }
}

/// How a session went.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    texts: Vec<Bytes>,
    /// Answers of the transport's own, one after the other.
    answers: Vec<u8>,
    end: &'static str,
}

impl Outcome {
    async fn of(input: &[u8], piece_bytes: usize) -> Self {
        let (mut client, server) = connection().await;
        let opened = open_stream(server, &Bytes::new(), &LIMITS);
        let (mut reader, writer) = opened.expect("a socket of our own");
        let sends = async {
            for piece in input.chunks(piece_bytes) {
                client
                    .write_all(piece)
                    .await
                    .expect("it is read to its end");
                tokio::task::yield_now().await;
            }
            client.shutdown().await.expect("it is read to its end");
        };
        let (outcome, ()) = tokio::join!(Self::read(&mut *reader), sends);
        writer.shut();
        outcome
    }

    async fn read(reader: &mut dyn FrameReader) -> Self {
        let mut outcome = Self {
            end: "ended",
            ..Self::default()
        };
        loop {
            match reader.next().await {
                Ok(Inbound::Text(text)) => {
                    assert!(text.len() <= LIMITS.message_bytes, "{} bytes", text.len());
                    assert!(std::str::from_utf8(&text).is_ok(), "a text is UTF-8");
                    outcome.texts.push(text);
                }
                Ok(Inbound::Alive) => {}
                Ok(Inbound::Reply(bytes)) => outcome.answers.extend(bytes),
                Ok(Inbound::Closed) => return outcome,
                Err(TransportError::TooLarge { .. }) => outcome.end = "too large",
                Err(TransportError::Malformed(_)) => outcome.end = "malformed",
                Err(error) => panic!("{error}"),
            }
        }
    }
}

async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("loopback");
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (server, _) = accepted.expect("loopback");
    let client = client.expect("loopback");
    client.set_nodelay(true).expect("loopback");
    // A closed connection leaves no port behind: there are as many cases as ports in a minute.
    server.set_zero_linger().expect("loopback");
    (client, server)
}
