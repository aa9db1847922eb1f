//! The connection in memory keeps the laws and shows what a real one shows.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use futures_util::FutureExt;

use super::{Gone, Peer, Received, Socket, pair};
use crate::laws::transport::{Client, Connection, Wire, check, write_all};
use crate::memory::runtime::{Chances, ChoiceKey, Choices, Executor, Halt, Kind, Node};
use crate::runtime::Runtime;
use crate::transport::{Inbound, TransportError, encode_ping, encode_text};

const NODE: Node = Node(1);

struct MemoryWire;

#[async_trait]
impl Client for Peer {
    async fn send_text(&mut self, text: &str) {
        Peer::send_text(self, text.to_owned()).await.unwrap();
    }
    async fn send_ping(&mut self, payload: &[u8]) {
        Peer::send_ping(self, payload.to_vec()).await.unwrap();
    }
    async fn send_pong(&mut self) {
        Peer::send_pong(self).await.unwrap();
    }
    async fn send_close(&mut self, code: u16, reason: &str) {
        Peer::send_close(self, code, reason).await.unwrap();
    }
    async fn receive(&mut self) -> Received {
        Peer::receive(self).await
    }
}

#[async_trait]
impl Wire for MemoryWire {
    async fn connect(&self) -> Connection {
        let (reader, writer, peer) = pair(Socket::default());
        Connection {
            reader,
            writer,
            client: Box::new(peer),
        }
    }
    fn message_bytes(&self) -> usize {
        Socket::default().message_bytes
    }
}

fn small(buffer_bytes: usize) -> Socket {
    Socket {
        buffer_bytes,
        ..Socket::default()
    }
}

#[test]
fn the_connection_in_memory_keeps_the_laws() {
    for seed in 0..5 {
        let mut executor = Executor::seeded(seed, Chances::SHUFFLED);
        let laws = async { check(&MemoryWire).await };
        assert_eq!(
            executor.block_on(NODE, laws),
            Ok(()),
            "{:?}",
            executor.panics()
        );
    }
}

#[test]
fn a_slow_peer_makes_room_as_it_reads() {
    let (_reader, writer, peer) = pair(small(10));
    let frame = encode_text(b"twelve bytes");
    assert_eq!(writer.try_write(std::slice::from_ref(&frame)).unwrap(), 10);
    assert_eq!(writer.try_write(&[frame.slice(10..)]).unwrap(), 0);
    assert!(writer.writable().now_or_never().is_none());
    assert_eq!((peer.read_some(3), peer.waiting_bytes()), (3, 7));
    assert!(writer.writable().now_or_never().unwrap().is_ok());
    assert_eq!(writer.try_write(&[frame.slice(10..)]).unwrap(), 3);
    assert_eq!(peer.try_receive(), None, "one byte is missing");
    assert_eq!(writer.try_write(&[frame.slice(13..)]).unwrap(), 1);
    assert_eq!(
        peer.try_receive(),
        Some(Received::Text(Bytes::from_static(b"twelve bytes")))
    );
}

#[test]
fn a_flooding_peer_waits_until_the_server_reads() {
    let (mut reader, _writer, peer) = pair(small(10));
    assert!(peer.send_text("12345678").now_or_never().is_some());
    let mut second = Box::pin(peer.send_text("12345678"));
    assert!(second.as_mut().now_or_never().is_none());
    let first = reader.next().now_or_never().unwrap().unwrap();
    assert_eq!(first, Inbound::Text(Bytes::from_static(b"12345678")));
    assert_eq!(second.now_or_never(), Some(Ok(())));
}

#[test]
fn a_cut_connection_is_lost_for_both_ends_with_what_was_under_way() {
    let (mut reader, writer, peer) = pair(Socket::default());
    peer.send_text("never read")
        .now_or_never()
        .unwrap()
        .unwrap();
    writer.try_write(&[encode_ping()]).unwrap();
    peer.cut();
    assert!(matches!(
        reader.next().now_or_never().unwrap(),
        Err(TransportError::Lost(_))
    ));
    assert_eq!(
        reader.next().now_or_never().unwrap().unwrap(),
        Inbound::Closed
    );
    assert!(matches!(
        writer.try_write(&[encode_ping()]),
        Err(TransportError::Lost(_))
    ));
    assert!(writer.writable().now_or_never().unwrap().is_err());
    assert_eq!(peer.receive().now_or_never(), Some(Received::Ended));
    assert_eq!(peer.send_text("x").now_or_never(), Some(Err(Gone)));
}

#[test]
fn a_peer_that_leaves_in_order_is_read_to_its_end() {
    let (mut reader, writer, peer) = pair(Socket::default());
    peer.send_text("last").now_or_never().unwrap().unwrap();
    drop(peer);
    let last = reader.next().now_or_never().unwrap().unwrap();
    assert_eq!(last, Inbound::Text(Bytes::from_static(b"last")));
    assert_eq!(
        reader.next().now_or_never().unwrap().unwrap(),
        Inbound::Closed
    );
    assert!(matches!(
        writer.try_write(&[encode_ping()]),
        Err(TransportError::Lost(_))
    ));
}

