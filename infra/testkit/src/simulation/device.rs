//! A device: the client library's session, and around it what the library's own shell does, on
//! virtual time and a connection in memory. What its user has written down is on its disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cursus_client::{Event, Lost, Moment, Output, Progress, Session, SessionConfig, State, Ticket};
use infra_ports::Runtime;
use infra_ports::memory::runtime::Node;
use infra_ports::memory::{SimFaults, SimRuntime};
use parking_lot::Mutex;
use schemas::frames::Command;
use schemas::ids::ChatId;
use schemas::position::Seq;
use tokio::sync::Notify;

use super::line::{Line, Step};
use super::network::{Dialing, Network};
use super::plan::Shape;
use super::user::{Hands, User};
use super::witness::Witness;
use crate::checker::Endpoint;
use crate::flaws::ClientFlaw;
use crate::recorder::Recorder;

/// What its user wants of it.
pub(super) enum Wish {
    /// A command or a question.
    Submit(Command),
    /// Everything on disk of this chat was read.
    Read(ChatId),
}

/// What others see of a device, and what a crash of the app leaves of it.
pub(super) struct Device {
    pub(super) node: Node,
    pub(super) endpoint: Endpoint,
    pub(super) recorder: Arc<Recorder>,
    pub(super) network: Arc<Network>,
    pub(super) witness: Arc<Witness>,
    wishes: Mutex<VecDeque<Wish>>,
    bell: Notify,
    disk: Mutex<Progress>,
    tickets: AtomicU64,
    state: Mutex<(State, bool)>,
    line: Mutex<Option<Line>>,
    awake_at: Mutex<Duration>,
}

impl Device {
    pub(super) fn new(
        node: Node,
        endpoint: Endpoint,
        network: Arc<Network>,
        witness: Arc<Witness>,
    ) -> Arc<Self> {
        Arc::new(Self {
            node,
            endpoint,
            recorder: Recorder::new(),
            network,
            witness,
            wishes: Mutex::default(),
            bell: Notify::new(),
            disk: Mutex::default(),
            tickets: AtomicU64::new(0),
            state: Mutex::new((State::Waiting, false)),
            line: Mutex::default(),
            awake_at: Mutex::default(),
        })
    }

    /// The user wants something.
    pub(super) fn wish(&self, wish: Wish) {
        self.wishes.lock().push_back(wish);
        self.bell.notify_one();
    }

    /// Its app has something to look at.
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// An entry is on disk, and the progress with it.
    pub(super) fn written(&self, chat: &ChatId, seq: Seq) {
        self.disk.lock().advance(chat, seq);
    }

    /// Waits until the device is in somebody's hands again.
    pub(super) async fn dozed(&self, runtime: &SimRuntime) {
        let awake_at = *self.awake_at.lock();
        let left = awake_at.saturating_sub(runtime.elapsed());
        if !left.is_zero() {
            runtime.sleep(left).await;
        }
    }

    /// Up to where the chat is on disk.
    pub(super) fn newest(&self, chat: &ChatId) -> Seq {
        self.disk.lock().of(chat).unwrap_or_default()
    }

    /// True when it is live and everything its user wanted is settled.
    pub(super) fn is_settled(&self) -> bool {
        *self.state.lock() == (State::Live, true) && self.wishes.lock().is_empty()
    }

    /// How it stands, for a person.
    pub(super) fn stands(&self) -> String {
        let (state, settled) = *self.state.lock();
        format!(
            "{}/{} {state:?}, settled: {settled}",
            self.endpoint.0, self.endpoint.1
        )
    }

    /// The connection breaks for both ends.
    pub(super) fn cut(&self) {
        if let Some(line) = &*self.line.lock() {
            line.cut();
        }
    }

    /// The connection carries nothing any more, and nobody is told.
    pub(super) fn silence(&self) {
        if let Some(line) = &*self.line.lock() {
            line.silence();
        }
    }

    /// The app stands still until then, as on a phone that is put away.
    pub(super) fn doze(&self, until: Duration) {
        *self.awake_at.lock() = until;
    }

    /// The app was killed: what it had in memory is gone.
    pub(super) fn killed(&self) {
        self.wishes.lock().clear();
        self.recorder.restarted();
        *self.state.lock() = (State::Waiting, false);
        *self.line.lock() = None;
    }

    /// Starts the app and its user, who writes down at once or late.
    pub(super) fn launch(self: &Arc<Self>, runtime: SimRuntime, faults: SimFaults, shape: &Shape) {
        let hands = Arc::new(Hands::default());
        let user = User {
            device: Arc::clone(self),
            hands: Arc::clone(&hands),
            faults: faults.clone(),
            runtime: runtime.clone(),
            writes_late: shape.writes_late,
        };
        runtime.spawn("user", Box::pin(user.run()));
        let marks_too_early = shape.client_flaw == Some(ClientFlaw::MarksTooEarly);
        let config = SessionConfig {
            verify_heads: shape.client_flaw.is_none(),
            ..SessionConfig::default()
        };
        let session = Session::new(config, &self.disk.lock());
        let app = App {
            device: Arc::clone(self),
            began: runtime.elapsed(),
            session,
            marks_too_early,
            hands,
            faults,
            dialing: None,
            reads: BTreeMap::new(),
            runtime: runtime.clone(),
        };
        runtime.spawn("app", Box::pin(app.run()));
    }
}

