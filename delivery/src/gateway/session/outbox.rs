//! The outbox of a session: ready frames on their way to the socket.
//!
//! Whoever made a frame puts it here and writes the outbox out itself with `try_write`; only when
//! the socket is full is the session's task asked to wait for room. All bytes of a session leave
//! through here, in the order they were put in, and nothing follows a close. Bounded in bytes and
//! frames: a session over its bound is a slow consumer and is closed.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use infra_ports::FrameWriter;
use parking_lot::Mutex;

/// Pieces handed to the socket in one write.
const PIECES: usize = 64;
/// Places of its queue that an empty outbox keeps.
const KEPT: usize = 4;

/// What an outbox may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes.
    pub(crate) bytes: usize,
    /// Frames.
    pub(crate) frames: usize,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It waits to be written.
    Queued,
    /// The session ends: it was dropped.
    Dropped,
    /// There is no room: the session is a slow consumer.
    Full,
}

/// How far a session's outgoing side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Frames are taken.
    Open,
    /// A close is queued; nothing more is taken.
    Closing,
    /// Everything was written, the close too.
    Closed,
    /// The connection is lost, or was shut.
    Lost,
}

struct State {
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    /// The first frame was written in part.
    begun: bool,
    /// The socket is full: the session's task waits for room and goes on.
    blocked: bool,
    life: Life,
}

/// The outgoing side of a session.
pub(crate) struct Outbox {
    state: Mutex<State>,
    writer: Arc<dyn FrameWriter>,
    bounds: Bounds,
}

impl Outbox {
    pub(crate) fn new(writer: Arc<dyn FrameWriter>, bounds: Bounds) -> Self {
        let state = State {
            queue: VecDeque::new(),
            queued_bytes: 0,
            begun: false,
            blocked: false,
            life: Life::Open,
        };
        Self {
            state: Mutex::new(state),
            writer,
            bounds,
        }
    }

    /// Puts a frame in line.
    pub(crate) fn put(&self, frame: Bytes) -> Put {
        let mut state = self.state.lock();
        if state.life != Life::Open {
            return Put::Dropped;
        }
        let bytes = state.queued_bytes + frame.len();
        // A single frame always has room, or one larger than the bound could never leave.
        let full = bytes > self.bounds.bytes || state.queue.len() >= self.bounds.frames;
        if full && !state.queue.is_empty() {
            return Put::Full;
        }
        state.queued_bytes = bytes;
        state.queue.push_back(frame);
        Put::Queued
    }

    /// Puts the last frames in line, after which nothing is taken. Answers false when that was done
    /// before. With `at_once`, what waits is thrown away but for a frame that was begun.
    pub(crate) fn close(&self, last: impl IntoIterator<Item = Bytes>, at_once: bool) -> bool {
        let mut state = self.state.lock();
        if state.life != Life::Open {
            return false;
        }
        if at_once {
            let keep = usize::from(state.begun);
            state.queue.truncate(keep);
        }
        state.queue.extend(last);
        state.queued_bytes = state.queue.iter().map(Bytes::len).sum();
        state.life = Life::Closing;
        true
    }

    /// Writes out as much as the socket takes. Answers true when the session's task must act: the
    /// socket is full, or there is nothing more to do for it. Any thread may call it.
    pub(crate) fn flush(&self) -> bool {
        self.write(&mut self.state.lock())
    }

    /// The socket may have room again.
    pub(crate) fn unblock(&self) -> bool {
        let mut state = self.state.lock();
        state.blocked = false;
        self.write(&mut state)
    }

    fn write(&self, state: &mut State) -> bool {
        if state.blocked || matches!(state.life, Life::Closed | Life::Lost) {
            return false;
        }
        while !state.queue.is_empty() {
            let (front, _) = state.queue.as_slices();
            let pieces = front.get(..PIECES).unwrap_or(front);
            match self.writer.try_write(pieces) {
                Ok(0) => {
                    state.blocked = true;
                    return true;
                }
                Ok(taken) => state.taken(taken),
                Err(error) => {
                    tracing::debug!(%error, "a session's connection is lost");
                    state.end(Life::Lost);
                    return true;
                }
            }
        }
        if state.life == Life::Closing {
            state.end(Life::Closed);
            return true;
        }
        false
    }

    /// Waits until the socket has room. Cancel safe.
    pub(crate) async fn writable(&self) {
        if self.writer.writable().await.is_err() {
            self.state.lock().end(Life::Lost);
        }
    }

    /// Everything was written: says so to the peer, which may still be talking.
    pub(crate) fn hang_up(&self) {
        self.writer.shut();
    }

