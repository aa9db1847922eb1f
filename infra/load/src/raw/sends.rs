//! A bare server that writes what one socket says to all of them, one write a socket, on one thread,
//! with the bytes that a node's entry has: what a fan-out without log, folds and batches would cost.
//!
//! Its handshake has the one answer to the one key that our sockets send (RFC 6455, 1.3).

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use anyhow::Context;
use rustix::event::epoll::{self, EventData, EventFlags};

use crate::fleet::wire::{cut_client, serve_text};

/// The argument under which the program serves so.
pub const ARGUMENT: &str = "sends-server";
/// The number of the listening socket among those waited for.
const LISTENER: u64 = u64::MAX;

/// One connected socket.
struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
    is_open: bool,
}

/// Serves on a free port of loopback, printed first, until the process ends.
///
/// # Errors
/// When it cannot listen or wait.
pub fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(
        &epoll,
        &listener,
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    let (mut peers, mut seq) = (Vec::new(), 0);
    let mut events = Vec::with_capacity(64);
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            if event.data.u64() == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                let number = EventData::new_u64(peers.len() as u64);
                epoll::add(&epoll, &stream, number, EventFlags::IN)?;
                peers.push(Peer {
                    stream,
                    input: Vec::new(),
                    is_open: false,
                });
                continue;
            }
            let number = usize::try_from(event.data.u64())?;
            if !take(&mut peers, number, &mut seq)? {
                // The fleet has gone: so does this.
                return Ok(());
            }
        }
    }
}

/// Takes what came from a socket; false when it has ended.
fn take(peers: &mut [Peer], number: usize, seq: &mut u64) -> anyhow::Result<bool> {
    let peer = peers.get_mut(number).context("a socket of ours")?;
    let mut buffer = [0; 64 * 1024];
    let came = peer.stream.read(&mut buffer)?;
    if came == 0 {
        return Ok(false);
    }
    peer.input
        .extend_from_slice(buffer.get(..came).unwrap_or_default());
    if !peer.is_open {
        if peer.input.ends_with(b"\r\n\r\n") {
            peer.input.clear();
            peer.is_open = true;
            peer.stream.write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            )?;
        }
        return Ok(true);
    }
    let mut input = std::mem::take(&mut peer.input);
    let mut at = 0;
    while let Some((text, taken)) = cut_client(input.get(at..).unwrap_or_default()) {
        *seq += 1;
        tell_all(peers, number, *seq, text)?;
        at += taken;
    }
    input.drain(..at);
    if let Some(peer) = peers.get_mut(number) {
        peer.input = input;
    }
    Ok(true)
}

/// Answers the author, and writes the entry to everybody, one write each.
fn tell_all(peers: &mut [Peer], author: usize, seq: u64, text: &[u8]) -> anyhow::Result<()> {
    let (sent, entry) = frames(seq, std::str::from_utf8(text)?).context("a `send` of ours")?;
    if let Some(peer) = peers.get_mut(author) {
        peer.stream.write_all(&sent)?;
    }
    for peer in peers.iter_mut() {
        peer.stream.write_all(&entry)?;
    }
    Ok(())
}

/// The two frames that a node would make of a `send`, with the same bytes but for ids and times.
fn frames(seq: u64, text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let between = |from: &str, to: &str| {
        let (_, rest) = text.split_once(from)?;
        rest.split_once(to).map(|(found, _)| found)
    };
    let reference = between(r#""ref":""#, "\"")?;
    let chat = between(r#""chat":""#, "\"")?;
    let client_id = between(r#""client_id":""#, "\"")?;
    let (_, body) = text.split_once(r#""body":"#)?;
    let body = body.strip_suffix("}}")?;
    let id = "0b2f6d1c9d0f4a6d8f7e6b5a49382716";
    let at = 1_790_000_000_000_u64;
    let sent = format!(
        r#"{{"type":"sent","ref":"{reference}","data":{{"chat":"{chat}","client_id":"{client_id}","id":"{id}","at":{at}}}}}"#
    );
    let entry = format!(
        r#"{{"type":"entry","data":{{"chat":"{chat}","seq":{seq},"ordinal":{seq},"at":{at},"author":"load-1-000000","device":"phone","client_id":"{client_id}","id":"{id}","event":{{"kind":"message","body":{body}}}}}}}"#
    );
    Some((serve_text(sent.as_bytes()), serve_text(entry.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::frames::{Heard, Seen, read};
    use crate::fleet::wire::{Cut, cut};

    #[test]
    fn what_it_writes_is_what_a_node_would_write() {
        let send = r#"{"type":"send","ref":"c4","data":{"chat":"d.a.b","client_id":"m4","body":{"kind":"text","text":"xx"}}}"#;
        let (sent, entry) = frames(9, send).unwrap();
        let heard = |bytes: &[u8]| match cut(bytes).unwrap().unwrap() {
            (Cut::Text(text), _) => text.to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(read(&heard(&sent)).unwrap(), Heard::Sent(Some(4)));
        let seen = Seen {
            chat: "d.a.b".into(),
            seq: 9,
            number: Some(4),
        };
        assert_eq!(read(&heard(&entry)).unwrap(), Heard::Entry(seen));
        let frame = schemas::frames::decode_frame(&heard(&entry)).unwrap();
        assert!(frame.value.is_some(), "every field is there");
        assert!(frames(1, "nonsense").is_none());
    }
}
