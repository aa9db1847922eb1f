//! The loop of a session: reads the socket, carries out what came, sends what is missing, waits for
//! room. Live entries do not pass here; the delivering thread writes them itself.
//!
//! Commands are handed over in the order they came, without waiting for one another: their appends
//! are begun in that order and share a commit. Their answers do not pass here either
//! (`gateway::answers`). Ends when the connection does.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::stream::FuturesUnordered;
use infra_ports::link::{LinkGone, Subscribed, Subscribing};
use infra_ports::runtime::BoxFuture;
use infra_ports::{FrameReader, Inbound, TransportError};
use schemas::errors::{Code, Refusal, close};
use schemas::frames::{Frame, decode_command};

use super::under_way::UnderWay;
use super::{Life, Session, fill, load, refusal, retry};
use crate::gateway::Gateway;
use crate::gateway::session::track::Phase;
use crate::metrics;

/// Commands and reads of one session under way at once; beyond that its socket is not read.
const MAX_UNDER_WAY: usize = 512;
/// Frames read at once before others get their turn.
const MAX_READ: usize = 64;

/// Something that will answer a client with ready frames.
pub(super) type Answering = BoxFuture<'static, Vec<Bytes>>;

/// The session's own side.
pub(super) struct Task {
    pub(super) gateway: Arc<Gateway>,
    pub(super) session: Arc<Session>,
    reader: Box<dyn FrameReader>,
    /// Reads, and marks that need one: answered as they are ready.
    pub(super) others: UnderWay<FuturesUnordered<Answering>>,
    /// What is being read from the tables for this session.
    step: Option<BoxFuture<'static, ()>>,
    /// Runs out when a closing session took too long.
    linger: Option<BoxFuture<'static, ()>>,
    /// Held until the session is known to be somebody's.
    pub(super) until_known: Option<Arc<dyn Send + Sync>>,
    /// The session's subscription, until the worker has it: no command is read before.
    pub(super) joining: Option<Subscribing>,
    /// The peer broke the protocol: what it still sends is thrown away until it is done.
    drains: bool,
}

/// What woke the loop.
enum Woken {
    ByOthers,
    Writable,
    Frames(Vec<Bytes>),
    Stepped,
    Came(Result<Inbound, TransportError>),
    LingeredOut,
    /// The worker answered, or was lost.
    Joined(bool),
}

/// Serves a session until its connection ends; then, or when the future is dropped, the session is
/// gone from the gateway.
pub(crate) fn run(
    gateway: Arc<Gateway>,
    session: Arc<Session>,
    reader: Box<dyn FrameReader>,
    token: Option<String>,
    until_known: Option<Arc<dyn Send + Sync>>,
) -> impl Future<Output = ()> + Send + 'static {
    let mut task = Task {
        gateway,
        session,
        reader,
        others: UnderWay::default(),
        step: None,
        linger: None,
        until_known,
        joining: None,
        drains: false,
    };
    // The task stays where it is built: an async function would hold it twice, as what it was given
    // and as what it works with.
    async move {
        if let Some(token) = token {
            task.sign_in(None, &token);
        }
        task.go_on().await;
    }
}

/// The session's place in the gateway is given back whatever ends it.
impl Drop for Task {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The peer is owed a code even then.
            let reason = Code::Internal.as_str();
            self.session.close(close::INTERNAL, reason, None);
        }
        self.session.shut();
        self.gateway.forget(&self.session);
    }
}

impl Task {
    async fn go_on(&mut self) {
        while self.prepare() {
            let woken = self.wait().await;
            if !self.act(woken) {
                return;
            }
        }
    }

    /// Writes out and begins what is to be waited for; false when the session is over.
    fn prepare(&mut self) -> bool {
        self.session.outbox.flush();
        match self.session.outbox.life() {
            Life::Lost => return false,
            life @ (Life::Closing | Life::Closed) => {
                // A connection that is cut with unread frames in it may take the close with it: the
                // peer gets a moment to answer.
                if self.linger.is_none() {
                    let within = self.gateway.config.close_within;
                    self.linger = Some(self.gateway.runtime.sleep(within));
                    self.step = None;
                }
                if self.drains && life == Life::Closed {
                    self.session.outbox.hang_up();
                }
            }
            // A step that is begun is gone on with, room or not: it may hold a place among those who read.
            Life::Open if self.step.is_none() && self.session.outbox.has_room() => {
                self.step = self.next_step();
            }
            Life::Open => {}
        }
        true
    }

