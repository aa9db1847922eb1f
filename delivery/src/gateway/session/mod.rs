//! A session: one socket of one device. What others see of it, and what it is told.
//!
//! The delivering thread and the session's own task share this: frames are put into the outbox
//! under the lock of the track, so that the order decided is the order sent. `task` is the loop that
//! reads the socket; each other room is one of the things it does.

mod commands;
mod fill;
mod load;
pub(crate) mod marks;
mod outbox;
pub(crate) mod owed;
mod retry;
pub(crate) mod stamp;
mod task;
pub(crate) mod track;
mod under_way;
mod unsettled;

pub(crate) use load::Head;
pub(crate) use outbox::{Bounds, Life};
pub(crate) use task::run;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use compact_str::CompactString;
use infra_ports::FrameWriter;
use infra_ports::transport::{encode_close, encode_ping, encode_text};
use parking_lot::Mutex;
use schemas::errors::{Code, Refusal, close};
use schemas::events::{MarkKind, MarkTold, StatusTold, VerdictTold};
use schemas::frames::{Accepted, Closing, Frame, Ticks, encode_frame};
use schemas::ids::{ChatId, ClientId, Identity, UserId};
use schemas::position::{Offset, Timestamp};
use tokio::sync::Notify;

use self::marks::Marks;
use self::outbox::{Outbox, Put};
use self::owed::Owed;
use self::track::{Offer, Track};
use self::unsettled::{Unsettled, Waiting};
use super::Gateway;
use super::hubs::Hub;
use super::pushed::Pushed;
use crate::metrics;

/// A socket's number in its gateway; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(crate) u64);

/// What a session has once its token is known.
pub(crate) struct SignedIn {
    pub(crate) identity: Identity,
    pub(crate) hub: Arc<Hub>,
    pub(crate) track: Mutex<Track>,
    unsettled: Mutex<Unsettled>,
    owed: Mutex<Owed>,
    pub(crate) marks: Mutex<Marks>,
    /// A retry alarm is set.
    retrying: AtomicBool,
}

/// One socket.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    outbox: Outbox,
    /// Rings when the session's task has something to do.
    wake: Notify,
    /// When the peer was last heard of, in milliseconds of the runtime's elapsed time.
    heard_ms: AtomicU64,
    /// The retry alarm rang and was not looked at yet.
    retry_rang: AtomicBool,
    /// The place behind the last setting that was pushed, in the user's partition of `accounts`.
    settings_from: AtomicU64,
    signed_in: OnceLock<SignedIn>,
}

/// A frame without `ref`, ready to leave.
pub(crate) fn wire(frame: &Frame) -> Bytes {
    encode_text(&encode_frame(None, frame))
}

/// An answer, ready to leave.
pub(crate) fn answer(reference: Option<&str>, frame: &Frame) -> Bytes {
    encode_text(&encode_frame(reference, frame))
}

