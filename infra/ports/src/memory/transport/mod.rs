//! A connection in memory: a session's two halves on one side, a [`Peer`] on the other.
//!
//! The socket between them holds a bounded number of bytes each way, so a peer that reads slowly or
//! not at all shows as it does over TCP: `try_write` takes a part, then nothing. The peer can close,
//! vanish (drop) or have the connection cut at any moment, and adapters' faults may do that for it.
//! No clock, no task of its own: it runs wherever it is polled.

mod frames;
mod peer;
#[cfg(test)]
mod tests;

pub use frames::Received;
pub use peer::{Gone, Peer};

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};
use schemas::frames::MAX_FRAME_BYTES;
use tokio::sync::Notify;

use crate::memory::faults::{Faults, NoFaults};
use crate::transport::{
    FrameReader, FrameWriter, Inbound, TransportError, encode_close, encode_pong,
};

/// What a connection holds and refuses.
#[derive(Clone)]
pub struct Socket {
    /// The bytes that lie between the two ends, each way.
    pub buffer_bytes: usize,
    /// The largest text from the peer.
    pub message_bytes: usize,
    /// What may go wrong: `transport.read` and `transport.writable` are points, `transport.part`
    /// (a write is taken in part, or not) and `transport.cut` are choices at each write.
    pub faults: Arc<dyn Faults>,
}

impl Default for Socket {
    fn default() -> Self {
        Self {
            buffer_bytes: 64 * 1024,
            message_bytes: MAX_FRAME_BYTES,
            faults: Arc::new(NoFaults),
        }
    }
}

/// A new connection: the server's reader and writer, and the client's end.
#[must_use]
pub fn pair(socket: Socket) -> (Box<dyn FrameReader>, Arc<dyn FrameWriter>, Peer) {
    let link = Arc::new(Link {
        socket,
        state: Mutex::default(),
        changed: Notify::new(),
    });
    let reader = Reader {
        link: Arc::clone(&link),
        answers: VecDeque::new(),
        closed: false,
        failed: false,
    };
    let writer = Writer {
        link: Arc::clone(&link),
    };
    (Box::new(reader), Arc::new(writer), Peer::new(link))
}

/// What travels from the peer to the server.
enum Upward {
    Text(Bytes),
    Ping(Bytes),
    Pong,
    Close { code: u16, reason: String },
    Garbage(String),
}

impl Upward {
    fn size_bytes(&self) -> usize {
        match self {
            Self::Text(bytes) | Self::Ping(bytes) => bytes.len(),
            Self::Close { reason, .. } => reason.len(),
            Self::Garbage(bytes) => bytes.len(),
            Self::Pong => 0,
        }
    }
}

#[derive(Default)]
struct State {
    upward: VecDeque<Upward>,
    upward_bytes: usize,
    downward: BytesMut,
    /// Bytes that the peer took off the socket and that are no whole frame yet.
    peer_has: BytesMut,
    writer_shut: bool,
    reader_gone: bool,
    peer_gone: bool,
    cut: bool,
}

/// The connection itself; everybody waits for `changed` and looks again.
struct Link {
    socket: Socket,
    state: Mutex<State>,
    changed: Notify,
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify_waiters();
    }

    /// Waits until looking at the state gives something. Cancel safe: what `look` takes is returned
    /// in the same poll.
    async fn wait<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let seen = look(&mut self.state.lock());
            if let Some(seen) = seen {
                self.changed.notify_waiters();
                return seen;
            }
            changed.await;
        }
    }

    fn cut(&self) {
        self.change(|state| {
            state.cut = true;
            state.upward.clear();
            state.downward.clear();
        });
    }
}

fn lost(why: &str) -> TransportError {
    TransportError::Lost(why.to_owned())
}

struct Reader {
    link: Arc<Link>,
    answers: VecDeque<Inbound>,
    closed: bool,
    /// What still comes is thrown away.
    failed: bool,
}

impl Reader {
    /// Throws away what comes until the peer is done.
    async fn drain(&mut self) {
        let done = |state: &mut State| {
            let waits = !state.upward.is_empty();
            state.upward.clear();
            state.upward_bytes = 0;
            let ended = state.cut || state.peer_gone;
            (ended || waits).then_some(ended)
        };
        while !self.link.wait(done).await {}
        self.closed = true;
    }

