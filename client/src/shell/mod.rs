//! The task around a session: one socket, one timer, bounded queues to the user.
//!
//! Does what the session says and decides nothing. The client is its own process's edge, so this is
//! where it meets tokio's clock and tasks. When the user does not take events, the socket is not
//! read; when the session has too many commands waiting, no more are taken.

mod desk;
mod wire;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use schemas::frames::Command;
use schemas::ids::ChatId;
use schemas::position::Seq;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

pub(crate) use self::desk::Answer;
use self::desk::Desk;
use self::wire::{Step, Wire};
use crate::hands::Hands;
use crate::pending::Promise;
use crate::{Config, Event, Lost, Moment, Output, Session, State, TokenIn};

/// Requests taken in a row before the socket has its turn again.
const TAKEN: usize = 64;
/// Frames that may wait for the socket before no more requests are taken.
const MAX_QUEUED: usize = 1024;
/// How long closing may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// The longest sleep: tokio's timers end after some years.
const LONGEST: u64 = 3_600_000;

/// What a handle asks of the task.
pub(crate) enum Request {
    Command {
        command: Command,
        promise: Promise,
    },
    Ask {
        command: Command,
        answer: oneshot::Sender<Answer>,
    },
    MarkRead {
        chat: ChatId,
        seq: Seq,
    },
    Close {
        done: oneshot::Sender<()>,
    },
}

/// The task's ends of what it shares with its handles.
pub(crate) struct User {
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) hands: Arc<Hands>,
}

struct Shell {
    config: Config,
    session: Session,
    wire: Wire,
    desk: Desk,
    user: User,
    /// Events the user has no room for yet.
    backlog: VecDeque<Event>,
    began: Instant,
    token: Option<String>,
    done: Option<oneshot::Sender<()>>,
}

/// Runs a client until it is closed, its handles are gone, or its token is refused for good.
pub(crate) async fn run(config: Config, mut requests: mpsc::Receiver<Request>, user: User) {
    let mut shell = Shell {
        session: Session::new(config.session.clone(), &config.progress),
        config,
        wire: Wire::Down,
        desk: Desk::default(),
        user,
        backlog: VecDeque::new(),
        began: Instant::now(),
        token: None,
        done: None,
    };
    while shell.session.state() != State::Closed {
        shell.turn();
        shell.wait(&mut requests).await;
    }
    shell.end().await;
}