/// The answer to what was refused.
pub(crate) fn refusal(reference: Option<&str>, refusal: Refusal) -> Bytes {
    metrics::refused(refusal.code);
    answer(reference, &Frame::Error(refusal))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Session {
    pub(crate) fn new(
        id: SessionId,
        writer: Arc<dyn FrameWriter>,
        bounds: Bounds,
        now: Duration,
    ) -> Self {
        Self {
            id,
            outbox: Outbox::new(writer, bounds),
            wake: Notify::new(),
            heard_ms: AtomicU64::new(millis(now)),
            retry_rang: AtomicBool::new(false),
            settings_from: AtomicU64::new(0),
            signed_in: OnceLock::new(),
        }
    }

    /// What is known since the token is.
    pub(crate) fn signed_in(&self) -> Option<&SignedIn> {
        self.signed_in.get()
    }

    /// The token speaks for this user; false when one was brought before.
    pub(crate) fn sign_in(&self, identity: Identity, hub: Arc<Hub>) -> bool {
        let signed_in = SignedIn {
            track: Mutex::new(Track::new(identity.user.clone())),
            unsettled: Mutex::default(),
            owed: Mutex::default(),
            marks: Mutex::default(),
            retrying: AtomicBool::new(false),
            identity,
            hub,
        };
        self.signed_in.set(signed_in).is_ok()
    }

    /// Puts a frame in line; a session without room is closed as a slow consumer.
    pub(crate) fn put(&self, frame: Bytes) {
        if self.outbox.put(frame) == Put::Full {
            self.close_slow();
        }
    }

    /// Writes out what waits, from whatever thread; the task goes on where the socket is full.
    pub(crate) fn flush(&self) {
        if self.outbox.flush() {
            self.wake.notify_one();
        }
    }

    /// The retry alarm rings; the session's task looks at it when it can.
    pub(crate) fn ring_retry(&self) {
        self.retry_rang.store(true, Ordering::Relaxed);
        self.wake();
    }

    fn takes_retry(&self) -> bool {
        self.retry_rang.swap(false, Ordering::Relaxed)
    }

    /// Lets the session's task look at its track again.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(crate) fn ping(&self) {
        self.put(encode_ping());
        self.flush();
    }

    pub(crate) fn heard(&self, now: Duration) {
        self.heard_ms.store(millis(now), Ordering::Relaxed);
    }

    pub(crate) fn last_heard(&self) -> Duration {
        Duration::from_millis(self.heard_ms.load(Ordering::Relaxed))
    }

    /// Closes with a code; what waits is still written, as far as the peer reads it in time.
    pub(crate) fn close(&self, code: u16, reason: &str, before: Option<&Frame>) {
        let last = before
            .map(wire)
            .into_iter()
            .chain([encode_close(code, reason)]);
        if self.outbox.close(last, false) {
            metrics::ended(label(code));
            self.flush();
            self.wake.notify_one();
        }
    }

    /// Frames that wait for the socket, and whether it is full.
    pub(crate) fn waiting(&self) -> (usize, bool) {
        self.outbox.waiting()
    }

    /// Cuts the connection.
    pub(crate) fn shut(&self) {
        self.outbox.shut();
        self.wake.notify_one();
    }

    fn close_slow(&self) {
        let closing = Closing {
            code: Code::SlowConsumer,
            reconnect_after_ms: 0,
            reconnect_to: None,
        };
        let code = close::SLOW_CONSUMER;
        let last = [
            wire(&Frame::Closing(closing)),
            encode_close(code, "slow consumer"),
        ];
        if self.outbox.close(last, true) {
            metrics::ended(label(code));
            self.wake.notify_one();
        }
    }

    /// Pushes a live entry, unless the device has it or something before it is missing.
    /// Answers true when something was pushed.
    pub(crate) fn push(&self, gateway: &Gateway, now: Duration, pushed: &Arc<Pushed>) -> bool {
        let Some(signed_in) = self.signed_in() else {
            return false;
        };
        if signed_in.is_own(&pushed.author) && pushed.device == signed_in.identity.device {
            let (name, id) = ((&pushed.chat, &pushed.client_id), &pushed.id);
            self.sent_before_entry(signed_in, name, id, pushed.taken_at);
        }
        let mut track = signed_in.track.lock();
        match track.offer(pushed) {
            Offer::Push => {
                self.put(pushed.frame.clone());
                let (chat, seq) = (&pushed.chat, pushed.seq);
                gateway.expect_mark(self, signed_in, &mut track, chat, seq, now);
                return true;
            }
            Offer::Drop => metrics::duplicate(),
            Offer::Wait => {}
            Offer::Gap => {
                metrics::gap();
                self.wake();
            }
        }
        false
    }

    /// An entry of this device is about to be sent: where the answer to its command is still owed,
    /// it goes first.
    fn sent_before_entry(
        &self,
        signed_in: &SignedIn,
        (chat, client_id): (&ChatId, &ClientId),
        id: &CompactString,
        at: Timestamp,
    ) {
        let mut unsettled = signed_in.unsettled.lock();
        let Some(Waiting::Answer(reference)) = unsettled.forget(chat, client_id) else {
            return;
        };
        let accepted = Accepted {
            chat: chat.clone(),
            client_id: client_id.clone(),
            id: id.clone(),
            at,
        };
        self.put(answer(reference.as_deref(), &Frame::Sent(accepted)));
    }

    /// Counts no command any longer of which only the verdict is awaited.
    pub(crate) fn forget_answered(&self) {
        if let Some(signed_in) = self.signed_in() {
            signed_in.unsettled.lock().forget_answered();
        }
    }

    /// Tells the author's own device what became of a command; false when this is another one.
    pub(crate) fn push_verdict(&self, told: &VerdictTold, frame: &Bytes) -> bool {
        let Some(signed_in) = self.signed_in() else {
            return false;
        };
        if signed_in.identity.device != told.device {
            return false;
        }
        let mut unsettled = signed_in.unsettled.lock();
        unsettled.verdict(&told.chat, &told.client_id);
        drop(unsettled);
        self.put(frame.clone());
        true
    }

    /// Tells an author how far a message got, beside the author.
    pub(crate) fn push_ticks(&self, told: &StatusTold) {
        let ticks = Ticks {
            chat: told.chat.clone(),
            seq: told.seq,
            delivered: told.delivered,
            read: told.read,
        };
        self.put(wire(&Frame::Ticks(ticks)));
    }

    /// Tells a device of a mark of its user.
    pub(crate) fn push_marked(&self, told: &MarkTold, frame: &Bytes) {
        let Some(signed_in) = self.signed_in() else {
            return;
        };
        if told.kind == MarkKind::Read {
            let mut track = signed_in.track.lock();
            let chat = track.chat_mut(&told.chat);
            chat.read = chat.read.max(told.seq);
        }
        self.put(frame.clone());
    }

    /// Tells a device of a setting of its user, unless it was told this or a later one: a fold that tells again
    /// must not put it back. True when it was told now.
    pub(crate) fn push_setting(&self, origin: Offset, frame: &Bytes) -> bool {
        let next = origin.next().0;
        if self.settings_from.fetch_max(next, Ordering::Relaxed) >= next {
            return false;
        }
        self.put(frame.clone());
        true
    }

    /// Live records may have been left out: the session resumes as if it had just come.
    pub(crate) fn resume_again(&self) {
        if let Some(signed_in) = self.signed_in() {
            signed_in.track.lock().reload();
            self.wake();
        }
    }
}

impl SignedIn {
    fn is_own(&self, author: &UserId) -> bool {
        self.identity.user == *author
    }
}

fn label(code: u16) -> &'static str {
    match code {
        close::NORMAL => "1000",
        close::PROTOCOL => "1002",
        close::TOO_LARGE => "1009",
        close::INTERNAL => "1011",
        close::RESTART => "1012",
        close::TRY_LATER => "1013",
        close::UNAUTHORIZED => "4001",
        close::TIMEOUT => "4002",
        close::SLOW_CONSUMER => "4003",
        _ => "other",
    }
}
