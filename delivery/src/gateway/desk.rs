//! The desk of marks: fetches what all sessions want marked once a tick, stamps it from what the
//! sessions know, has it appended together and answers all of them. One append and one commit a tick,
//! however many devices speak: a group of 1,024 that got one message is two rounds, not 1,024 wake-ups.
//!
//! The desk rests for as long as its last round took: where an append is dear (each partition of a Kafka
//! topic is a request of its own), fewer of them bear more.
//!
//! What needs the tables is left to the session's own task, so that nobody waits for another's
//! reads.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schemas::errors::{Code, Refusal};
use schemas::events::MarkKind;
use schemas::frames::Settled;
use schemas::ids::{ChatId, Identity};
use schemas::position::Seq;
use tokio::sync::Notify;

use super::Gateway;
use super::session::marks::{Wanted, news, note};
use super::session::{Session, stamp};
use crate::seams::StampedMark;

/// Marks that are appended together at most.
const MAX_TOGETHER: usize = 1_024;

/// The desk rests no longer than this, or than a tick.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// Where sessions say that they have marks.
#[derive(Default)]
pub(crate) struct Desk {
    callers: Mutex<Vec<Arc<Session>>>,
    called: Notify,
}

impl Desk {
    /// Has the desk fetch this session's marks at the next tick.
    pub(crate) fn call(&self, session: &Arc<Session>) {
        let mut callers = self.callers.lock();
        callers.push(Arc::clone(session));
        let is_first = callers.len() == 1;
        drop(callers);
        if is_first {
            self.called.notify_one();
        }
    }
}

/// A mark on its way, and whom to answer.
struct OnItsWay {
    session: Arc<Session>,
    chat: ChatId,
    kind: MarkKind,
    seq: Seq,
    wanted: Wanted,
}

/// Marks that go together.
#[derive(Default)]
struct Round {
    marks: Vec<(Identity, StampedMark)>,
    owners: Vec<OnItsWay>,
}

impl Gateway {
    /// Serves the desk for ever; to be run beside everything else.
    pub(crate) async fn serve_desk(&self) {
        let tick = self.config.mark_tick;
        let mut took = Duration::ZERO;
        loop {
            self.desk.called.notified().await;
            self.runtime.sleep(took.min(LONGEST_REST).max(tick)).await;
            let begun = self.runtime.elapsed();
            let callers = std::mem::take(&mut *self.desk.callers.lock());
            let mut round = Round::default();
            for session in &callers {
                self.fetch(session, &mut round);
                if round.marks.len() >= MAX_TOGETHER {
                    self.carry_out(std::mem::take(&mut round)).await;
                }
            }
            self.carry_out(round).await;
            callers.iter().for_each(|session| session.flush());
            took = self.runtime.elapsed().saturating_sub(begun);
        }
    }

    /// Fetches a session's marks: answered at once where nothing is new, put into the round where
    /// the session knows enough, left to it otherwise.
    fn fetch(&self, session: &Arc<Session>, round: &mut Round) {
        let Some(signed_in) = session.signed_in() else {
            return;
        };
        let wanted = signed_in.marks.lock().take();
        let mut is_left = false;
        for ((chat, kind), wanted) in wanted {
            let seq = wanted.seq;
            let Some(new) = news(signed_in, &chat, kind, seq) else {
                session.answer_mark(&wanted, &Ok(Settled { chat }));
                continue;
            };
            let Some(stamped) = stamp::at_once(self, signed_in, &chat, new, seq) else {
                signed_in.marks.lock().leave((chat, kind), wanted);
                is_left = true;
                continue;
            };
            round.marks.push((signed_in.identity.clone(), stamped));
            round.owners.push(OnItsWay {
                session: Arc::clone(session),
                chat,
                kind: new,
                seq,
                wanted,
            });
        }
        if is_left {
            session.wake();
        }
    }

    async fn carry_out(&self, round: Round) {
        if round.marks.is_empty() {
            return;
        }
        let answers = self.commands.mark_all(round.marks).await;
        let missing = || Err(Refusal::plain(Code::Internal));
        let answers = answers.into_iter().chain(std::iter::repeat_with(missing));
        for (owner, done) in round.owners.into_iter().zip(answers) {
            if let (Ok(_), Some(signed_in)) = (&done, owner.session.signed_in()) {
                note(self, signed_in, &owner.chat, owner.kind, owner.seq);
            }
            owner.session.answer_mark(&owner.wanted, &done);
        }
    }
}
