//! The client's end of a connection in memory.

use std::sync::Arc;

use bytes::Bytes;

use super::frames::{Received, take_frame};
use super::{Link, Upward, pull};

/// The server's end is gone; nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's end is gone")]
pub struct Gone;

/// The client's end. A peer that is not asked to receive does not read; dropping it ends the
/// connection in order: what it had sent is still read.
pub struct Peer {
    link: Arc<Link>,
}

impl Peer {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link }
    }

    /// Sends a text frame, waiting for room.
    ///
    /// # Errors
    /// The server's end is gone.
    pub async fn send_text(&self, text: impl Into<Bytes>) -> Result<(), Gone> {
        self.send(Upward::Text(text.into())).await
    }

    /// Sends a ping.
    ///
    /// # Errors
    /// The server's end is gone.
    pub async fn send_ping(&self, payload: impl Into<Bytes>) -> Result<(), Gone> {
        self.send(Upward::Ping(payload.into())).await
    }

    /// Sends a pong: the answer to a heartbeat.
    ///
    /// # Errors
    /// The server's end is gone.
    pub async fn send_pong(&self) -> Result<(), Gone> {
        self.send(Upward::Pong).await
    }

    /// Sends a close; the server answers with one.
    ///
    /// # Errors
    /// The server's end is gone.
    pub async fn send_close(&self, code: u16, reason: &str) -> Result<(), Gone> {
        self.send(Upward::Close {
            code,
            reason: reason.to_owned(),
        })
        .await
    }

    /// Sends something that is not the protocol.
    ///
    /// # Errors
    /// The server's end is gone.
    pub async fn send_garbage(&self, what: &str) -> Result<(), Gone> {
        self.send(Upward::Garbage(what.to_owned())).await
    }

    /// A frame larger than the socket goes when the socket is empty.
    async fn send(&self, upward: Upward) -> Result<(), Gone> {
        let size_bytes = upward.size_bytes();
        let buffer_bytes = self.link.socket.buffer_bytes;
        let mut upward = Some(upward);
        self.link
            .wait(|state| {
                if state.cut || state.reader_gone {
                    return Some(Err(Gone));
                }
                if state.upward_bytes > 0 && state.upward_bytes + size_bytes > buffer_bytes {
                    return None;
                }
                state.upward_bytes += size_bytes;
                state.upward.extend(upward.take());
                Some(Ok(()))
            })
            .await
    }

    /// The next frame from the server, or the end. Cancel safe.
    pub async fn receive(&self) -> Received {
        loop {
            // Bytes that are no whole frame yet are progress too: they made room.
            let progress = self.link.wait(|state| {
                let pulled = pull(state, usize::MAX);
                let frame = take_frame(&mut state.peer_has);
                let ended = state.cut || state.writer_shut;
                let frame = frame.or_else(|| ended.then_some(Received::Ended));
                (frame.is_some() || pulled > 0).then_some(frame)
            });
            if let Some(received) = progress.await {
                return received;
            }
        }
    }

    /// The next frame, if it is there now.
    pub fn try_receive(&self) -> Option<Received> {
        let mut frame = None;
        self.link.change(|state| {
            pull(state, usize::MAX);
            frame = take_frame(&mut state.peer_has);
        });
        frame
    }

    /// Takes up to so many bytes off the socket, as a slow peer does; they count for the next
    /// frame received. Returns how many there were.
    pub fn read_some(&self, max_bytes: usize) -> usize {
        let mut read = 0;
        self.link.change(|state| read = pull(state, max_bytes));
        read
    }

    /// The bytes that lie in the socket for this peer.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.link.lock().downward.len()
    }

    /// The connection breaks: both ends lose it, and what was under way.
    pub fn cut(&self) {
        self.link.cut();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.link.change(|state| state.peer_gone = true);
    }
}
