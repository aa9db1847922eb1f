//! Marks on their way in, as one session holds them: gathered until the gateway's desk of marks
//! takes them ([`crate::gateway::desk`]), the largest of each chat and kind stands for all. Those of a
//! partition that is busy come back until it is not. What
//! cannot be stamped from what the session knows comes back here and is stamped from the tables by
//! the session's own task. A mark that is known already is answered without an append.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use schemas::errors::{Code, Refusal};
use schemas::events::MarkKind;
use schemas::frames::{Frame, MarkUpTo, Settled};
use schemas::ids::ChatId;
use schemas::position::{Partition, Seq, Timestamp};

use super::task::Task;
use super::{Session, SignedIn, answer, refusal, stamp};
use crate::gateway::{Gateway, since};
use crate::metrics;

/// Marks of one session that may wait for their answer; beyond that its socket is not read.
const MAX_OWED: usize = 512;

/// A mark asked for, and under which `ref`s.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) seq: Seq,
    references: Vec<Option<String>>,
}

/// What a mark is about.
pub(crate) type Subject = (ChatId, MarkKind);

/// The marks of a session that are not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Gathered for the desk.
    wanted: BTreeMap<Subject, Wanted>,
    /// Held back while their partition is busy.
    held: BTreeMap<Partition, BTreeMap<Subject, Wanted>>,
    /// To be stamped from the tables.
    slow: Vec<(Subject, Wanted)>,
    /// Answers that the client waits for.
    owed: usize,
}

impl Marks {
    /// Adds a mark; true when it is the first that the desk has to fetch.
    fn want(&mut self, reference: Option<&str>, kind: MarkKind, mark: MarkUpTo) -> bool {
        let is_first = self.wanted.is_empty();
        let wanted = self.wanted.entry((mark.chat, kind)).or_default();
        wanted.seq = wanted.seq.max(mark.seq);
        wanted.references.push(reference.map(str::to_owned));
        self.owed += 1;
        is_first
    }

    /// What the desk fetches.
    pub(crate) fn take(&mut self) -> BTreeMap<Subject, Wanted> {
        std::mem::take(&mut self.wanted)
    }

    /// Holds a mark back; true when it is the first of this partition.
    pub(crate) fn hold(&mut self, home: Partition, subject: Subject, wanted: Wanted) -> bool {
        let is_first = !self.held.contains_key(&home);
        let of_home = self.held.entry(home).or_default();
        of_home.entry(subject).or_default().join(wanted);
        is_first
    }

    /// Has the desk fetch what was held back for a partition; true when it was called for nothing else.
    pub(crate) fn release(&mut self, home: Partition) -> bool {
        let held = self.held.remove(&home).unwrap_or_default();
        let is_first = self.wanted.is_empty() && !held.is_empty();
        for (subject, wanted) in held {
            self.wanted.entry(subject).or_default().join(wanted);
        }
        is_first
    }

    /// Leaves a mark to the session's own task.
    pub(crate) fn leave(&mut self, subject: Subject, wanted: Wanted) {
        self.slow.push((subject, wanted));
    }

    /// So many were answered. True when the session may have stopped reading for them.
    fn answered(&mut self, count: usize) -> bool {
        let was_full = self.is_full();
        self.owed = self.owed.saturating_sub(count);
        was_full
    }

    fn is_full(&self) -> bool {
        self.owed >= MAX_OWED
    }
}

impl Wanted {
    /// Stands for another one as well.
    fn join(&mut self, other: Self) {
        self.seq = self.seq.max(other.seq);
        self.references.extend(other.references);
    }

    /// The answers to all who asked.
    fn answers<'a>(
        &'a self,
        done: &'a Result<Settled, Refusal>,
    ) -> impl Iterator<Item = Bytes> + 'a {
        self.references.iter().map(move |reference| match done {
            Ok(settled) => answer(reference.as_deref(), &Frame::Settled(settled.clone())),
            Err(refused) => refusal(reference.as_deref(), refused.clone()),
        })
    }
}

