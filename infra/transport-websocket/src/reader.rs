//! The reading half: tungstenite over the socket's reading half; what tungstenite writes goes to
//! the session instead.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use infra_ports::{FrameReader, Inbound, TransportError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::Config;

/// What tungstenite may hold back for writing: its own answers only, of 127 bytes at most.
const ANSWER_BYTES: usize = 4 * 1024;

pub(crate) struct Reader {
    frames: WebSocketStream<Diverted>,
    message_bytes: usize,
    read_buffer_bytes: usize,
    closed: bool,
}

impl Reader {
    pub(crate) async fn new(read: OwnedReadHalf, leftover: Bytes, config: &Config) -> Self {
        let Config {
            message_bytes,
            read_buffer_bytes,
        } = *config;
        let limits = WebSocketConfig::default()
            .read_buffer_size(read_buffer_bytes)
            .write_buffer_size(0)
            .max_write_buffer_size(ANSWER_BYTES)
            .max_message_size(Some(message_bytes))
            .max_frame_size(Some(message_bytes));
        let diverted = Diverted {
            read,
            answers: Vec::new(),
        };
        let frames = WebSocketStream::from_partially_read(
            diverted,
            leftover.to_vec(),
            Role::Server,
            Some(limits),
        )
        .await;
        Self {
            frames,
            message_bytes,
            read_buffer_bytes,
            closed: false,
        }
    }

    /// What tungstenite wants to answer, if anything.
    fn take_answers(&mut self) -> Option<Inbound> {
        let answers = std::mem::take(&mut self.frames.get_mut().answers);
        (!answers.is_empty()).then(|| Inbound::Reply(answers.into()))
    }

    /// Has tungstenite write its answer now; it would at the next read only. Never waits, since
    /// [`Diverted`] takes everything.
    async fn divert_answers(&mut self) -> Result<(), TransportError> {
        let flushed = self.frames.flush().await;
        flushed.or_else(|error| match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Ok(()),
            error => Err(self.fail(error)),
        })
    }

    async fn take(&mut self, message: Message) -> Result<Inbound, TransportError> {
        match message {
            Message::Text(text) => Ok(Inbound::Text(self.own(text.into()))),
            Message::Ping(_) => {
                self.divert_answers().await?;
                Ok(Inbound::Alive)
            }
            Message::Pong(_) => Ok(Inbound::Alive),
            Message::Close(_) => {
                self.divert_answers().await?;
                self.closed = true;
                Ok(self.take_answers().unwrap_or(Inbound::Closed))
            }
            Message::Binary(_) | Message::Frame(_) => {
                self.closed = true;
                Err(TransportError::Malformed("binary frame".to_owned()))
            }
        }
    }

    /// A small text is copied: as a slice it would hold the whole read buffer.
    fn own(&self, text: Bytes) -> Bytes {
        if text.len() <= self.read_buffer_bytes {
            Bytes::copy_from_slice(&text)
        } else {
            text
        }
    }

    /// The session's end after an error of tungstenite.
    fn fail(&mut self, error: Error) -> TransportError {
        self.closed = true;
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => TransportError::TooLarge {
                limit_bytes: self.message_bytes,
            },
            Error::Io(error) => TransportError::Lost(error.to_string()),
            error => TransportError::Malformed(error.to_string()),
        }
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
        match self.frames.next().await {
            Some(Ok(message)) => self.take(message).await,
            None | Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => self.end(),
            Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => self.end(),
            Some(Err(error)) => Err(self.fail(error)),
        }
    }
}

impl Reader {
    fn end(&mut self) -> Result<Inbound, TransportError> {
        self.closed = true;
        Ok(Inbound::Closed)
    }
}

/// Reads from the socket, keeps what is written for the session.
struct Diverted {
    read: OwnedReadHalf,
    answers: Vec<u8>,
}

impl AsyncRead for Diverted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(context, buffer)
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
