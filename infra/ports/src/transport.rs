//! The transport: text frames of one session, whatever carries them.
//!
//! A session has two halves. The reader is owned by the session's task. The writer is shared: the
//! thread that made a batch writes it out itself with `try_write`, and only when the socket is full
//! does the session's task wait for `writable` and go on. All bytes of a session, pongs and closes
//! too, leave through its outbox and so through `try_write`.

use async_trait::async_trait;
use bytes::Bytes;

/// What came from the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// A text frame, whole.
    Text(Bytes),
    /// The peer answered a ping, or pinged: it is alive.
    Alive,
    /// Bytes that must leave through the outbox: an answer of the transport's own (pong, close).
    /// A session that has queued a close already leaves it out: nothing may follow a close.
    Reply(Bytes),
    /// The peer closed, or the connection ended; nothing follows.
    Closed,
}

/// Why the transport failed; the session ends.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// A frame over the limit.
    #[error("frame over the limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// Something that is not the protocol: not UTF-8, a bad frame.
    #[error("not the protocol: {0}")]
    Malformed(String),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(String),
}

/// The reading half of a session.
#[async_trait]
pub trait FrameReader: Send {
    /// The next thing from the peer. Cancel safe: nothing is lost when the future is dropped.
    ///
    /// After `TooLarge` and `Malformed` what still comes is taken and thrown away, up to some bound
    /// of bytes, until the peer is done, so that a peer in the middle of a frame lives to read why
    /// it is closed; then `Closed`. How long that may take is the session's to decide.
    async fn next(&mut self) -> Result<Inbound, TransportError>;
}

/// The writing half of a session. Takes *wire bytes*, ready to leave, made by its own `encode_*`.
#[async_trait]
pub trait FrameWriter: Send + Sync {
    /// Writes as much of the pieces, in order, as the socket takes now, from any thread, without
    /// waiting; returns the bytes taken, 0 when the socket is full.
    ///
    /// # Errors
    /// `Lost`: the connection is broken or was shut; the session ends.
    fn try_write(&self, pieces: &[Bytes]) -> Result<usize, TransportError>;

    /// Waits until `try_write` may take more, or the connection is lost. Cancel safe.
    async fn writable(&self) -> Result<(), TransportError>;

    /// Closes for good: nothing is written after. Idempotent.
    fn shut(&self);
}

/// The wire form of a text frame (a WebSocket frame from server to client: RFC 6455, 5.2; other
/// transports take it apart or have their own).
pub fn encode_text(text: &[u8]) -> Bytes {
    encode(0x1, text)
}

/// The wire form of a ping, for heartbeats.
pub fn encode_ping() -> Bytes {
    encode(0x9, &[])
}

/// The wire form of the answer to a ping, with its payload of at most 125 bytes; what is over that
/// is left out.
pub fn encode_pong(payload: &[u8]) -> Bytes {
    encode(0xA, payload.get(..125).unwrap_or(payload))
}

/// The wire form of a close with a code (RFC 6455, 7.4) and a reason of at most 123 bytes.
pub fn encode_close(code: u16, reason: &str) -> Bytes {
    let reason = reason
        .get(..reason.floor_char_boundary(123))
        .unwrap_or_default();
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(reason.as_bytes());
    encode(0x8, &payload)
}

/// ```text
/// 0x80 | opcode │ length < 126            │ payload
/// 0x80 | opcode │ 126 │ length, 2 bytes BE │ payload
/// 0x80 | opcode │ 127 │ length, 8 bytes BE │ payload
/// ```
fn encode(opcode: u8, payload: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(payload.len() + 10);
    frame.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < 126 => frame.push(short),
        (_, Ok(middle)) => {
            frame.push(126);
            frame.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame.into()
}