impl Session {
    /// Answers all who asked for a mark.
    pub(crate) fn answer_mark(&self, wanted: &Wanted, done: &Result<Settled, Refusal>) {
        wanted.answers(done).for_each(|frame| self.put(frame));
        if let Some(signed_in) = self.signed_in()
            && signed_in.marks.lock().answered(wanted.references.len())
        {
            self.wake();
        }
    }
}

impl Task {
    pub(super) fn mark(&self, reference: Option<&str>, kind: MarkKind, mark: MarkUpTo) {
        let Some(signed_in) = self.session.signed_in() else {
            return;
        };
        if mark.seq.0 == 0 {
            let refused = Refusal::new(Code::InvalidField, "seq: from 1 on");
            return self.session.put(refusal(reference, refused));
        }
        let is_first = signed_in.marks.lock().want(reference, kind, mark);
        if is_first {
            self.gateway.desk.call(&self.session);
        }
    }

    /// True while as many marks wait as may.
    pub(super) fn has_many_marks(&self) -> bool {
        let signed_in = self.session.signed_in();
        signed_in.is_some_and(|signed_in| signed_in.marks.lock().is_full())
    }

    /// Begins what the desk left to this session. Each is a read of the tables, and counts as one.
    pub(super) fn begin_slow_marks(&mut self) {
        let Some(signed_in) = self.session.signed_in() else {
            return;
        };
        let slow = std::mem::take(&mut signed_in.marks.lock().slow);
        for (subject, wanted) in slow {
            if let Err(refused) = self.gateway.commands.may_read(&signed_in.identity) {
                self.session.answer_mark(&wanted, &Err(refused));
                continue;
            }
            let (gateway, session) = (Arc::clone(&self.gateway), Arc::clone(&self.session));
            self.others
                .push(Box::pin(settle(gateway, session, subject, wanted)));
        }
    }
}

/// Stamps a mark from the tables, has it appended and answers; the frames are put by this itself.
async fn settle(
    gateway: Arc<Gateway>,
    session: Arc<Session>,
    subject: Subject,
    wanted: Wanted,
) -> Vec<Bytes> {
    if let Some(signed_in) = session.signed_in() {
        let done = append(&gateway, signed_in, &subject, wanted.seq).await;
        session.answer_mark(&wanted, &done);
    }
    Vec::new()
}

async fn append(
    gateway: &Gateway,
    signed_in: &SignedIn,
    (chat, kind): &Subject,
    seq: Seq,
) -> Result<Settled, Refusal> {
    let Some(kind) = news(signed_in, chat, *kind, seq) else {
        return Ok(Settled { chat: chat.clone() });
    };
    let stamping = stamp::stamp(gateway, signed_in, chat, kind, seq);
    let stamped = gateway.by_tables(stamping).await?;
    let who = &signed_in.identity;
    let stamped = stamped
        .into_iter()
        .map(|mark| (who.clone(), mark))
        .collect();
    let answers = gateway.commands.mark_all(stamped).await;
    let all: Vec<Settled> = answers.into_iter().collect::<Result<_, _>>()?;
    let settled = all.into_iter().last();
    let settled = settled.ok_or_else(|| Refusal::plain(Code::Internal))?;
    note(gateway, signed_in, chat, kind, seq);
    Ok(settled)
}

/// What is new about a mark; none when nothing is.
pub(crate) fn news(
    signed_in: &SignedIn,
    chat: &ChatId,
    kind: MarkKind,
    seq: Seq,
) -> Option<MarkKind> {
    let mut kind = kind;
    if kind == MarkKind::Read && known(signed_in, chat, kind) >= seq {
        // Read on another device: this one has it too from now on.
        kind = MarkKind::Delivered;
    }
    (known(signed_in, chat, kind) < seq).then_some(kind)
}

/// How far this device (or, for read, this user) is known to have got.
pub(super) fn known(signed_in: &SignedIn, chat: &ChatId, kind: MarkKind) -> Seq {
    let track = signed_in.track.lock();
    let Some(chat) = track.chat(chat) else {
        return Seq(0);
    };
    match kind {
        MarkKind::Delivered => chat.delivered,
        MarkKind::Read => chat.read,
    }
}

