//! The laws of the transport port.
//!
//! An adapter's test gives a [`Wire`] that makes connections with a client at the other end;
//! [`check`] runs every law, each on a connection of its own. A law is one behaviour and panics
//! when it is broken.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use futures_util::future::join;

pub use crate::memory::transport::Received;
use crate::transport::{
    FrameReader, FrameWriter, Inbound, TransportError, encode_close, encode_ping, encode_text,
};

/// The client at the other end of a connection. Never answers by itself where it can help it.
#[async_trait]
pub trait Client: Send {
    /// Sends a text frame.
    async fn send_text(&mut self, text: &str);
    /// Sends a ping.
    async fn send_ping(&mut self, payload: &[u8]);
    /// Sends a pong.
    async fn send_pong(&mut self);
    /// Sends a close.
    async fn send_close(&mut self, code: u16, reason: &str);
    /// The next frame from the server, or the end.
    async fn receive(&mut self) -> Received;
}

/// A connection, both ends.
pub struct Connection {
    /// The server's reading half.
    pub reader: Box<dyn FrameReader>,
    /// The server's writing half.
    pub writer: Arc<dyn FrameWriter>,
    /// The client.
    pub client: Box<dyn Client>,
}

/// Makes connections.
#[async_trait]
pub trait Wire: Send + Sync {
    /// A new connection.
    async fn connect(&self) -> Connection;
    /// The largest text that the server takes.
    fn message_bytes(&self) -> usize;
}

/// Runs every law.
///
/// # Panics
/// When a law is broken.
pub async fn check(wire: &dyn Wire) {
    texts_go_both_ways_in_order(wire.connect().await).await;
    pieces_leave_in_order(wire.connect().await).await;
    a_large_text_arrives_whole(wire.connect().await).await;
    a_ping_is_answered_through_the_outbox(wire.connect().await).await;
    a_heartbeat_reaches_the_client_and_its_answer_shows_life(wire.connect().await).await;
    a_close_of_the_client_is_answered(wire.connect().await).await;
    a_close_of_the_server_arrives_with_its_reason(wire.connect().await).await;
    a_client_that_vanishes_is_noticed(wire.connect().await).await;
    a_full_socket_takes_nothing_and_loses_nothing(wire.connect().await).await;
    nothing_is_written_after_shut(wire.connect().await).await;
    shut_wakes_who_waits_for_room(wire.connect().await).await;
    a_dropped_next_loses_nothing(wire.connect().await).await;
    a_text_over_the_limit_ends_the_session(wire.connect().await, wire.message_bytes()).await;
    who_sends_too_much_lives_to_read_why(wire.connect().await, wire.message_bytes()).await;
}

/// Writes all, waiting for room.
///
/// # Errors
/// What the writer said.
pub async fn write_all(writer: &dyn FrameWriter, mut bytes: Bytes) -> Result<(), TransportError> {
    while !bytes.is_empty() {
        let taken = writer.try_write(std::slice::from_ref(&bytes))?;
        bytes.advance(taken);
        if taken == 0 {
            writer.writable().await?;
        }
    }
    Ok(())
}

async fn send(writer: &Arc<dyn FrameWriter>, bytes: Bytes) {
    let written = write_all(writer.as_ref(), bytes).await;
    assert!(written.is_ok(), "{written:?}");
}

async fn expect(connection: &mut Connection, expected: Inbound) {
    match connection.reader.next().await {
        Ok(inbound) => assert_eq!(inbound, expected),
        Err(error) => panic!("{error} instead of {expected:?}"),
    }
}

fn text(text: &'static str) -> Received {
    Received::Text(Bytes::from_static(text.as_bytes()))
}

async fn texts_go_both_ways_in_order(mut connection: Connection) {
    for sent in ["one", "", "drei 🚲"] {
        connection.client.send_text(sent).await;
    }
    for sent in ["one", "", "drei 🚲"] {
        expect(
            &mut connection,
            Inbound::Text(Bytes::from_static(sent.as_bytes())),
        )
        .await;
        send(&connection.writer, encode_text(sent.as_bytes())).await;
    }
    for sent in ["one", "", "drei 🚲"] {
        assert_eq!(connection.client.receive().await, text(sent));
    }
}

