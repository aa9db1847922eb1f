//! The reading half: takes what clients send and says what it means.
//!
//! A reader that waits holds no buffer: a read goes into one that all readers of a thread share, and
//! only what is not a whole frame yet, or stands behind the first one, is kept. What the protocol
//! demands as an answer (pongs, the answer to a close) goes to the session, which writes it.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::Bytes;
use infra_ports::transport::{encode_close, encode_pong};
use infra_ports::{FrameReader, Inbound, TransportError};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

use crate::Config;
use crate::frames::{Bad, Kind, Masked, close_answer};

/// The most that one read takes: several frames of the usual size.
const READ_BYTES: usize = 16 * 1024;

/// So many times the largest text is thrown away after a bad frame.
const DRAINED: usize = 64;

/// A close without a code, as the answer to one.
const BARE_CLOSE: &[u8] = &[0x88, 0];

thread_local! {
    /// What a read goes into. Nothing stays in it.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// What came, if anything did that the session must hear of.
type Came = Result<Option<Inbound>, TransportError>;

pub(crate) struct Reader {
    socket: OwnedReadHalf,
    /// Read and not taken yet; empty, without an allocation, while nothing comes.
    unread: Vec<u8>,
    /// So many bytes at its front are taken.
    taken_bytes: usize,
    /// The text whose last part has not come.
    parts: Option<Vec<u8>>,
    /// What the protocol demands as an answer.
    answer: Option<Bytes>,
    message_bytes: usize,
    closed: bool,
    /// After a bad frame: how many bytes are still taken and thrown away.
    drains_bytes: Option<usize>,
}

impl Reader {
    pub(crate) fn new(socket: OwnedReadHalf, leftover: &Bytes, config: &Config) -> Self {
        Self {
            socket,
            unread: leftover.to_vec(),
            taken_bytes: 0,
            parts: None,
            answer: None,
            message_bytes: config.message_bytes,
            closed: false,
            drains_bytes: None,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Inbound, TransportError>> {
        if let Some(answer) = self.answer.take() {
            return Poll::Ready(Ok(Inbound::Reply(answer)));
        }
        if self.drains_bytes.is_some() {
            ready!(self.poll_drain(context));
        }
        loop {
            if self.closed {
                return Poll::Ready(Ok(Inbound::Closed));
            }
            let came = match self.take_unread() {
                Ok(None) => ready!(self.poll_read(context)),
                came => came,
            };
            if let Some(came) = came.transpose() {
                return Poll::Ready(came);
            }
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Came> {
        READ.with_borrow_mut(|read| {
            let mut read = ReadBuf::new(read);
            let polled = Pin::new(&mut self.socket).poll_read(context, &mut read);
            Poll::Ready(match ready!(polled) {
                Ok(()) => self.take(read.filled()),
                Err(error) => {
                    self.closed = true;
                    Err(TransportError::Lost(error.to_string()))
                }
            })
        })
    }

    /// Takes what was read; none when it was the end.
    fn take(&mut self, read: &[u8]) -> Came {
        if read.is_empty() {
            self.closed = true;
            return Ok(None);
        }
        if !self.unread.is_empty() {
            self.unread.extend_from_slice(read);
            return self.take_unread();
        }
        let (came, taken_bytes) = self.take_first(read)?;
        let rest = read.get(taken_bytes..).unwrap_or_default();
        self.unread.extend_from_slice(rest);
        Ok(came)
    }

    /// Takes the next frame of what was read before.
    fn take_unread(&mut self) -> Came {
        if self.unread.is_empty() {
            return Ok(None);
        }
        let mut unread = std::mem::take(&mut self.unread);
        let rest = unread.get(self.taken_bytes..).unwrap_or_default();
        let (came, taken_bytes) = self.take_first(rest)?;
        self.taken_bytes += taken_bytes;
        if self.taken_bytes == unread.len() {
            // Given back: the next read may be a long time off.
            self.taken_bytes = 0;
            return Ok(came);
        }
        if came.is_none() {
            unread.drain(..std::mem::take(&mut self.taken_bytes));
        }
        self.unread = unread;
        Ok(came)
    }

    /// Takes the frame that stands first, and how long it was: 0 when it is not whole. Parts of a
    /// text say nothing before the last one, so frames are taken until one does.
    fn take_first(&mut self, bytes: &[u8]) -> Result<(Option<Inbound>, usize), TransportError> {
        let mut taken_bytes = 0;
        loop {
            let rest = bytes.get(taken_bytes..).unwrap_or_default();
            let came = match Masked::first(rest, self.room_bytes()) {
                Ok(None) => return Ok((None, taken_bytes)),
                Ok(Some(frame)) => {
                    taken_bytes += frame.whole_bytes;
                    self.take_frame(&frame)
                }
                Err(bad) => Err(bad),
            };
            if let Some(came) = came.map_err(|bad| self.refuse(bad))? {
                return Ok((Some(came), taken_bytes));
            }
        }
    }

    /// So many bytes may the next part of a text have.
    fn room_bytes(&self) -> usize {
        let so_far = self.parts.as_ref().map_or(0, Vec::len);
        self.message_bytes.saturating_sub(so_far)
    }

    fn take_frame(&mut self, frame: &Masked<'_>) -> Result<Option<Inbound>, Bad> {
        match (frame.kind, &mut self.parts) {
            (Kind::Text, Some(_)) => Err(Bad::Malformed("a text within a text")),
            (Kind::More, None) => Err(Bad::Malformed("a continuation of nothing")),
            (Kind::Text, None) if frame.is_last => text(frame.unmasked()).map(Some),
            (Kind::Text, None) => {
                self.parts = Some(frame.unmasked());
                Ok(None)
            }
            (Kind::More, Some(parts)) => {
                frame.unmask_into(parts);
                let whole = if frame.is_last {
                    self.parts.take()
                } else {
                    None
                };
                whole.map(text).transpose()
            }
            (Kind::Ping, _) => {
                self.answer = Some(encode_pong(&frame.unmasked()));
                Ok(Some(Inbound::Alive))
            }
            (Kind::Pong, _) => Ok(Some(Inbound::Alive)),
            (Kind::Close, _) => {
                let payload = frame.unmasked();
                let answer = match close_answer(&payload)? {
                    Some((code, reason)) => encode_close(code, reason),
                    None => Bytes::from_static(BARE_CLOSE),
                };
                self.closed = true;
                Ok(Some(Inbound::Reply(answer)))
            }
        }
    }

    fn refuse(&mut self, bad: Bad) -> TransportError {
        self.drains_bytes = Some(DRAINED.saturating_mul(self.message_bytes));
        self.unread = Vec::new();
        self.parts = None;
        match bad {
            Bad::TooLarge => TransportError::TooLarge {
                limit_bytes: self.message_bytes,
            },
            Bad::Malformed(why) => TransportError::Malformed(why.to_owned()),
        }
    }

    /// Takes what still comes: a connection closed with unread bytes is reset, and the reset
    /// overtakes the close that says why.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<()> {
        READ.with_borrow_mut(|read| {
            while let Some(left) = self.drains_bytes.filter(|left| *left > 0) {
                let mut read = ReadBuf::new(read);
                let polled = Pin::new(&mut self.socket).poll_read(context, &mut read);
                let is_over = ready!(polled).is_err() || read.filled().is_empty();
                if is_over {
                    break;
                }
                self.drains_bytes = Some(left.saturating_sub(read.filled().len()));
            }
            self.closed = true;
            self.drains_bytes = None;
            Poll::Ready(())
        })
    }
}

fn text(bytes: Vec<u8>) -> Result<Inbound, Bad> {
    match std::str::from_utf8(&bytes) {
        Ok(_) => Ok(Inbound::Text(bytes.into())),
        Err(_) => Err(Bad::Malformed("not utf-8")),
    }
}

#[async_trait]
impl FrameReader for Reader {
    async fn next(&mut self) -> Result<Inbound, TransportError> {
        std::future::poll_fn(|context| self.poll(context)).await
    }
}

#[cfg(test)]
mod tests;
