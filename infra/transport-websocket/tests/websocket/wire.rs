//! The wire bytes of the port, as tungstenite reads them.

use std::io::Cursor;

use infra_ports::transport::{encode_close, encode_ping, encode_pong, encode_text};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

/// Everything that a client reads off these bytes, until they end.
fn read(bytes: &[u8]) -> Vec<Message> {
    let mut client = WebSocket::from_raw_socket(Cursor::new(bytes.to_vec()), Role::Client, None);
    let mut messages = Vec::new();
    while let Ok(message) = client.read() {
        messages.push(message);
    }
    messages
}

#[test]
fn texts_of_every_length_class_are_read_back() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 300_000] {
        let text = "x".repeat(length);
        assert_eq!(
            read(&encode_text(text.as_bytes())),
            [Message::text(text)],
            "{length} bytes"
        );
    }
}

#[test]
fn headers_are_as_short_as_the_rfc_demands() {
    for (length, header) in [(125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
        assert_eq!(
            encode_text(&vec![b'x'; length]).len(),
            length + header,
            "{length} bytes"
        );
    }
}

#[test]
fn pings_and_pongs_are_read_back() {
    assert_eq!(read(&encode_ping()), [Message::Ping(Vec::new().into())]);
    assert_eq!(
        read(&encode_pong(b"here")),
        [Message::Pong(b"here".to_vec().into())]
    );
    let cut = vec![b'x'; 125];
    assert_eq!(
        read(&encode_pong(&[b'x'; 200])),
        [Message::Pong(cut.into())]
    );
}

fn close(code: u16, reason: &str) -> (u16, String) {
    match read(&encode_close(code, reason)).pop() {
        Some(Message::Close(Some(frame))) => (frame.code.into(), frame.reason.to_string()),
        other => panic!("{other:?} instead of a close"),
    }
}

#[test]
fn closes_are_read_back_with_code_and_reason() {
    assert_eq!(
        close(1012, "service restart"),
        (1012, "service restart".to_owned())
    );
    assert_eq!(close(4001, ""), (4001, String::new()));
}

#[test]
fn a_reason_too_long_is_cut_between_characters() {
    assert_eq!(close(1008, &"x".repeat(200)).1, "x".repeat(123));
    // 30 wheels are 120 bytes; of the 31st there is room for three bytes of four.
    assert_eq!(close(1008, &"🚲".repeat(31)).1, "🚲".repeat(30));
}