/// The app, while it runs.
struct App {
    device: Arc<Device>,
    began: Duration,
    session: Session,
    /// The flaw of that name.
    marks_too_early: bool,
    hands: Arc<Hands>,
    faults: SimFaults,
    dialing: Option<Dialing>,
    /// Read marks under way.
    reads: BTreeMap<ChatId, Seq>,
    runtime: SimRuntime,
}

/// What woke the app.
enum Woken {
    Wished,
    Dialed(Result<Line, Lost>),
    Stepped(Step),
    Due,
}

impl App {
    async fn run(mut self) {
        loop {
            self.device.dozed(&self.runtime).await;
            self.turn();
            let woken = self.wait().await;
            self.act(woken);
        }
    }

    fn now(&self) -> Moment {
        let since = self.runtime.elapsed().saturating_sub(self.began);
        Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn turn(&mut self) {
        let now = self.now();
        for (chat, seq) in self.hands.taken() {
            self.session.taken(now, &chat, seq, 1);
        }
        if !self.hands.has_room() {
            // As in the library's shell: what is not read says nothing about the server.
            self.session.heard(now);
        }
        let wishes = std::mem::take(&mut *self.device.wishes.lock());
        for wish in wishes {
            self.take(now, wish);
        }
        if self.session.due().is_some_and(|due| now >= due) {
            self.session.tick(now);
        }
        self.carry_out();
        let settled = self.session.is_settled() && self.hands.is_empty();
        *self.device.state.lock() = (self.session.state(), settled);
    }

    fn take(&mut self, now: Moment, wish: Wish) {
        match wish {
            Wish::Submit(command) => {
                let ticket = self.device.tickets.fetch_add(1, Ordering::Relaxed);
                self.session.submit(now, Ticket(ticket), command);
            }
            Wish::Read(chat) => {
                let seq = self.device.newest(&chat);
                if seq > Seq(0) {
                    self.device.witness.reads(&self.device.endpoint, &chat, seq);
                    self.device.recorder.begins_to_read(&chat, seq);
                    self.session.mark_read(now, &chat, seq);
                    self.reads.insert(chat, seq);
                }
            }
        }
    }

    async fn wait(&mut self) -> Woken {
        let due = self.session.due().map_or(3_600_000, |due| due.0);
        let rest = Duration::from_millis(due.saturating_sub(self.now().0));
        let timer = self.runtime.sleep(rest);
        let (line, room) = (self.device.line.lock().clone(), self.hands.has_room());
        tokio::select! {
            biased;
            () = self.device.bell.notified() => Woken::Wished,
            dialed = answered(&mut self.dialing) => Woken::Dialed(dialed),
            step = stepped(line), if room => Woken::Stepped(step),
            () = timer => Woken::Due,
        }
    }

    fn act(&mut self, woken: Woken) {
        let now = self.now();
        match woken {
            Woken::Wished | Woken::Due => {}
            Woken::Dialed(Ok(line)) => {
                let hello = line.hello();
                self.device.witness.connected(&self.device.endpoint);
                *self.device.line.lock() = Some(line);
                self.session.opened(now, hello);
            }
            Woken::Dialed(Err(why)) => self.lost(why),
            Woken::Stepped(Step::Text(text)) => {
                let device = &self.device;
                let at = self.runtime.elapsed();
                device.witness.hear(at, &device.endpoint, &text);
                self.session.received(now, &text);
            }
            Woken::Stepped(Step::Alive) => self.session.heard(now),
            Woken::Stepped(Step::Over(why)) => self.lost(why),
        }
    }

    fn lost(&mut self, why: Lost) {
        if let Some(line) = self.device.line.lock().take() {
            line.hang_up();
        }
        self.dialing = None;
        let random = self.runtime.random();
        self.session.lost(self.now(), why, random);
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.session.poll() {
            let device = Arc::clone(&self.device);
            let at = self.runtime.elapsed();
            if let Output::Event(Event::Entry(entry)) = output {
                if self.marks_too_early {
                    self.session.taken(self.now(), &entry.chat, entry.seq, 1);
                }
                self.hands.put(*entry);
                continue;
            }
            device
                .witness
                .observe(at, &device.endpoint, &device.recorder, &output);
            if let Output::Connect { .. } = output {
                let dialing = device.network.dial(&device, &self.runtime, &self.faults);
                self.dialing = Some(dialing);
            } else if let Output::Write(text) = output {
                if let Some(line) = &*device.line.lock() {
                    line.write(text.into());
                }
            } else if let Output::Disconnect(why) = output {
                self.lost(why);
            }
        }
        self.settle_reads();
    }

    /// Read marks that have come home.
    fn settle_reads(&mut self) {
        if self.session.is_settled() {
            for (chat, seq) in std::mem::take(&mut self.reads) {
                self.device.recorder.has_read(&chat, seq);
            }
        }
    }
}

async fn answered(dialing: &mut Option<Dialing>) -> Result<Line, Lost> {
    match dialing {
        Some(under_way) => {
            let answer = under_way.await;
            *dialing = None;
            answer
        }
        None => std::future::pending().await,
    }
}

async fn stepped(line: Option<Line>) -> Step {
    match line {
        Some(line) => line.step().await,
        None => std::future::pending().await,
    }
}
