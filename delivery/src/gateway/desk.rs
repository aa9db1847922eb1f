//! The desk of marks: fetches what all sessions want marked once a tick, stamps it from what the
//! sessions know, has it appended together and answers all of them. One append and one commit a tick,
//! however many devices speak: a group of 1,024 that got one message is two rounds, not 1,024 wake-ups.
//!
//! The desk rests for as long as its last round took: where an append is dear (each partition of a Kafka
//! topic is a request of its own), fewer of them bear more.
//!
//! On a log whose partitions have leaders a round is one append a partition, and one that is late is
//! waited for no longer: its partition has no other under way until it is through. What is wanted of that
//! meanwhile stays with the sessions, where the largest mark stands for all. So a partition that takes
//! nothing, as one without a leader, holds up no other.
//!
//! What needs the tables is left to the session's own task, so that nobody waits for another's
//! reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, future};
use infra_ports::BoxFuture;
use infra_ports::runtime::let_others_run;
use parking_lot::Mutex;
use schemas::errors::{Code, Refusal};
use schemas::events::MarkKind;
use schemas::frames::Settled;
use schemas::ids::{ChatId, Identity};
use schemas::position::{Partition, Seq};
use schemas::topics::partition_of;
use tokio::sync::Notify;

use super::Gateway;
use super::session::marks::{Wanted, news, note};
use super::session::{Session, stamp};
use crate::seams::StampedMark;

/// Sessions that are looked at before others have a turn.
const TURN: usize = 1_024;

/// The desk rests no longer than this, or than a tick.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// An append that takes longer is late.
const PATIENCE: Duration = Duration::from_millis(100);

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

/// Marks that are appended in one go: those of a partition where it has a leader, else all.
#[derive(Default)]
struct Batch {
    marks: Vec<(Identity, StampedMark)>,
    owners: Vec<OnItsWay>,
}

/// A batch that is through.
struct Done {
    /// The round it was of.
    round: u64,
    home: Partition,
    owners: Vec<OnItsWay>,
    answers: Vec<Result<Settled, Refusal>>,
}

/// What goes out in one round.
type Round = BTreeMap<Partition, Batch>;

/// The partitions that have a batch under way, each with the sessions that hold marks of it back.
type Busy = BTreeMap<Partition, Vec<Arc<Session>>>;

impl Gateway {
    /// Serves the desk for ever; to be run beside everything else.
    pub(crate) async fn serve_desk(&self) {
        let tick = self.config.mark_tick;
        let mut under_way = FuturesUnordered::new();
        let mut busy = Busy::new();
        // The last round: its number, when it began, how many of its batches are waited for.
        let (mut round, mut begun, mut left) = (0, Duration::ZERO, 0_usize);
        let (mut bell, mut took) = (None, Duration::ZERO);
        loop {
            tokio::select! {
                biased;
                Some(first) = under_way.next() => {
                    // Those that came with it are answered with it.
                    let more = std::iter::from_fn(|| under_way.next().now_or_never().flatten());
                    let done: Vec<Done> = std::iter::once(first).chain(more).collect();
                    let of_round = done.iter().filter(|one| one.round == round).count();
                    self.conclude(done, &mut busy);
                    if left > 0 && of_round >= left {
                        took = self.runtime.elapsed().saturating_sub(begun);
                        bell = None;
                    }
                    left = left.saturating_sub(of_round);
                }
                () = self.desk.called.notified(), if bell.is_none() => {
                    bell = Some(self.runtime.sleep(took.min(LONGEST_REST).max(tick)));
                }
                () = ring(&mut bell) => {
                    bell = None;
                    if std::mem::take(&mut left) > 0 {
                        // It is late: who called meanwhile waits for it no longer.
                        took = PATIENCE;
                        continue;
                    }
                    (round, begun) = (round + 1, self.runtime.elapsed());
                    for (home, batch) in self.gather(&mut busy).await {
                        under_way.push(self.carry_out(round, home, batch));
                        left += 1;
                    }
                    if left > 0 {
                        bell = Some(self.runtime.sleep(PATIENCE));
                    }
                }
            }
        }
    }

