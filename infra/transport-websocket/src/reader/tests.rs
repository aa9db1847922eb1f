//! The read buffer is given back when it is empty, and only then.

use bytes::Bytes;
use infra_ports::{FrameReader, Inbound};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::{Reader, smallest_frame_bytes};
use crate::Config;

/// A text frame of so many bytes, with a mask of zeros; its header has the length in 8 bytes when
/// `long` and else in as few as it needs.
fn frame(first: u8, text_bytes: usize, long: bool) -> Vec<u8> {
    let mut frame = vec![first];
    match (u8::try_from(text_bytes), u16::try_from(text_bytes)) {
        (Ok(short), _) if short < 126 && !long => frame.push(0x80 | short),
        (_, Ok(middle)) if !long => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(text_bytes as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.resize(frame.len() + text_bytes, b'x');
    frame
}

/// A reader whose client sends this in one go; the client's end, to keep it open.
async fn reader(sent: Vec<u8>) -> (Reader, tokio::task::JoinHandle<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (read, write) = stream.into_split();
    write.forget();
    let client = tokio::spawn(async move {
        client.write_all(&sent).await.unwrap();
        client
    });
    (
        Reader::new(read, Bytes::new(), &Config::default()).await,
        client,
    )
}

async fn expect_text(reader: &mut Reader, text_bytes: usize) {
    let Inbound::Text(text) = reader.next().await.unwrap() else {
        panic!("a text was sent")
    };
    assert_eq!(text, vec![b'x'; text_bytes]);
}

#[test]
fn the_smallest_frame_is_counted_as_it_is_sent() {
    for text_bytes in [0, 125, 126, 65_535, 65_536] {
        let sent = frame(0x81, text_bytes, false).len();
        assert_eq!(
            smallest_frame_bytes(text_bytes),
            sent as u64,
            "{text_bytes} bytes"
        );
    }
}

#[tokio::test]
async fn a_buffer_that_has_grown_is_given_back_once_it_is_empty() {
    let (mut reader, _client) = reader(frame(0x81, 200_000, false)).await;
    expect_text(&mut reader, 200_000).await;
    assert!(!reader.grown);
    assert_eq!(reader.consumed_bytes, reader.frames.get_ref().read_bytes);
}

#[tokio::test]
async fn frames_behind_a_large_one_survive_the_buffer() {
    let mut sent = Vec::new();
    for text_bytes in [70_000, 5, 0, 9_000, 200_000, 1, 130] {
        sent.extend(frame(0x81, text_bytes, false));
        sent.extend(frame(0x89, 3, false));
    }
    let (mut reader, _client) = reader(sent).await;
    for text_bytes in [70_000, 5, 0, 9_000, 200_000, 1, 130] {
        expect_text(&mut reader, text_bytes).await;
        assert_eq!(reader.next().await.unwrap(), Inbound::Alive);
        assert!(matches!(reader.next().await.unwrap(), Inbound::Reply(pong) if pong.len() == 5));
    }
    assert!(!reader.grown, "everything was read");
}

#[tokio::test]
async fn fragments_and_long_headers_keep_the_buffer_and_lose_nothing() {
    let mut sent = frame(0x01, 50_000, false);
    sent.extend(frame(0x80, 50_000, false));
    sent.extend(frame(0x81, 10, true));
    sent.extend(frame(0x81, 60_000, false));
    let (mut reader, _client) = reader(sent).await;
    for text_bytes in [100_000, 10, 60_000] {
        expect_text(&mut reader, text_bytes).await;
    }
    assert!(reader.grown);
}