    fn next_step(&self) -> Option<BoxFuture<'static, ()>> {
        let signed_in = self.session.signed_in()?;
        let (gateway, session) = (Arc::clone(&self.gateway), Arc::clone(&self.session));
        if session.takes_retry() {
            return Some(Box::pin(retry::retry(gateway, session)));
        }
        let track = signed_in.track.lock();
        if !track.has_work() {
            return None;
        }
        Some(match track.phase {
            Phase::Loading => Box::pin(load::load(gateway, session)),
            Phase::Serving => Box::pin(fill::fill(gateway, session)),
        })
    }

    async fn wait(&mut self) -> Woken {
        let outbox = &self.session.outbox;
        let closing = self.linger.is_some();
        let has_room = outbox.has_room();
        let joins = self.joining.is_some();
        let reads = closing || (has_room && !joins && !self.is_busy());
        tokio::select! {
            biased;
            // First, or a peer that never stops talking would keep a closing session for ever.
            () = ready(&mut self.linger), if closing => Woken::LingeredOut,
            () = self.session.wake.notified() => Woken::ByOthers,
            () = outbox.writable(), if outbox.is_blocked() => Woken::Writable,
            Some(frames) = self.others.next(), if !self.others.is_empty() => {
                Woken::Frames(frames)
            }
            answer = joined(&mut self.joining), if joins => Woken::Joined(answer.is_ok()),
            () = ready(&mut self.step), if self.step.is_some() => Woken::Stepped,
            came = self.reader.next(), if reads => Woken::Came(came),
        }
    }

    /// True while as much is under way as may; whoever answers a command then wakes this task.
    fn is_busy(&self) -> bool {
        let left = MAX_UNDER_WAY.saturating_sub(self.others.len());
        self.session.owes_as_many_as(left) || self.has_many_marks()
    }

    /// False when the session is over.
    fn act(&mut self, woken: Woken) -> bool {
        match woken {
            Woken::ByOthers => self.begin_slow_marks(),
            Woken::Writable => {
                self.session.outbox.unblock();
            }
            Woken::Frames(frames) => frames.into_iter().for_each(|f| self.session.put(f)),
            Woken::Stepped => self.step = None,
            Woken::Joined(true) => self.joining = None,
            // The worker was lost before it answered: another one is asked. When delivery goes down
            // nothing follows, and the session is sent away.
            Woken::Joined(false) => {
                let going = self.gateway.is_stopping();
                let signed_in = self.session.signed_in().filter(|_| !going);
                self.joining = signed_in.map(|signed_in| self.gateway.subscribe(&signed_in.hub));
            }
            Woken::Came(came) => return self.take_all(came),
            Woken::LingeredOut => return false,
        }
        true
    }

    /// Takes what came, and what else is there already. What was read is taken: nothing more is
    /// read once enough was.
    fn take_all(&mut self, mut came: Result<Inbound, TransportError>) -> bool {
        self.session.heard(self.gateway.runtime.elapsed());
        for left in (0..MAX_READ).rev() {
            if !self.take(came) {
                return false;
            }
            if left == 0 || self.is_busy() || self.linger.is_some() || self.joining.is_some() {
                return true;
            }
            match self.reader.next().now_or_never() {
                Some(next) => came = next,
                None => return true,
            }
        }
        true
    }

    fn take(&mut self, came: Result<Inbound, TransportError>) -> bool {
        let open = self.session.outbox.life() == Life::Open;
        match came {
            Ok(Inbound::Text(text)) if open => self.take_text(&text),
            Ok(Inbound::Text(_) | Inbound::Alive) => {}
            Ok(Inbound::Reply(reply)) => self.session.put(reply),
            Ok(Inbound::Closed) => {
                if open {
                    metrics::ended("peer");
                }
                self.session.flush();
                return false;
            }
            Err(error) => return self.broken(&error),
        }
        true
    }

    fn broken(&mut self, error: &TransportError) -> bool {
        tracing::debug!(session = self.session.id.0, %error, "transport");
        self.drains = true;
        match error {
            TransportError::TooLarge { .. } => {
                let refused = Refusal::plain(Code::FrameTooLarge);
                metrics::refused(refused.code);
                let frame = Frame::Error(refused);
                self.session
                    .close(close::TOO_LARGE, "frame too large", Some(&frame));
                true
            }
            TransportError::Malformed(_) => {
                self.session
                    .close(close::PROTOCOL, "not the protocol", None);
                true
            }
            TransportError::Lost(_) => self.lost(),
            // An error of a later transport: it says that the session ends.
            _ => self.lost(),
        }
    }

    fn lost(&self) -> bool {
        if self.session.outbox.life() == Life::Open {
            metrics::ended("lost");
        }
        false
    }

    fn take_text(&mut self, text: &[u8]) {
        let received = decode_command(text);
        match received.value {
            Ok(command) => self.carry_out(received.reference, command),
            Err(refused) => {
                self.session
                    .put(refusal(received.reference.as_deref(), refused));
            }
        }
    }
}

/// Waits for a subscription that may not be there.
async fn joined(slot: &mut Option<Subscribing>) -> Result<Subscribed, LinkGone> {
    match slot {
        Some(subscribing) => subscribing.await,
        None => Err(LinkGone),
    }
}

/// Waits for a future that may not be there and takes it away when it is through.
async fn ready(slot: &mut Option<BoxFuture<'static, ()>>) {
    if let Some(future) = slot {
        future.await;
        *slot = None;
    }
}
