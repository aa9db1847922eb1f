//! Commands of a session that were handed over and are not answered, in the order they came; each
//! is answered once all before it are.
//!
//! A command is begun by the session's task, so that appends stand in the order in which commands
//! came. From then on whoever makes answers polls it (`gateway::answers`): a socket's thread is not
//! woken for an answer.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use infra_ports::runtime::BoxFuture;
use parking_lot::Mutex;
use schemas::errors::Refusal;
use schemas::frames::{Frame, Receipt};
use tokio::task::unconstrained;

use super::unsettled::CommandName;
use super::{Session, SignedIn, answer, refusal};
use crate::gateway::Gateway;

/// Places that an idle session may keep.
const KEPT: usize = 16;

/// What whoever takes commands says of one.
type Outcome = Result<Receipt, Refusal>;

/// Unanswered commands, oldest first.
#[derive(Default)]
pub(crate) struct Owed {
    commands: VecDeque<Arc<Pending>>,
    /// The session's task reads no more until something is answered.
    is_awaited: bool,
}

/// A command that was handed over.
pub(crate) struct Pending {
    gateway: Arc<Gateway>,
    session: Arc<Session>,
    /// If it will have an entry or a verdict.
    name: Option<CommandName>,
    reference: Option<String>,
    progress: Mutex<Progress>,
}

enum Progress {
    UnderWay(BoxFuture<'static, Outcome>),
    /// It waits for those before it.
    Through(Outcome),
    /// Answered, or the session ended.
    Over,
}

impl Pending {
    /// Begins a command; answers it at once where nothing has to be waited for.
    pub(super) fn begin(
        gateway: &Arc<Gateway>,
        session: &Arc<Session>,
        name: Option<CommandName>,
        reference: Option<String>,
        taking: BoxFuture<'static, Outcome>,
    ) {
        let Some(signed_in) = session.signed_in() else {
            return;
        };
        let pending = Arc::new(Self {
            gateway: Arc::clone(gateway),
            session: Arc::clone(session),
            name,
            reference,
            progress: Mutex::new(Progress::UnderWay(taking)),
        });
        let place = Arc::clone(&pending);
        signed_in.owed.lock().commands.push_back(place);
        if pending.advance() {
            session.answer_in_turn();
        }
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Goes on with it; true when it is through with this.
    pub(crate) fn advance(self: &Arc<Self>) -> bool {
        let mut progress = self.progress.lock();
        let Progress::UnderWay(taking) = &mut *progress else {
            return false;
        };
        let waker = Waker::from(Arc::clone(self));
        // A commit answers thousands at once. Were they on tokio's budget of a task, all beyond the first
        // hundred or so would say that they are not ready, be called again, and so again and again.
        let taking = pin!(unconstrained(taking.as_mut()));
        let Poll::Ready(outcome) = taking.poll(&mut Context::from_waker(&waker)) else {
            return false;
        };
        *progress = Progress::Through(outcome);
        true
    }

    fn outcome(&self) -> Option<Outcome> {
        let mut progress = self.progress.lock();
        if !matches!(*progress, Progress::Through(_)) {
            return None;
        }
        match std::mem::replace(&mut *progress, Progress::Over) {
            Progress::Through(outcome) => Some(outcome),
            Progress::UnderWay(_) | Progress::Over => None,
        }
    }

    /// What becomes of it is nobody's business any more.
    fn abandon(&self) {
        let progress = std::mem::replace(&mut *self.progress.lock(), Progress::Over);
        // Not under the lock: it may wake others.
        drop(progress);
    }
}

impl Wake for Pending {
    fn wake(self: Arc<Self>) {
        let gateway = Arc::clone(&self.gateway);
        gateway.answers.call(self);
    }
}

impl Session {
    /// True while so many commands or more are unanswered; the next answer then wakes the session's
    /// task.
    pub(super) fn owes_as_many_as(&self, most: usize) -> bool {
        let Some(signed_in) = self.signed_in() else {
            return false;
        };
        let mut owed = signed_in.owed.lock();
        owed.is_awaited = owed.commands.len() >= most;
        owed.is_awaited
    }

    /// Answers the commands that are through, up to the first that is not. True when something was
    /// put into the outbox.
    pub(crate) fn answer_in_turn(&self) -> bool {
        let Some(signed_in) = self.signed_in() else {
            return false;
        };
        // Held until the frames are in line: their order is the commands'.
        let mut owed = signed_in.owed.lock();
        let (mut is_answered, mut has_put) = (false, false);
        while let Some(outcome) = owed.commands.front().and_then(|first| first.outcome()) {
            if let Some(pending) = owed.commands.pop_front() {
                has_put |= self.answer_one(signed_in, &pending, outcome);
            }
            is_answered = true;
        }
        if owed.commands.is_empty() && owed.commands.capacity() > KEPT {
            owed.commands = VecDeque::new();
        }
        if is_answered && std::mem::take(&mut owed.is_awaited) {
            self.wake();
        }
        has_put
    }

    /// Answers a command, unless its entry was faster and the answer went before it.
    fn answer_one(&self, signed_in: &SignedIn, pending: &Pending, outcome: Outcome) -> bool {
        let mut unsettled = signed_in.unsettled.lock();
        let is_owed = match (&pending.name, &outcome) {
            (None, _) => true,
            (Some(name), Ok(_)) => unsettled.answer(name),
            // It may be in the log all the same when the log did not answer; the client sends it
            // again, so it may as well be forgotten.
            (Some((chat, client_id)), Err(_)) => unsettled.forget(chat, client_id).is_some(),
        };
        if is_owed {
            let reference = pending.reference.as_deref();
            self.put(match outcome {
                Ok(receipt) => answer(reference, &Frame::from(receipt)),
                Err(refused) => refusal(reference, refused),
            });
        }
        is_owed
    }

    /// Lets go of what is under way: nobody is there to be answered.
    pub(crate) fn abandon_commands(&self) {
        let Some(signed_in) = self.signed_in() else {
            return;
        };
        let commands = std::mem::take(&mut signed_in.owed.lock().commands);
        commands.iter().for_each(|pending| pending.abandon());
    }
}
