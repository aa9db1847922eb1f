//! What waits to be sent over one connection. Whoever sends writes it to the socket at once; what the
//! socket does not take waits, up to a bound, for the connection's own task.

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::connection::End;
use crate::wire::Wire;

/// Memory kept for what is sent next.
const KEPT_BYTES: usize = 1 << 20;

#[derive(Default)]
struct Queue {
    bytes: BytesMut,
    /// The socket took no more: the task waits until it does.
    blocked: bool,
    ended: Option<End>,
    /// Something was sent since the last beat.
    spoke: bool,
}

/// The sending side of a connection.
pub(crate) struct Outbox {
    wire: Arc<Wire>,
    queue: Mutex<Queue>,
    limit: usize,
    wake: Notify,
}

impl Outbox {
    pub(crate) fn new(wire: Arc<Wire>, limit: usize) -> Self {
        Self {
            wire,
            queue: Mutex::default(),
            limit,
            wake: Notify::new(),
        }
    }

    /// Sends what is written, behind all that waits. From any thread, without waiting. Beyond the bound
    /// the connection ends; after its end nothing is sent.
    pub(crate) fn put(&self, write: impl FnOnce(&mut BytesMut)) {
        let mut queue = self.queue.lock();
        if queue.ended.is_some() {
            return;
        }
        write(&mut queue.bytes);
        queue.spoke = true;
        if !queue.blocked {
            self.flush(&mut queue);
        }
        if queue.bytes.len() > self.limit {
            self.end(&mut queue, End::Overflow);
        }
    }

    /// Ends the connection.
    pub(crate) fn close(&self) {
        self.end(&mut self.queue.lock(), End::Closed);
    }

    /// Whether something was sent since this was asked last.
    pub(crate) fn spoke(&self) -> bool {
        std::mem::take(&mut self.queue.lock().spoke)
    }

    /// Writes what waits whenever the socket takes it; ends when the connection is to end.
    pub(crate) async fn drive(&self) -> End {
        loop {
            let blocked = {
                let queue = self.queue.lock();
                if let Some(ended) = &queue.ended {
                    return ended.clone();
                }
                queue.blocked
            };
            tokio::select! {
                biased;
                () = self.wake.notified() => {}
                writable = self.wire.writable(), if blocked => {
                    let mut queue = self.queue.lock();
                    match writable {
                        Ok(()) => self.flush(&mut queue),
                        Err(error) => self.end(&mut queue, End::Lost(error.to_string())),
                    }
                }
            }
        }
    }

    fn end(&self, queue: &mut Queue, end: End) {
        queue.ended.get_or_insert(end);
        queue.bytes = BytesMut::new();
        self.wake.notify_one();
    }

    fn flush(&self, queue: &mut Queue) {
        queue.blocked = false;
        while !queue.bytes.is_empty() {
            // What the socket did not take stays in front, as the wire wants it.
            match self.wire.try_write(&queue.bytes) {
                Ok(written) => queue.bytes.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    queue.blocked = true;
                    self.wake.notify_one();
                    return;
                }
                Err(error) => return self.end(queue, End::Lost(error.to_string())),
            }
        }
        if queue.bytes.capacity() > KEPT_BYTES {
            queue.bytes = BytesMut::new();
        }
    }
}
