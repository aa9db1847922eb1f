//! The counters of a message, counted naively: who beside its author may see it, whose devices were
//! handed it, and who has read as far, in that stay or a later one.
//!
//! Judged when everything has come to rest: an app that was handed an entry has come for more since,
//! and its mark is home. One thing may count or not, and then counters must agree with names: what an
//! app had begun to read when it died.

use std::collections::{BTreeMap, BTreeSet};

use schemas::events::MarkKind;
use schemas::frames::{Status, StatusOf};
use schemas::ids::{ChatId, UserId};
use schemas::position::Seq;

use super::history::{ChatTruth, History, Observation, Violation};

/// Compares every status that was read with what devices saw.
pub(super) fn check(history: &History, violations: &mut Vec<Violation>) {
    let seen = Seen::by_users(history);
    for (chat, truth) in &history.chats {
        for status in &truth.statuses {
            if let Err(what) = seen.agrees(chat, truth, status) {
                let (chat, seq) = (chat.clone(), status.seq);
                violations.push(Violation::WrongStatus { chat, seq, what });
            }
        }
    }
}

/// How far a message has got with one user, at least and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    delivered: (bool, bool),
    read: (bool, bool),
}

/// What users have, over all their devices.
#[derive(Default)]
struct Seen<'a> {
    got: BTreeMap<(&'a ChatId, &'a UserId), BTreeSet<Seq>>,
    read: BTreeMap<(&'a ChatId, &'a UserId), BTreeSet<Seq>>,
    /// What they have read, and what they began to.
    may_have_read: BTreeMap<(&'a ChatId, &'a UserId), BTreeSet<Seq>>,
}

impl<'a> Seen<'a> {
    fn by_users(history: &'a History) -> Self {
        let mut all = Self::default();
        for ((user, _), seen) in &history.devices {
            for observation in seen {
                all.take_in(user, observation);
            }
        }
        all
    }

    fn take_in(&mut self, user: &'a UserId, observation: &'a Observation) {
        match observation {
            Observation::Received(entry) => {
                let got = self.got.entry((&entry.chat, user)).or_default();
                got.insert(entry.seq);
            }
            Observation::HasRead { chat, seq }
            | Observation::Marked {
                chat,
                kind: MarkKind::Read,
                seq,
                ..
            } => {
                for read in [&mut self.read, &mut self.may_have_read] {
                    read.entry((chat, user)).or_default().insert(*seq);
                }
            }
            Observation::BeginsToRead { chat, seq } => {
                let may = self.may_have_read.entry((chat, user)).or_default();
                may.insert(*seq);
            }
            Observation::Marked { .. }
            | Observation::Began { .. }
            | Observation::Acknowledged { .. }
            | Observation::Refused { .. }
            | Observation::Chose { .. }
            | Observation::Restarted
            | Observation::Gone => {}
        }
    }

    /// Compares what was told with what was seen.
    ///
    /// # Errors
    /// What is not right, for a person.
    fn agrees(&self, chat: &ChatId, truth: &ChatTruth, status: &Status) -> Result<(), String> {
        let counted = self.audience(chat, truth, status.seq);
        let wrong = || format!("told {status:?}, counted {counted:?}");
        let all = |of: fn(&Bounds) -> bool| counted.values().filter(|one| of(one)).count();
        let least = (all(|one| one.delivered.0), all(|one| one.read.0));
        let most = (all(|one| one.delivered.1), all(|one| one.read.1));
        let (of, delivered, read) = (
            as_count(status.of),
            as_count(status.delivered),
            as_count(status.read),
        );
        let within = (least.0..=most.0).contains(&delivered) && (least.1..=most.1).contains(&read);
        let named = status.who.as_deref().is_none_or(|who| {
            let all = |of: fn(&StatusOf) -> bool| who.iter().filter(|one| of(one)).count();
            let counts = (all(|one| one.delivered), all(|one| one.read));
            counts == (delivered, read)
                && who.len() == of
                && who.iter().all(|one| fits(one, &counted))
        });
        match of == counted.len() && within && named {
            true => Ok(()),
            false => Err(wrong()),
        }
    }

    /// Whom a message was meant for, and how far it has got with each.
    fn audience<'t>(
        &self,
        chat: &ChatId,
        truth: &'t ChatTruth,
        seq: Seq,
    ) -> BTreeMap<&'t UserId, Bounds> {
        let author = truth.timeline.iter().find(|entry| entry.seq == seq);
        let author = author.map(|entry| &entry.author);
        let others = truth
            .members
            .iter()
            .filter(|(user, _)| Some(*user) != author);
        let of_one = |(user, stays): (&'t UserId, &super::Stays)| {
            stays
                .iter()
                .find(|(after, until)| seq > *after && seq <= *until)?;
            // A mark in a later stay says it of this one, too.
            let reaches = |marks: &BTreeMap<(&ChatId, &UserId), BTreeSet<Seq>>| {
                let marks = marks.get(&(chat, user));
                marks.is_some_and(|marks| marks.range(seq..).next().is_some())
            };
            let got = self.got.get(&(chat, user));
            let got = got.is_some_and(|got| got.contains(&seq));
            let read = (reaches(&self.read), reaches(&self.may_have_read));
            let bounds = Bounds {
                delivered: (got || read.0, got || read.1),
                read,
            };
            Some((user, bounds))
        };
        others.filter_map(of_one).collect()
    }
}

/// True when what is told of one user is what was seen of them.
fn fits(told: &StatusOf, counted: &BTreeMap<&UserId, Bounds>) -> bool {
    let within = |told: bool, (least, most): (bool, bool)| (!least || told) && (!told || most);
    counted
        .get(&told.user)
        .is_some_and(|of| within(told.delivered, of.delivered) && within(told.read, of.read))
}

fn as_count(told: u32) -> usize {
    usize::try_from(told).unwrap_or(usize::MAX)
}
