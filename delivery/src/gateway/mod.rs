//! The gateway: holds sockets, decides nothing. Knows its sessions and who they belong to, hands
//! what was told to them, rings their alarms.
//!
//! Locks, in the order they are taken: hubs, one hub, a session's track, what it owes, what is
//! unsettled, its outbox. None is held over an await. That of the entries of late is taken beside
//! these, never with another after it.

mod alarms;
mod answers;
mod deliver;
mod desk;
mod hubs;
mod lately;
mod pushed;
pub(crate) mod replays;
pub(crate) mod session;
mod wheel;

use deliver::since;
pub(crate) use hubs::Hub;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use infra_ports::link::{Link, Subscribed, Subscribing};
use infra_ports::{EventLog, FrameWriter, Runtime};
use parking_lot::Mutex;
use schemas::errors::{Code, Refusal, close};
use schemas::frames::{Closing, Frame};
use schemas::ids::{ChatId, Identity, UserId};
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::{Topic, partition_of};
use tokio::sync::Notify;

use self::answers::Answers;
use self::desk::Desk;
use self::hubs::Hubs;
use self::lately::Lately;
use self::replays::Replays;
use self::session::track::Track;
use self::session::{Bounds, Session, SessionId, SignedIn, wire};
use self::wheel::{Alarm, Wheel};
use crate::config::Config;
use crate::metrics;
use crate::reads::Reads;
use crate::seams::{Applied, CHATS, Commands, INBOX};

/// The farthest alarm: a later moment is looked at again then.
const FARTHEST_ALARM: Duration = Duration::from_secs(600);

/// What a gateway works with.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) commands: Arc<dyn Commands>,
    pub(crate) applied: Arc<dyn Applied>,
    pub(crate) reads: Reads,
}

/// A gateway.
pub(crate) struct Gateway {
    pub(crate) config: Config,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) commands: Arc<dyn Commands>,
    pub(crate) applied: Arc<dyn Applied>,
    pub(crate) reads: Reads,
    /// To the workers; the link knows the gateway, so it comes second.
    link: OnceLock<Arc<dyn Link>>,
    wheel: Wheel,
    pub(crate) desk: Desk,
    pub(crate) answers: Answers,
    pub(crate) replays: Arc<Replays>,
    hubs: Mutex<Hubs>,
    pub(crate) lately: Mutex<Lately>,
    /// Looked up by number; walked only sorted.
    sessions: Mutex<HashMap<SessionId, Arc<Session>, ahash::RandomState>>,
    next_session: AtomicU64,
    stopping: AtomicBool,
    /// Rings when a session has ended.
    ended: Notify,
}

impl Gateway {
    pub(crate) fn new(parts: Parts) -> Self {
        let replays = Replays::new(Arc::clone(&parts.log), Arc::clone(&parts.runtime));
        Self {
            replays,
            config: parts.config,
            runtime: parts.runtime,
            log: parts.log,
            commands: parts.commands,
            applied: parts.applied,
            reads: parts.reads,
            link: OnceLock::new(),
            wheel: Wheel::new(),
            desk: Desk::default(),
            answers: Answers::default(),
            hubs: Mutex::default(),
            lately: Mutex::default(),
            sessions: Mutex::default(),
            next_session: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
            ended: Notify::new(),
        }
    }

    /// Puts the link to the workers in place, before the first socket comes.
    pub(crate) fn link_to(&self, link: Arc<dyn Link>) {
        let placed = self.link.set(link);
        debug_assert!(placed.is_ok(), "a gateway is linked once");
    }

    fn link(&self) -> &dyn Link {
        let link = self.link.get();
        &**link.expect("it is put in place before the first socket comes")
    }

