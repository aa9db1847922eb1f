//! What a reader keeps between frames, and that nothing is lost however they are cut.

use bytes::Bytes;
use infra_ports::{FrameReader, Inbound};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::Reader;
use crate::Config;

/// A frame of so many bytes, with a mask of zeros; its header has the length in 8 bytes when `long`
/// and else in as few as it needs.
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

/// A reader whose client sends these one after the other; the client's end, to keep it open.
async fn reader(pieces: Vec<Vec<u8>>) -> (Reader, tokio::task::JoinHandle<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    client.set_nodelay(true).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (read, write) = stream.into_split();
    write.forget();
    let client = tokio::spawn(async move {
        for piece in pieces {
            client.write_all(&piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        client
    });
    (Reader::new(read, &Bytes::new(), &Config::default()), client)
}

async fn expect_text(reader: &mut Reader, text_bytes: usize) {
    let Inbound::Text(text) = reader.next().await.unwrap() else {
        panic!("a text was sent")
    };
    assert_eq!(text, vec![b'x'; text_bytes]);
}

async fn expect_ping(reader: &mut Reader) {
    assert_eq!(reader.next().await.unwrap(), Inbound::Alive);
    assert!(matches!(reader.next().await.unwrap(), Inbound::Reply(pong) if pong.len() == 5));
}

fn holds_nothing(reader: &Reader) -> bool {
    reader.unread.capacity() == 0 && reader.parts.is_none() && reader.answer.is_none()
}

#[tokio::test]
async fn a_reader_that_has_taken_everything_holds_no_buffer() {
    for text_bytes in [5, 20_000, 200_000] {
        let (mut reader, _client) = reader(vec![frame(0x81, text_bytes, true)]).await;
        expect_text(&mut reader, text_bytes).await;
        assert!(holds_nothing(&reader), "{text_bytes} bytes");
    }
}

#[tokio::test]
async fn frames_that_come_together_are_all_taken() {
    let sizes = [70_000, 5, 0, 9_000, 200_000, 1, 130];
    let mut sent = Vec::new();
    for text_bytes in sizes {
        sent.extend(frame(0x81, text_bytes, false));
        sent.extend(frame(0x89, 3, false));
    }
    let (mut reader, _client) = reader(vec![sent]).await;
    for text_bytes in sizes {
        expect_text(&mut reader, text_bytes).await;
        expect_ping(&mut reader).await;
    }
    assert!(holds_nothing(&reader));
}

#[tokio::test]
async fn frames_that_come_byte_by_byte_are_all_taken() {
    let mut sent = Vec::new();
    for text_bytes in [0, 5, 130] {
        sent.extend(frame(0x01, text_bytes, true));
        sent.extend(frame(0x89, 3, false));
        sent.extend(frame(0x00, 0, false));
        sent.extend(frame(0x80, 1, false));
    }
    let bytes = sent.into_iter().map(|byte| vec![byte]).collect();
    let (mut reader, _client) = reader(bytes).await;
    for text_bytes in [0, 5, 130] {
        expect_ping(&mut reader).await;
        expect_text(&mut reader, text_bytes + 1).await;
    }
    assert!(holds_nothing(&reader));
}

#[tokio::test]
async fn parts_that_say_nothing_do_not_pile_up() {
    // Each ends in the middle of the next, so that nothing is ever taken to the end.
    let empty = frame(0x00, 0, false);
    let mut first = frame(0x01, 1, false);
    first.extend(&empty[..3]);
    let piece = [&empty[3..], &empty[..3]].concat();
    let mut pieces = vec![first];
    pieces.extend(vec![piece.repeat(500); 20]);
    pieces.push(
        [
            &empty[3..],
            &frame(0x80, 1, false),
            &frame(0x81, 7, false)[..3],
        ]
        .concat(),
    );
    let (mut reader, _client) = reader(pieces).await;
    expect_text(&mut reader, 2).await;
    assert!(reader.unread.capacity() < 2 * super::READ_BYTES);
}