    /// Closes the connection for good.
    pub(crate) fn shut(&self) {
        self.state.lock().end(Life::Lost);
        self.writer.shut();
    }

    pub(crate) fn life(&self) -> Life {
        self.state.lock().life
    }

    /// True while the socket is full.
    pub(crate) fn is_blocked(&self) -> bool {
        let state = self.state.lock();
        state.blocked && !matches!(state.life, Life::Closed | Life::Lost)
    }

    /// Frames that wait, and whether the socket is full.
    pub(crate) fn waiting(&self) -> (usize, bool) {
        let state = self.state.lock();
        (state.queue.len(), state.blocked)
    }

    /// True while there is room for more than what must be told now: pages of what was missed wait
    /// for it.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.queued_bytes < self.bounds.bytes / 2 && state.queue.len() < self.bounds.frames / 2
    }
}

impl State {
    fn taken(&mut self, mut bytes: usize) {
        self.queued_bytes = self.queued_bytes.saturating_sub(bytes);
        while let Some(front) = self.queue.front_mut() {
            if bytes < front.len() {
                front.advance(bytes);
                self.begun |= bytes > 0;
                return;
            }
            bytes -= front.len();
            self.queue.pop_front();
            self.begun = false;
        }
        self.release();
    }

    /// An idle session holds no queue to speak of: room for a few frames saves an allocation a write.
    fn release(&mut self) {
        if self.queue.capacity() > KEPT {
            self.queue = VecDeque::new();
        }
    }

    fn end(&mut self, life: Life) {
        self.queue = VecDeque::new();
        self.queued_bytes = 0;
        self.blocked = false;
        self.life = life;
    }
}

#[cfg(test)]
mod tests {
    use infra_ports::memory::transport::{Received, Socket, pair};
    use infra_ports::transport::{encode_close, encode_text};

    use super::*;

    const BOUNDS: Bounds = Bounds {
        bytes: 400,
        frames: 100,
    };

    fn outbox(buffer_bytes: usize) -> (Outbox, infra_ports::memory::transport::Peer) {
        let (_, writer, peer) = pair(Socket {
            buffer_bytes,
            ..Socket::default()
        });
        (Outbox::new(writer, BOUNDS), peer)
    }

    fn texts(peer: &infra_ports::memory::transport::Peer) -> Vec<Received> {
        std::iter::from_fn(|| peer.try_receive()).collect()
    }

    #[test]
    fn frames_leave_in_order_through_a_socket_that_takes_a_little_at_a_time() {
        let (outbox, peer) = outbox(7);
        let mut got = Vec::new();
        for n in 0..50_u8 {
            assert_eq!(outbox.put(encode_text(&[n; 5])), Put::Queued);
        }
        outbox.flush();
        while got.len() < 50 {
            got.extend(texts(&peer));
            outbox.unblock();
        }
        let expected: Vec<_> = (0..50_u8)
            .map(|n| Received::Text(vec![n; 5].into()))
            .collect();
        assert_eq!(got, expected);
        assert!(outbox.has_room());
    }

    #[test]
    fn an_outbox_over_its_bound_is_full_and_a_close_replaces_what_waits() {
        let (outbox, peer) = outbox(10);
        let frame = encode_text(&[b'x'; 98]);
        for _ in 0..4 {
            assert_eq!(outbox.put(frame.clone()), Put::Queued);
        }
        assert!(outbox.flush(), "the socket is full");
        assert_eq!(outbox.put(frame.clone()), Put::Full);
        assert!(!outbox.has_room());
        assert!(outbox.close([encode_close(4003, "")], true));
        assert_eq!(outbox.put(frame), Put::Dropped, "nothing follows a close");
        assert!(!outbox.close([encode_close(1000, "")], true), "closed once");
        let mut got = Vec::new();
        while outbox.life() != Life::Closed {
            got.extend(texts(&peer));
            outbox.unblock();
        }
        got.extend(texts(&peer));
        assert!(
            matches!(got.first(), Some(Received::Text(_))),
            "a begun frame is finished"
        );
        assert_eq!(
            got.last(),
            Some(&Received::Close {
                code: 4003,
                reason: String::new()
            })
        );
        assert_eq!(got.len(), 2);
    }

    #[test]
    fn a_lost_connection_ends_the_outbox() {
        let (outbox, peer) = outbox(100);
        peer.cut();
        outbox.put(encode_text(b"x"));
        assert!(outbox.flush());
        assert_eq!(outbox.life(), Life::Lost);
        assert_eq!(outbox.put(encode_text(b"x")), Put::Dropped);
    }
}