/// The log has the mark: nothing up to it is pushed again.
pub(crate) fn note(
    gateway: &Gateway,
    signed_in: &SignedIn,
    chat: &ChatId,
    kind: MarkKind,
    seq: Seq,
) {
    let due = gateway.mark_due(gateway.runtime.elapsed());
    if let Some(taken_at) = raise(signed_in, chat, (kind, seq), due) {
        metrics::delivered_after(since(taken_at, gateway.runtime.now()));
    }
}

/// Raises the mark; what it leaves has until `due`. Answers when the newest event was taken that it
/// covers, if it was pushed live, this device had not marked it before and somebody else wrote it.
fn raise(
    signed_in: &SignedIn,
    id: &ChatId,
    (kind, seq): (MarkKind, Seq),
    due: Duration,
) -> Option<Timestamp> {
    let mut track = signed_in.track.lock();
    let newest = track.recent(id).find(|pushed| pushed.seq == seq).cloned();
    let before = track.chat(id).map_or(Seq(0), |chat| chat.delivered);
    let chat = track.chat_mut(id);
    chat.delivered = chat.delivered.max(seq);
    chat.sent = chat.sent.max(seq);
    if kind == MarkKind::Read {
        chat.read = chat.read.max(seq);
    }
    chat.acknowledged(due);
    track.forget_marked();
    newest
        .filter(|pushed| pushed.seq > before && !signed_in.is_own(&pushed.author))
        .map(|pushed| pushed.taken_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_a_tick_become_the_largest_a_chat_and_kind() {
        let mut marks = Marks::default();
        let mark = |chat: &str, seq| MarkUpTo {
            chat: ChatId::new(chat).unwrap(),
            seq: Seq(seq),
        };
        let came = [
            ("1", MarkKind::Delivered, mark("d.a.b", 4)),
            ("2", MarkKind::Delivered, mark("d.a.b", 3)),
            ("3", MarkKind::Read, mark("d.a.b", 2)),
            ("4", MarkKind::Delivered, mark("d.a.c", 1)),
        ];
        let first = came.map(|(reference, kind, mark)| marks.want(Some(reference), kind, mark));
        assert_eq!(
            first,
            [true, false, false, false],
            "the desk is called once"
        );
        let all: Vec<_> = marks
            .take()
            .iter()
            .map(|((chat, kind), w)| (chat.to_string(), *kind, w.seq.0, w.references.len()))
            .collect();
        let expected = [
            ("d.a.b".to_owned(), MarkKind::Delivered, 4, 2),
            ("d.a.b".to_owned(), MarkKind::Read, 2, 1),
            ("d.a.c".to_owned(), MarkKind::Delivered, 1, 1),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn what_is_held_back_for_a_partition_becomes_the_largest_and_is_wanted_again() {
        let mut marks = Marks::default();
        let chat = ChatId::new("d.a.b").unwrap();
        let (here, there) = (Partition(1), Partition(2));
        for (seq, is_first) in [(4, true), (3, false)] {
            let (kind, seq) = (MarkKind::Delivered, Seq(seq));
            let mark = MarkUpTo {
                chat: chat.clone(),
                seq,
            };
            assert!(
                marks.want(Some("r"), kind, mark),
                "the desk took the others"
            );
            for (subject, wanted) in marks.take() {
                assert_eq!(marks.hold(here, subject, wanted), is_first);
            }
        }
        assert!(!marks.release(there));
        assert!(marks.release(here), "the desk is called");
        assert!(!marks.release(here), "once");
        let all: Vec<_> = marks.take().into_values().collect();
        let [wanted] = &all[..] else {
            panic!("{all:?}")
        };
        assert_eq!((wanted.seq, wanted.references.len()), (Seq(4), 2));
    }

    #[test]
    fn a_session_that_floods_marks_is_not_read_until_they_are_answered() {
        let mut marks = Marks::default();
        for seq in 0..MAX_OWED as u64 {
            assert!(!marks.is_full());
            let chat = ChatId::new("d.a.b").unwrap();
            let seq = Seq(seq + 1);
            marks.want(None, MarkKind::Delivered, MarkUpTo { chat, seq });
        }
        assert!(marks.is_full());
        assert!(marks.answered(1), "it may wait for this");
        assert!(!marks.is_full());
        assert!(!marks.answered(1));
    }
}