async fn pieces_leave_in_order(mut connection: Connection) {
    let first = encode_text(b"first");
    let (head, tail) = first.split_at(3);
    let pieces = [
        Bytes::copy_from_slice(head),
        Bytes::new(),
        Bytes::copy_from_slice(tail),
        encode_text(b"second"),
    ];
    let total: usize = pieces.iter().map(Bytes::len).sum();
    assert_eq!(
        connection.writer.try_write(&pieces).ok(),
        Some(total),
        "an empty socket has room"
    );
    assert_eq!(connection.client.receive().await, text("first"));
    assert_eq!(connection.client.receive().await, text("second"));
    let nothing = connection.writer.try_write(&[]);
    assert_eq!(nothing.ok(), Some(0), "no pieces are no error");
    let many: Vec<Bytes> = (0..200).map(|_| encode_text(b"x")).collect();
    let total: usize = many.iter().map(Bytes::len).sum();
    let taken = connection.writer.try_write(&many).unwrap_or_default();
    assert!(taken > 0, "more pieces than one write takes are no error");
    let mut rest = Bytes::from(many.concat());
    rest.advance(taken);
    send(&connection.writer, rest).await;
    for _ in 0..total / 3 {
        assert_eq!(connection.client.receive().await, text("x"));
    }
}

async fn a_large_text_arrives_whole(mut connection: Connection) {
    let large = "abcdefgh".repeat(12_500);
    let Connection {
        reader,
        writer,
        client,
    } = &mut connection;
    let (came, ()) = join(reader.next(), client.send_text(&large)).await;
    assert!(matches!(came, Ok(Inbound::Text(bytes)) if bytes == large.as_bytes()));
    let (written, received) = join(
        write_all(writer.as_ref(), encode_text(large.as_bytes())),
        client.receive(),
    )
    .await;
    assert!(written.is_ok(), "{written:?}");
    assert!(matches!(received, Received::Text(bytes) if bytes == large.as_bytes()));
}

async fn a_ping_is_answered_through_the_outbox(mut connection: Connection) {
    connection.client.send_ping(b"here?").await;
    connection.client.send_text("next").await;
    let mut alive = false;
    let mut reply = None;
    for _ in 0..2 {
        match connection.reader.next().await {
            Ok(Inbound::Alive) => alive = true,
            Ok(Inbound::Reply(bytes)) => reply = Some(bytes),
            other => panic!("{other:?} instead of a sign of life and a pong"),
        }
    }
    assert!(alive, "a ping is a sign of life");
    expect(&mut connection, Inbound::Text(Bytes::from_static(b"next"))).await;
    send(&connection.writer, reply.unwrap_or_default()).await;
    let pong = Received::Pong(Bytes::from_static(b"here?"));
    assert_eq!(connection.client.receive().await, pong);
}

async fn a_heartbeat_reaches_the_client_and_its_answer_shows_life(mut connection: Connection) {
    send(&connection.writer, encode_ping()).await;
    assert_eq!(
        connection.client.receive().await,
        Received::Ping(Bytes::new())
    );
    connection.client.send_pong().await;
    expect(&mut connection, Inbound::Alive).await;
}

async fn a_close_of_the_client_is_answered(mut connection: Connection) {
    connection.client.send_text("bye").await;
    connection.client.send_close(1000, "done").await;
    expect(&mut connection, Inbound::Text(Bytes::from_static(b"bye"))).await;
    let Ok(Inbound::Reply(answer)) = connection.reader.next().await else {
        panic!("a close must be answered");
    };
    expect(&mut connection, Inbound::Closed).await;
    expect(&mut connection, Inbound::Closed).await;
    send(&connection.writer, answer).await;
    connection.writer.shut();
    let received = connection.client.receive().await;
    assert!(
        matches!(received, Received::Close { code: 1000, .. }),
        "{received:?}"
    );
    drop((connection.reader, connection.writer));
    assert_eq!(connection.client.receive().await, Received::Ended);
}

async fn a_close_of_the_server_arrives_with_its_reason(mut connection: Connection) {
    send(&connection.writer, encode_text(b"last")).await;
    send(&connection.writer, encode_close(1012, "restart")).await;
    connection.writer.shut();
    assert_eq!(connection.client.receive().await, text("last"));
    let close = Received::Close {
        code: 1012,
        reason: "restart".to_owned(),
    };
    assert_eq!(connection.client.receive().await, close);
}

async fn a_client_that_vanishes_is_noticed(connection: Connection) {
    let Connection {
        mut reader,
        writer,
        client,
    } = connection;
    drop(client);
    let came = reader.next().await;
    assert!(
        matches!(came, Ok(Inbound::Closed) | Err(TransportError::Lost(_))),
        "{came:?} after the client has gone"
    );
    // TCP may take some before it knows; it must not take for ever.
    let endless = Bytes::from(vec![0; 64 * 1024]);
    let written = loop {
        if let Err(error) = write_all(writer.as_ref(), endless.clone()).await {
            break error;
        }
    };
    assert!(matches!(written, TransportError::Lost(_)), "{written:?}");
}

