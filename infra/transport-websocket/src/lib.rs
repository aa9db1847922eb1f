//! Frames of a session over a WebSocket (RFC 6455), server side.
//!
//! The way in: the node checks the request with [`handshake()`] and answers 101; hyper hands the
//! connection over; [`open`] splits it into a reader and a writer. The reader only reads: what the
//! protocol demands as an answer (pongs, the answer to a close) comes out of it as
//! `Inbound::Reply`, so that all bytes leave through the session's outbox. The writer takes wire
//! bytes made by `infra_ports::transport::encode_*` from any thread. Neither knows what a frame
//! says; nothing here keeps a queue, and a connection on which nothing comes holds no buffer
//! (ADR 0012).
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::disallowed_methods,
        reason = "tests may fail loudly"
    )
)]

mod frames;
mod handshake;
mod reader;
mod writer;

pub use handshake::{HandshakeError, handshake};

use std::sync::Arc;

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use infra_ports::{FrameReader, FrameWriter};
use schemas::frames::MAX_FRAME_BYTES;
use tokio::net::TcpStream;

/// What a connection may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// The largest text from a client, in bytes; a larger one ends the session.
    pub message_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            message_bytes: MAX_FRAME_BYTES,
        }
    }
}

/// Why a connection could not be taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server does not serve plain TCP streams: the node is wired up wrongly.
    #[error("the upgraded connection is not a plain TCP stream")]
    ForeignStream,
    /// The socket refused its options.
    #[error("socket options: {0}")]
    Socket(#[from] std::io::Error),
}

/// Both halves of a session.
pub type Halves = (Box<dyn FrameReader>, Arc<dyn FrameWriter>);

/// Takes over a connection after its 101 answer has left: what hyper served over
/// `TokioIo<TcpStream>` with upgrades. Bytes that came with the handshake are not lost.
///
/// # Errors
/// The server serves something else than TCP streams, or the socket is broken.
pub fn open(upgraded: Upgraded, config: &Config) -> Result<Halves, OpenError> {
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| OpenError::ForeignStream)?;
    open_stream(parts.io.into_inner(), &parts.read_buf, config)
}

/// Takes over a TCP stream whose handshake is done, with the bytes already read off it.
///
/// # Errors
/// The socket is broken.
pub fn open_stream(
    stream: TcpStream,
    leftover: &Bytes,
    config: &Config,
) -> Result<Halves, OpenError> {
    // The outbox writes whole batches: waiting for more would only delay them.
    stream.set_nodelay(true)?;
    let (read, write) = stream.into_split();
    let reader = reader::Reader::new(read, leftover, config);
    Ok((Box::new(reader), Arc::new(writer::Writer::new(write))))
}