#[test]
fn a_server_whose_tasks_are_dropped_is_gone_for_the_peer() {
    let (reader, writer, peer) = pair(Socket::default());
    drop((reader, writer));
    assert_eq!(peer.receive().now_or_never(), Some(Received::Ended));
    assert_eq!(peer.send_pong().now_or_never(), Some(Err(Gone)));
}

#[test]
fn garbage_ends_the_session() {
    let (mut reader, _writer, peer) = pair(Socket::default());
    peer.send_garbage("bad frame")
        .now_or_never()
        .unwrap()
        .unwrap();
    let came = reader.next().now_or_never().unwrap();
    assert!(
        matches!(came, Err(TransportError::Malformed(_))),
        "{came:?}"
    );
    peer.send_text("still talking")
        .now_or_never()
        .unwrap()
        .unwrap();
    assert!(reader.next().now_or_never().is_none(), "it may finish");
    drop(peer);
    assert_eq!(
        reader.next().now_or_never().unwrap().unwrap(),
        Inbound::Closed
    );
}

/// Sends 20 frames over a small socket with faults; how many came, or how it was lost.
fn rough_transfer(seed: u64, chances: Chances) -> (Result<(), TransportError>, usize) {
    transfer(Executor::seeded(seed, chances))
}

fn transfer(mut executor: Executor) -> (Result<(), TransportError>, usize) {
    let faults = Arc::new(executor.faults(NODE));
    let (reader, writer, peer) = pair(Socket {
        buffer_bytes: 50,
        faults,
        ..Socket::default()
    });
    let received = Arc::new(parking_lot::Mutex::new(0));
    let count = Arc::clone(&received);
    let reads = async move {
        for nth in 0..20 {
            let expected = Bytes::from(format!("frame {nth:030}"));
            match peer.receive().await {
                Received::Ended => return,
                frame => assert_eq!(frame, Received::Text(expected)),
            }
            *count.lock() += 1;
        }
    };
    executor.runtime(Node(2)).spawn("peer", Box::pin(reads));
    let writes = async move {
        let _reader = reader;
        for nth in 0..20 {
            let frame = encode_text(format!("frame {nth:030}").as_bytes());
            write_all(writer.as_ref(), frame).await?;
        }
        Ok(())
    };
    let written = executor.block_on(NODE, writes).unwrap();
    assert_eq!(executor.run_until(|| false), Halt::Idle);
    assert_eq!(executor.panics(), []);
    let received = *received.lock();
    (written, received)
}

#[test]
fn a_transfer_that_is_cut_says_so_and_keeps_the_order() {
    assert!(matches!(rough_transfer(1, Chances::SHUFFLED), (Ok(()), 20)));
    let chances = Chances {
        effect: 100,
        ..Chances::SHUFFLED
    };
    let cut = (0..100)
        .filter(|seed| rough_transfer(*seed, chances).0.is_err())
        .count();
    assert!(cut > 50, "{cut} of 100 were cut");
}

#[test]
fn writes_taken_in_part_lose_nothing() {
    let key = |nth| ChoiceKey {
        kind: Kind::Effect,
        site: "transport.part",
        node: NODE,
        nth,
    };
    let decided = (0..1000).map(|nth| (key(nth), nth % 3)).collect();
    let executor = Executor::with_choices(Choices::replayed(1, decided));
    assert!(matches!(transfer(executor), (Ok(()), 20)));
}

#[test]
fn a_calm_transfer_asks_for_parts_and_cuts_and_gets_none() {
    let executor = Executor::seeded(1, Chances::CALM);
    executor.choices().keep_asked();
    let faults = Arc::new(executor.faults(NODE));
    let (_reader, writer, _peer) = pair(Socket {
        faults,
        ..Socket::default()
    });
    writer.try_write(&[encode_ping()]).unwrap();
    let sites: Vec<_> = executor
        .choices()
        .asked()
        .iter()
        .filter(|(key, _)| key.kind == Kind::Effect)
        .map(|(key, options)| (key.site, *options))
        .collect();
    assert_eq!(sites, [("transport.cut", 2), ("transport.part", 3)]);
}

#[test]
fn frames_of_every_length_are_taken_apart_again() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
        let (_reader, writer, peer) = pair(small(200_000));
        let text = vec![b'x'; length];
        let mut frame = encode_text(&text);
        let taken = writer.try_write(&[frame.clone()]).unwrap();
        frame.advance(taken);
        assert!(frame.is_empty());
        assert_eq!(
            peer.try_receive(),
            Some(Received::Text(text.into())),
            "{length} bytes"
        );
    }
}