impl Shell {
    fn now(&self) -> Moment {
        let ms = self.began.elapsed().as_millis();
        Moment(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// Lets time pass for the session and carries out what it says.
    fn turn(&mut self) {
        let now = self.now();
        self.note_taken(now);
        if !self.backlog.is_empty() {
            // Not reading is our own doing: it says nothing about the server.
            self.session.heard(now);
        }
        if self.session.due().is_some_and(|due| now >= due) {
            self.session.tick(now);
        }
        self.carry_out();
        while let Some(event) = self.backlog.pop_front() {
            if let Err(mpsc::error::TrySendError::Full(event)) = self.user.events.try_send(event) {
                self.backlog.push_front(event);
                break;
            }
        }
    }

    fn note_taken(&mut self, now: Moment) {
        for (chat, (seq, entries)) in self.user.hands.drain() {
            self.session.taken(now, &chat, seq, entries);
        }
    }

    async fn wait(&mut self, requests: &mut mpsc::Receiver<Request>) {
        if self.session.state() == State::Closed {
            return;
        }
        let room = self.backlog.is_empty();
        let more = self.takes_more();
        let due = self.session.due().map_or(LONGEST, |due| due.0);
        let soonest = self.now().0.saturating_add(LONGEST);
        let wake = self.began + Duration::from_millis(due.min(soonest));
        tokio::select! {
            biased;
            step = self.wire.step(room) => {
                self.stepped(step);
                self.take_waiting(requests);
            }
            open = user_takes(&self.user.events), if !room => {
                if !open {
                    self.session.close();
                }
            }
            request = requests.recv(), if more => {
                self.requested(request);
                self.take_waiting(requests);
            }
            () = self.user.hands.settled() => {}
            () = sleep_until(wake) => {}
        }
    }

    fn takes_more(&self) -> bool {
        self.session.waiting() < self.config.commands.max(1) && self.wire.queued() < MAX_QUEUED
    }

    fn take_waiting(&mut self, requests: &mut mpsc::Receiver<Request>) {
        for _ in 0..TAKEN {
            if !self.takes_more() {
                return;
            }
            match requests.try_recv() {
                Ok(request) => self.requested(Some(request)),
                Err(_) => return,
            }
            self.carry_out();
        }
    }

    fn requested(&mut self, request: Option<Request>) {
        let now = self.now();
        match request {
            Some(Request::Command { command, promise }) => {
                let ticket = self.desk.promise(promise);
                self.session.submit(now, ticket, command);
            }
            Some(Request::Ask { command, answer }) => {
                let ticket = self.desk.question(answer);
                self.session.submit(now, ticket, command);
            }
            Some(Request::MarkRead { chat, seq }) => self.session.mark_read(now, &chat, seq),
            Some(Request::Close { done }) => {
                self.done = Some(done);
                self.leave(now);
            }
            None => self.leave(now),
        }
    }

    fn leave(&mut self, now: Moment) {
        self.note_taken(now);
        self.session.flush_marks(now);
        self.carry_out();
        self.session.close();
    }

    fn stepped(&mut self, step: Step) {
        let now = self.now();
        match step {
            Step::Opened => {
                let hello = match self.config.token_in {
                    TokenIn::Header => None,
                    TokenIn::Hello => self.token.clone(),
                };
                self.session.opened(now, hello);
            }
            Step::Read(texts, end) => {
                self.session.heard(now);
                for text in texts {
                    self.session.received(now, text.as_bytes());
                }
                self.carry_out();
                // Unless the session has given the socket up itself meanwhile.
                if let (Some(why), State::Connecting | State::Resuming | State::Live) =
                    (end, self.session.state())
                {
                    self.lost(why);
                }
            }
            Step::Lost(why) => self.lost(why),
            Step::Written => {}
        }
    }

    /// A token that is refused is final, unless its source has another one by now.
    fn lost(&mut self, why: Lost) {
        self.wire = Wire::Down;
        if why == Lost::Unauthorized && self.token.as_deref() == Some(&(self.config.token)()) {
            tracing::warn!("the token is refused");
            let retry_in_ms = 0;
            let event = Event::Disconnected { why, retry_in_ms };
            self.backlog.push_back(event);
            self.session.close();
            return;
        }
        self.session.lost(self.now(), why, fastrand::u64(..));
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.session.poll() {
            if let Some(observer) = &self.config.observer {
                observer.observe(&output);
            }
            match output {
                Output::Connect { to } => self.connect(to.as_deref()),
                Output::Write(text) => self.wire.write(text),
                Output::Disconnect(why) => self.lost(why),
                Output::Event(event) => self.backlog.push_back(event),
                Output::Began { .. } => {}
                Output::Sent { ticket, sent } => self.desk.sent(ticket, sent),
                Output::Settled {
                    ticket, outcome, ..
                } => self.desk.settled(ticket, outcome),
                Output::Answered { ticket, answer } => self.desk.answered(ticket, answer),
            }
        }
        let state = self.session.state();
        self.user
            .state
            .send_if_modified(|told| std::mem::replace(told, state) != state);
    }

    fn connect(&mut self, to: Option<&str>) {
        let token = (self.config.token)();
        let bearer = match self.config.token_in {
            TokenIn::Header => Some(token.as_str()),
            TokenIn::Hello => None,
        };
        self.wire.open(to.unwrap_or(&self.config.url), bearer);
        self.token = Some(token);
    }

    async fn end(mut self) {
        self.carry_out();
        // A server that does not take the goodbye finds the socket closed.
        let _ = timeout(GOODBYE, self.wire.close()).await;
        while let Some(event) = self.backlog.pop_front() {
            if self.user.events.try_send(event).is_err() {
                break;
            }
        }
        if let Some(done) = self.done.take() {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
    }
}

/// Waits until the user has room for an event; false when there is no user any more.
async fn user_takes(events: &mpsc::Sender<Event>) -> bool {
    events.reserve().await.is_ok()
}