    fn take(&mut self, upward: Upward) -> Result<Inbound, TransportError> {
        let limit_bytes = self.link.socket.message_bytes;
        match upward {
            Upward::Text(text) if text.len() > limit_bytes => {
                self.failed = true;
                Err(TransportError::TooLarge { limit_bytes })
            }
            Upward::Text(text) => Ok(Inbound::Text(text)),
            Upward::Ping(payload) => {
                self.answers
                    .push_back(Inbound::Reply(encode_pong(&payload)));
                Ok(Inbound::Alive)
            }
            Upward::Pong => Ok(Inbound::Alive),
            Upward::Close { code, reason } => {
                self.closed = true;
                Ok(Inbound::Reply(encode_close(code, &reason)))
            }
            Upward::Garbage(what) => {
                self.failed = true;
                Err(TransportError::Malformed(what))
            }
        }
    }
}

#[async_trait]
impl FrameReader for Reader {
    async fn next(&mut self) -> Result<Inbound, TransportError> {
        if let Some(answer) = self.answers.pop_front() {
            return Ok(answer);
        }
        if self.closed {
            return Ok(Inbound::Closed);
        }
        if self.failed {
            self.drain().await;
            return Ok(Inbound::Closed);
        }
        self.link.socket.faults.point("transport.read").await;
        let came = self
            .link
            .wait(|state| match state.upward.pop_front() {
                _ if state.cut => Some(Err(lost("connection reset"))),
                Some(upward) => {
                    state.upward_bytes = state.upward_bytes.saturating_sub(upward.size_bytes());
                    Some(Ok(Some(upward)))
                }
                None if state.peer_gone => Some(Ok(None)),
                None => None,
            })
            .await;
        match came {
            Ok(Some(upward)) => self.take(upward),
            Ok(None) => {
                self.closed = true;
                Ok(Inbound::Closed)
            }
            Err(error) => {
                self.closed = true;
                Err(error)
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.link.change(|state| state.reader_gone = true);
    }
}

struct Writer {
    link: Arc<Link>,
}

impl Writer {
    fn check(state: &State) -> Result<(), TransportError> {
        if state.writer_shut {
            return Err(lost("shut"));
        }
        if state.cut || state.peer_gone {
            return Err(lost("connection reset"));
        }
        Ok(())
    }
}

#[async_trait]
impl FrameWriter for Writer {
    fn try_write(&self, pieces: &[Bytes]) -> Result<usize, TransportError> {
        let socket = &self.link.socket;
        Self::check(&self.link.lock())?;
        if socket.faults.choose("transport.cut", 2) != 0 {
            self.link.cut();
            return Err(lost("connection reset"));
        }
        let part = socket.faults.choose("transport.part", 3);
        let mut taken = 0;
        self.link.change(|state| {
            let room = socket.buffer_bytes.saturating_sub(state.downward.len());
            let mut room = match part {
                0 => room,
                1 => room.div_ceil(2),
                _ => 0,
            };
            for piece in pieces {
                let bytes = piece.get(..room).unwrap_or(piece);
                state.downward.extend_from_slice(bytes);
                room -= bytes.len();
                taken += bytes.len();
            }
        });
        Ok(taken)
    }

    async fn writable(&self) -> Result<(), TransportError> {
        self.link.socket.faults.point("transport.writable").await;
        let buffer_bytes = self.link.socket.buffer_bytes;
        self.link
            .wait(|state| match Self::check(state) {
                Ok(()) if state.downward.len() >= buffer_bytes => None,
                result => Some(result),
            })
            .await
    }

    fn shut(&self) {
        self.link.change(|state| state.writer_shut = true);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Moves up to so many bytes off the socket into the peer's hands.
fn pull(state: &mut State, max_bytes: usize) -> usize {
    let bytes = max_bytes.min(state.downward.len());
    let State {
        downward, peer_has, ..
    } = state;
    peer_has.extend_from_slice(downward.get(..bytes).unwrap_or_default());
    downward.advance(bytes);
    bytes
}