    /// Fetches the marks of all who called, in batches. Their partitions are busy from now on.
    async fn gather(&self, busy: &mut Busy) -> Round {
        let callers = std::mem::take(&mut *self.desk.callers.lock());
        let mut round = Round::new();
        for some in callers.chunks(TURN) {
            some.iter()
                .for_each(|session| self.fetch(session, busy, &mut round));
            let_others_run().await;
        }
        busy.extend(round.keys().map(|home| (*home, Vec::new())));
        round
    }

    /// The partition of a chat's marks; one for all where no partition can hold up another.
    fn desk_of(&self, chat: &ChatId) -> Partition {
        match self.log.has_leaders() {
            true => partition_of(chat.as_str().as_bytes(), self.log.partitions()),
            false => Partition(0),
        }
    }

    /// Fetches a session's marks: answered at once where nothing is new, held back where their partition is
    /// busy, put into a batch where the session knows enough, left to it otherwise.
    fn fetch(&self, session: &Arc<Session>, busy: &mut Busy, round: &mut Round) {
        let Some(signed_in) = session.signed_in() else {
            return;
        };
        let wanted = signed_in.marks.lock().take();
        let (mut is_left, mut is_answered) = (false, false);
        for ((chat, kind), wanted) in wanted {
            let seq = wanted.seq;
            let Some(new) = news(signed_in, &chat, kind, seq) else {
                session.answer_mark(&wanted, &Ok(Settled { chat }));
                is_answered = true;
                continue;
            };
            let home = self.desk_of(&chat);
            if let Some(holders) = busy.get_mut(&home) {
                if signed_in.marks.lock().hold(home, (chat, kind), wanted) {
                    holders.push(Arc::clone(session));
                }
                continue;
            }
            let Some(stamped) = stamp::at_once(self, signed_in, &chat, new, seq) else {
                signed_in.marks.lock().leave((chat, kind), wanted);
                is_left = true;
                continue;
            };
            let batch = round.entry(home).or_default();
            batch.marks.push((signed_in.identity.clone(), stamped));
            batch.owners.push(OnItsWay {
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
        if is_answered {
            session.flush();
        }
    }

    fn carry_out(&self, round: u64, home: Partition, batch: Batch) -> BoxFuture<'_, Done> {
        let Batch { marks, owners } = batch;
        Box::pin(async move {
            let answers = self.commands.mark_all(marks).await;
            Done {
                round,
                home,
                owners,
                answers,
            }
        })
    }

    /// Answers the marks of batches that are through, and has what was held back for them fetched.
    fn conclude(&self, done: Vec<Done>, busy: &mut Busy) {
        let mut answered = Vec::new();
        for one in done {
            let missing = || Err(Refusal::plain(Code::Internal));
            let answers = one.answers.into_iter();
            let answers = answers.chain(std::iter::repeat_with(missing));
            for (owner, done) in one.owners.into_iter().zip(answers) {
                if let (Ok(_), Some(signed_in)) = (&done, owner.session.signed_in()) {
                    note(self, signed_in, &owner.chat, owner.kind, owner.seq);
                }
                owner.session.answer_mark(&owner.wanted, &done);
                answered.push(owner.session);
            }
            for session in busy.remove(&one.home).unwrap_or_default() {
                let signed_in = session.signed_in();
                let is_first = signed_in.map(|of| of.marks.lock().release(one.home));
                if is_first == Some(true) {
                    self.desk.call(&session);
                }
            }
        }
        answered.sort_unstable_by_key(|session: &Arc<Session>| session.id);
        answered.dedup_by_key(|session| session.id);
        answered.iter().for_each(|session| session.flush());
    }
}

/// Waits for the bell, if one is set.
async fn ring(due: &mut Option<BoxFuture<'static, ()>>) {
    match due {
        Some(bell) => bell.await,
        None => future::pending().await,
    }
}
