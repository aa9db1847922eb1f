//! The writing half: vectored non-blocking writes from any thread.

use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use infra_ports::{FrameWriter, TransportError};
use parking_lot::RwLock;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

/// The pieces that one system call takes; more of them are taken by the next.
const PIECES: usize = 64;

/// Empty once shut: dropping the half sends the end of the stream after what was written.
pub(crate) struct Writer {
    half: RwLock<Option<Arc<OwnedWriteHalf>>>,
    shut: Notify,
}

impl Writer {
    pub(crate) fn new(half: OwnedWriteHalf) -> Self {
        Self {
            half: RwLock::new(Some(Arc::new(half))),
            shut: Notify::new(),
        }
    }
}

#[async_trait]
impl FrameWriter for Writer {
    fn try_write(&self, pieces: &[Bytes]) -> Result<usize, TransportError> {
        let half = self.half.read();
        let half = half.as_ref().ok_or_else(was_shut)?;
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut used = 0;
        for (slice, piece) in slices
            .iter_mut()
            .zip(pieces.iter().filter(|p| !p.is_empty()))
        {
            *slice = IoSlice::new(piece);
            used += 1;
        }
        if used == 0 {
            return Ok(0);
        }
        match half.try_write_vectored(slices.get(..used).unwrap_or_default()) {
            Ok(0) => Err(TransportError::Lost(
                "the socket takes no more bytes".to_owned(),
            )),
            Ok(taken) => Ok(taken),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(TransportError::Lost(error.to_string())),
        }
    }

    async fn writable(&self) -> Result<(), TransportError> {
        let shut = self.shut.notified();
        tokio::pin!(shut);
        // Before the look at `half`, so that a shut in between is not missed.
        shut.as_mut().enable();
        let half = self.half.read().clone().ok_or_else(was_shut)?;
        tokio::select! {
            biased;
            () = shut => Err(was_shut()),
            ready = half.writable() => ready.map_err(|e| TransportError::Lost(e.to_string())),
        }
    }

    fn shut(&self) {
        let half = self.half.write().take();
        drop(half);
        self.shut.notify_waiters();
    }
}

fn was_shut() -> TransportError {
    TransportError::Lost("shut".to_owned())
}