async fn a_full_socket_takes_nothing_and_loses_nothing(mut connection: Connection) {
    let frame = encode_text("x".repeat(60_000).as_bytes());
    let mut frames = 0_usize;
    let rest = loop {
        frames += 1;
        let taken = connection
            .writer
            .try_write(std::slice::from_ref(&frame))
            .unwrap_or_default();
        if taken < frame.len() {
            break frame.slice(taken..);
        }
        assert!(frames < 10_000, "600 MB and not full");
    };
    fill(
        connection.writer.as_ref(),
        rest,
        &mut connection.client,
        frames,
    )
    .await;
    send(&connection.writer, encode_text(b"after")).await;
    assert_eq!(connection.client.receive().await, text("after"));
}

/// Writes the rest of a frame into a full socket while the client reads all.
async fn fill(writer: &dyn FrameWriter, rest: Bytes, client: &mut Box<dyn Client>, frames: usize) {
    let reads = async {
        for _ in 0..frames {
            let received = client.receive().await;
            assert!(matches!(received, Received::Text(text) if text.len() == 60_000));
        }
    };
    let (written, ()) = join(write_all(writer, rest), reads).await;
    assert!(written.is_ok(), "{written:?}");
}

async fn nothing_is_written_after_shut(mut connection: Connection) {
    send(&connection.writer, encode_text(b"before")).await;
    connection.writer.shut();
    connection.writer.shut();
    let written = connection.writer.try_write(&[encode_text(b"after")]);
    assert!(
        matches!(written, Err(TransportError::Lost(_))),
        "{written:?}"
    );
    assert!(connection.writer.writable().await.is_err());
    drop(connection.reader);
    assert_eq!(connection.client.receive().await, text("before"));
    assert_eq!(connection.client.receive().await, Received::Ended);
}

async fn shut_wakes_who_waits_for_room(connection: Connection) {
    let block = Bytes::from(vec![0; 64 * 1024]);
    let writer = connection.writer.as_ref();
    let waiting = async {
        loop {
            if let Err(error) = write_all(writer, block.clone()).await {
                return error;
            }
        }
    };
    tokio::pin!(waiting);
    // Polled until it waits; only `shut` can wake it then, since the client does not read.
    for _ in 0..100_000 {
        if (&mut waiting).now_or_never().is_some() {
            panic!("ended before shut");
        }
        if matches!(writer.try_write(&[Bytes::from_static(&[0])]), Ok(0)) {
            break;
        }
    }
    let shut = async { writer.shut() };
    let (error, ()) = join(waiting, shut).await;
    assert!(matches!(error, TransportError::Lost(_)), "{error:?}");
}

async fn a_dropped_next_loses_nothing(mut connection: Connection) {
    for _ in 0..3 {
        assert!(
            connection.reader.next().now_or_never().is_none(),
            "nothing was sent"
        );
    }
    connection.client.send_text("kept").await;
    let kept = loop {
        // Dropped at every pending poll.
        if let Some(came) = connection.reader.next().now_or_never() {
            break came;
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(kept, Ok(Inbound::Text(bytes)) if bytes == "kept".as_bytes()));
}

async fn a_text_over_the_limit_ends_the_session(mut connection: Connection, limit: usize) {
    let fits = "a".repeat(limit);
    let over = "a".repeat(limit + 1);
    let Connection { reader, client, .. } = &mut connection;
    let (came, ()) = join(reader.next(), client.send_text(&fits)).await;
    assert!(matches!(came, Ok(Inbound::Text(bytes)) if bytes.len() == limit));
    let sends = client.send_text(&over);
    tokio::pin!(sends);
    let came = tokio::select! {
        biased;
        came = reader.next() => came,
        () = &mut sends => reader.next().await,
    };
    assert!(
        matches!(came, Err(TransportError::TooLarge { limit_bytes }) if limit_bytes == limit),
        "{came:?}"
    );
}

async fn who_sends_too_much_lives_to_read_why(connection: Connection, limit: usize) {
    let Connection {
        mut reader,
        writer,
        mut client,
    } = connection;
    let serves = async {
        let came = reader.next().await;
        assert!(
            matches!(came, Err(TransportError::TooLarge { .. })),
            "{came:?}"
        );
        send(&writer, encode_close(1009, "too large")).await;
        writer.shut();
        reader.next().await
    };
    let sends = async {
        client.send_text(&"a".repeat(16 * limit)).await;
        let received = client.receive().await;
        drop(client);
        received
    };
    let (came, received) = join(serves, sends).await;
    assert!(matches!(came, Ok(Inbound::Closed)), "{came:?}");
    assert!(
        matches!(received, Received::Close { code: 1009, .. }),
        "{received:?}"
    );
}