    /// True while there is room for another socket.
    pub(crate) fn may_accept(&self) -> bool {
        !self.is_stopping() && self.sessions.lock().len() < self.config.max_sessions
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Takes a socket in.
    pub(crate) fn open(&self, writer: Arc<dyn FrameWriter>, has_token: bool) -> Arc<Session> {
        let id = SessionId(self.next_session.fetch_add(1, Ordering::Relaxed));
        let Config {
            outbox_bytes: bytes,
            outbox_frames: frames,
            ..
        } = self.config;
        let now = self.runtime.elapsed();
        let session = Arc::new(Session::new(id, writer, Bounds { bytes, frames }, now));
        let open = {
            let mut sessions = self.sessions.lock();
            sessions.insert(id, Arc::clone(&session));
            sessions.len()
        };
        metrics::opened(open);
        if !has_token {
            self.wheel
                .set(now + self.config.hello_within, id, Alarm::Hello);
        }
        self.wheel
            .set(now + self.config.ping_after, id, Alarm::Heartbeat);
        if open > self.config.max_sessions {
            session.close(close::TRY_LATER, Code::TooManySessions.as_str(), None);
        }
        if self.is_stopping() {
            // It came while everybody was told to go.
            self.send_away(&session, None);
        }
        session
    }

    /// A socket is gone.
    pub(crate) fn forget(&self, session: &Arc<Session>) {
        let open = {
            let mut sessions = self.sessions.lock();
            sessions.remove(&session.id);
            sessions.len()
        };
        metrics::left(open);
        session.abandon_commands();
        if let Some(signed_in) = session.signed_in() {
            let mut hubs = self.hubs.lock();
            signed_in.hub.leave(session.id);
            self.drop_if_unused(&mut hubs, &signed_in.hub);
        }
        self.ended.notify_waiters();
    }

    fn session(&self, id: SessionId) -> Option<Arc<Session>> {
        self.sessions.lock().get(&id).cloned()
    }

    /// All sessions, in the order they came.
    fn all_sessions(&self) -> Vec<Arc<Session>> {
        let mut all: Vec<_> = self.sessions.lock().values().cloned().collect();
        all.sort_unstable_by_key(|session| session.id);
        all
    }

    /// The token of a session is known: it is welcomed and hears from now on what its user is told.
    /// Its commands have to wait for the answer: no verdict may pass by unheard. None, and nothing was
    /// done, when the user has as many sessions as they may.
    pub(crate) fn join(
        &self,
        session: &Arc<Session>,
        identity: Identity,
        welcome: Bytes,
    ) -> Option<Subscribing> {
        let mut hubs = self.hubs.lock();
        let hub = hubs.of(&identity.user);
        if hub.sessions() >= self.config.sessions_per_user {
            self.drop_if_unused(&mut hubs, &hub);
            return None;
        }
        // First of all: nothing is told before the session is in the hub.
        session.put(welcome);
        if session.sign_in(identity, Arc::clone(&hub)) {
            hub.join(Arc::clone(session));
        }
        let subscribing = self.link().subscribe(&hub.user, hub.id);
        drop(hubs);
        session.wake();
        Some(subscribing)
    }

    /// Hears what a user is told, session or not, from the answer on: for watches.
    pub(crate) fn listen(
        &self,
        user: &UserId,
        enter: impl FnOnce(&Hub),
    ) -> (Arc<Hub>, Subscribing) {
        let mut hubs = self.hubs.lock();
        let hub = hubs.of(user);
        enter(&hub);
        let subscribing = self.link().subscribe(user, hub.id);
        (hub, subscribing)
    }

    /// Ends what [`Gateway::listen`] began.
    pub(crate) fn unlisten(&self, hub: &Arc<Hub>, leave: impl FnOnce(&Hub)) {
        let mut hubs = self.hubs.lock();
        leave(hub);
        self.drop_if_unused(&mut hubs, hub);
    }

    fn drop_if_unused(&self, hubs: &mut Hubs, hub: &Arc<Hub>) {
        if hub.is_unused() && hubs.remove(hub) {
            self.link().unsubscribe(&hub.user);
        }
    }

    /// From where on a user is told what comes.
    pub(crate) fn subscribe(&self, hub: &Hub) -> Subscribing {
        self.link().subscribe(&hub.user, hub.id)
    }

    /// Waits for the tables to have what stands at an offset of a chat's partition.
    pub(crate) async fn rows_applied(
        &self,
        chat: &ChatId,
        origin: Offset,
        patience: Duration,
    ) -> bool {
        let partition = partition_of(chat.as_str().as_bytes(), self.log.partitions());
        if self.applied.applied(CHATS, partition) > origin {
            return true;
        }
        self.applied
            .wait_applied(CHATS, partition, origin.next(), patience)
            .await
    }

    /// Waits for the tables to have what this session knows of a chat; false when time is over
    /// before.
    pub(crate) async fn rows_of(
        &self,
        signed_in: &SignedIn,
        chat: &ChatId,
        patience: Duration,
    ) -> bool {
        let newest = {
            let track = signed_in.track.lock();
            let pushed = track.recent(chat).next().map(|pushed| pushed.origin);
            let behind = track
                .chat(chat)
                .and_then(|chat| Some(chat.behind.as_ref()?.origin));
            pushed.max(behind)
        };
        match newest {
            Some(origin) => self.rows_applied(chat, origin, patience).await,
            None => true,
        }
    }

    /// Waits for the tables to have all that the log and this session know of a chat; false when
    /// that takes too long or the log does not answer.
    pub(crate) async fn rows_are_current(&self, signed_in: &SignedIn, chat: &ChatId) -> bool {
        let patience = self.config.inbox_within;
        let partition = partition_of(chat.as_str().as_bytes(), self.log.partitions());
        let Ok(ends) = self.log.positions(Topic::Chats, partition).await else {
            return false;
        };
        let newest = ends.durable_end.0.checked_sub(1).map(Offset);
        let logged = match newest {
            Some(newest) => self.rows_applied(chat, newest, patience).await,
            None => true,
        };
        logged && self.rows_of(signed_in, chat, patience).await
    }

    /// Waits for the inbox to have what this user was told here before; false when that takes too
    /// long.
    pub(crate) async fn inbox_of(&self, hub: &Hub) -> bool {
        let told = async {
            match self.subscribe(hub).await {
                Ok(Subscribed { partition, from }) => self.inbox_at(partition, from).await,
                Err(_) => false,
            }
        };
        tokio::select! {
            biased;
            is_there = told => is_there,
            () = self.runtime.sleep(self.config.inbox_within) => false,
        }
    }

    /// Waits for the inbox to have all that the log tells a user; false when that takes too long or
    /// the log does not answer.
    pub(crate) async fn inbox_is_current(&self, user: &UserId) -> bool {
        let partition = partition_of(user.as_str().as_bytes(), self.log.partitions());
        match self.log.positions(Topic::Users, partition).await {
            Ok(ends) => self.inbox_at(partition, ends.end).await,
            Err(_) => false,
        }
    }

    /// Waits for the inbox to have everything below an offset of `users`; false when that takes too
    /// long.
    pub(crate) async fn inbox_at(&self, partition: Partition, offset: Offset) -> bool {
        let (applied, patience) = (&self.applied, self.config.inbox_within);
        applied
            .wait_applied(INBOX, partition, offset, patience)
            .await
    }

    /// Says `live` once everything missed was sent.
    pub(crate) fn live_if_done(&self, session: &Session, track: &mut Track) {
        let times = track.goes_live();
        if times > 0 && track.has_lost() {
            session.forget_answered();
        }
        for _ in 0..times {
            session.put(wire(&Frame::Live {}));
        }
    }

    /// What needs the tables, as long as they may take: a session reads no further while too much
    /// of this is under way, and its commands need none of them.
    ///
    /// # Errors
    /// Its own, and `unavailable` when time is over.
    pub(crate) async fn by_tables<T>(
        &self,
        asking: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        tokio::select! {
            biased;
            answer = asking => answer,
            () = self.runtime.sleep(self.config.tables_within) => {
                Err(Refusal::plain(Code::Unavailable))
            }
        }
    }

    /// How long to wait before the tables are asked again.
    pub(crate) fn retry_pause(&self) -> Duration {
        Duration::from_millis(200)
    }

    /// Sets an alarm for a moment of the wall clock, or for [`FARTHEST_ALARM`] from now, when it is to
    /// be looked at again: an alarm outlives its session, so none is set for years.
    pub(crate) fn alarm_at(&self, at: Timestamp, session: SessionId, alarm: Alarm) {
        let left = at.0.saturating_sub(self.runtime.now().0);
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(FARTHEST_ALARM);
        let moment = self.runtime.elapsed().saturating_add(left);
        self.wheel.set(moment, session, alarm);
    }

    /// True when the worker knows as many users as are here: subscribing and leaving happen under
    /// the same lock, so the two differ only when one side lost its memory of the other.
    pub(crate) fn link_is_whole(&self) -> bool {
        let hubs = self.hubs.lock();
        hubs.len() == self.link().subscribers()
    }

    /// Looks at what waits for sockets to have room, for the metrics.
    pub(crate) fn take_stock(&self) {
        let (mut frames, mut blocked) = (0, 0);
        for session in self.all_sessions() {
            let (waiting, full) = session.waiting();
            frames += waiting;
            blocked += usize::from(full);
        }
        metrics::waiting(frames, blocked);
    }

    /// Sends all clients away: tells them when and where to come back, closes with 1012, and waits
    /// until they are gone, as long as a close may take.
    pub(crate) async fn shutdown(&self, reconnect_to: Option<&str>) {
        self.stopping.store(true, Ordering::Release);
        for session in self.all_sessions() {
            self.send_away(&session, reconnect_to);
        }
        let mut bell = self
            .runtime
            .sleep(self.config.close_within.saturating_mul(2));
        loop {
            let ended = self.ended.notified();
            if self.sessions.lock().is_empty() {
                return;
            }
            tokio::select! {
                biased;
                () = ended => {}
                () = &mut bell => break,
            }
        }
        for session in self.all_sessions() {
            session.shut();
        }
    }

    /// Nothing more will be told: clients are sent elsewhere.
    pub(crate) fn give_up(&self) {
        self.stopping.store(true, Ordering::Release);
        for session in self.all_sessions() {
            self.send_away(&session, None);
        }
    }

    fn send_away(&self, session: &Session, reconnect_to: Option<&str>) {
        // Spread, so that they do not all come to the next server at the same moment.
        let pause = u64::try_from(self.config.reconnect_after.as_millis()).unwrap_or(u64::MAX);
        let spread = self.runtime.random() % pause.max(1);
        let closing = Closing {
            code: Code::ShuttingDown,
            reconnect_after_ms: pause.saturating_add(spread),
            reconnect_to: reconnect_to.map(str::to_owned),
        };
        let reason = Code::ShuttingDown.as_str();
        session.close(close::RESTART, reason, Some(&Frame::Closing(closing)));
    }
}
