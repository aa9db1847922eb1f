//! The reading half: tungstenite over the socket's reading half; what tungstenite writes goes to
//! the session instead.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use infra_ports::{FrameReader, Inbound, TransportError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::Config;

/// What tungstenite may hold back for writing: its own answers only, of 127 bytes at most.
const ANSWER_BYTES: usize = 4 * 1024;

/// A buffer that has grown to so many times its size is given back.
const GROWN: usize = 4;

/// So many times the largest text is thrown away after a bad frame.
const DRAINED: usize = 64;

pub(crate) struct Reader {
    frames: WebSocketStream<Diverted>,
    config: Config,
    closed: bool,
    /// After a bad frame: how many bytes are still taken and thrown away.
    drains_bytes: Option<usize>,
    /// Whether the read buffer has grown; tungstenite never shrinks it.
    grown: bool,
    /// At most what tungstenite has taken out of its read buffer: frames counted with the smallest
    /// header they can have had. When it equals what was read, the buffer is empty.
    consumed_bytes: u64,
}

impl Reader {
    pub(crate) async fn new(read: OwnedReadHalf, leftover: Bytes, config: &Config) -> Self {
        let read_bytes = leftover.len() as u64;
        let diverted = Diverted {
            read: Some(read),
            read_bytes,
            answers: Vec::new(),
        };
        let frames = websocket(diverted, leftover, config).await;
        Self {
            frames,
            config: *config,
            closed: false,
            drains_bytes: None,
            grown: false,
            consumed_bytes: 0,
        }
    }

    /// Starts over with a small buffer, when it has grown and nothing is in it: an idle session
    /// must not hold the size of its largest text for ever. A client that sends fragments or long
    /// headers is never found with an empty buffer and keeps what it has, below the limit.
    async fn shrink(&mut self, payload_bytes: usize) {
        self.consumed_bytes += smallest_frame_bytes(payload_bytes);
        self.grown |= payload_bytes > GROWN * self.config.read_buffer_bytes;
        let diverted = self.frames.get_mut();
        if !self.grown || diverted.read_bytes != self.consumed_bytes {
            return;
        }
        let moved = Diverted {
            read: diverted.read.take(),
            read_bytes: diverted.read_bytes,
            answers: std::mem::take(&mut diverted.answers),
        };
        self.frames = websocket(moved, Bytes::new(), &self.config).await;
        self.grown = false;
    }

    /// What tungstenite wants to answer, if anything.
    fn take_answers(&mut self) -> Option<Inbound> {
        let answers = std::mem::take(&mut self.frames.get_mut().answers);
        (!answers.is_empty()).then(|| Inbound::Reply(answers.into()))
    }

    /// Has tungstenite write its answer now; it would at the next read only. Never waits, since
    /// [`Diverted`] takes everything.
    async fn divert_answers(&mut self) -> Result<(), TransportError> {
        match self.frames.flush().await {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => Ok(()),
            Err(error) => Err(self.fail(error)),
        }
    }

    async fn take(&mut self, message: Message) -> Result<Inbound, TransportError> {
        match message {
            Message::Text(text) => {
                self.shrink(text.len()).await;
                Ok(Inbound::Text(self.own(text.into())))
            }
            Message::Ping(payload) => {
                self.divert_answers().await?;
                self.shrink(payload.len()).await;
                Ok(Inbound::Alive)
            }
            Message::Pong(payload) => {
                self.shrink(payload.len()).await;
                Ok(Inbound::Alive)
            }
            Message::Close(_) => {
                self.divert_answers().await?;
                self.closed = true;
                Ok(self.take_answers().unwrap_or(Inbound::Closed))
            }
            Message::Binary(_) | Message::Frame(_) => {
                Err(self.refuse(TransportError::Malformed("binary frame".to_owned())))
            }
        }
    }

    /// A small text is copied: as a slice it would hold the whole read buffer.
    fn own(&self, text: Bytes) -> Bytes {
        if text.len() <= self.config.read_buffer_bytes {
            Bytes::copy_from_slice(&text)
        } else {
            text
        }
    }

    fn end(&mut self) -> Result<Inbound, TransportError> {
        self.closed = true;
        Ok(Inbound::Closed)
    }

    /// The session's end after an error of tungstenite.
    fn fail(&mut self, error: Error) -> TransportError {
        if let Error::Io(error) = error {
            self.closed = true;
            return TransportError::Lost(error.to_string());
        }
        if matches!(error, Error::Capacity(CapacityError::MessageTooLong { .. })) {
            return self.refuse(TransportError::TooLarge {
                limit_bytes: self.config.message_bytes,
            });
        }
        self.refuse(TransportError::Malformed(error.to_string()))
    }

    fn refuse(&mut self, error: TransportError) -> TransportError {
        self.drains_bytes = Some(DRAINED.saturating_mul(self.config.message_bytes));
        error
    }

    /// Takes what still comes: a connection closed with unread bytes is reset, and the reset
    /// overtakes the close that says why.
    async fn drain(&mut self) -> Inbound {
        let mut sink = vec![0; self.config.read_buffer_bytes.max(1)];
        while let Some(left) = self.drains_bytes.filter(|left| *left > 0) {
            match self.frames.get_mut().read(&mut sink).await {
                Ok(taken) if taken > 0 => self.drains_bytes = Some(left.saturating_sub(taken)),
                Ok(_) | Err(_) => break,
            }
        }
        self.closed = true;
        Inbound::Closed
    }
}

#[async_trait]
impl FrameReader for Reader {
    async fn next(&mut self) -> Result<Inbound, TransportError> {
        if let Some(answer) = self.take_answers() {
            return Ok(answer);
        }
        if self.closed {
            return Ok(Inbound::Closed);
        }
        if self.drains_bytes.is_some() {
            return Ok(self.drain().await);
        }
        match self.frames.next().await {
            Some(Ok(message)) => self.take(message).await,
            None | Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => self.end(),
            Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => self.end(),
            Some(Err(error)) => Err(self.fail(error)),
        }
    }
}

/// tungstenite as a server over what is left to read. Does not wait: there is no handshake left.
async fn websocket(
    diverted: Diverted,
    leftover: Bytes,
    config: &Config,
) -> WebSocketStream<Diverted> {
    let limits = WebSocketConfig::default()
        .read_buffer_size(config.read_buffer_bytes)
        .write_buffer_size(0)
        .max_write_buffer_size(ANSWER_BYTES)
        .max_message_size(Some(config.message_bytes))
        .max_frame_size(Some(config.message_bytes));
    let leftover = leftover.to_vec();
    WebSocketStream::from_partially_read(diverted, leftover, Role::Server, Some(limits)).await
}

/// Two bytes, the length where it does not fit in them, the mask, the payload.
fn smallest_frame_bytes(payload_bytes: usize) -> u64 {
    let length_bytes = match payload_bytes {
        0..126 => 0,
        126..65_536 => 2,
        65_536.. => 8,
    };
    2 + length_bytes + 4 + payload_bytes as u64
}

/// Reads from the socket, keeps what is written for the session.
struct Diverted {
    /// Empty only when it has moved on to a successor.
    read: Option<OwnedReadHalf>,
    read_bytes: u64,
    answers: Vec<u8>,
}

impl AsyncRead for Diverted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(read) = &mut self.read else {
            return Poll::Ready(Ok(()));
        };
        let before = buffer.filled().len();
        let polled = Pin::new(read).poll_read(context, buffer);
        self.read_bytes += (buffer.filled().len() - before) as u64;
        polled
    }
}

impl AsyncWrite for Diverted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answers.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
