//! The counters of a message, counted naively: who beside its author may see it, whose devices were
//! handed it, and who has read as far.
//!
//! Judged when everything has come to rest: an app that was handed an entry has come for more since,
//! and its mark is home.

use std::collections::{BTreeMap, BTreeSet};

use schemas::events::MarkKind;
use schemas::frames::Status;
use schemas::ids::{ChatId, UserId};
use schemas::position::Seq;

use super::history::{ChatTruth, History, Observation, Violation};

/// Compares every status that was read with what devices saw.
pub(super) fn check(history: &History, violations: &mut Vec<Violation>) {
    let seen = Seen::by_users(history);
    for (chat, truth) in &history.chats {
        for status in &truth.statuses {
            let told = Counts::told(status);
            let counted = seen.counts(chat, truth, status);
            if told != counted {
                let (chat, seq) = (chat.clone(), status.seq);
                let what = format!("told {told:?}, counted {counted:?}");
                violations.push(Violation::WrongStatus { chat, seq, what });
            }
        }
    }
}

/// How far a message has got: with how many, and with whom if names were asked for.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    of: usize,
    delivered: usize,
    read: usize,
    who: Option<BTreeMap<UserId, (bool, bool)>>,
}

impl Counts {
    fn told(status: &Status) -> Self {
        let count = |told| usize::try_from(told).unwrap_or(usize::MAX);
        let who = status.who.as_ref().map(|who| {
            let one =
                |one: &schemas::frames::StatusOf| (one.user.clone(), (one.delivered, one.read));
            who.iter().map(one).collect()
        });
        Self {
            of: count(status.of),
            delivered: count(status.delivered),
            read: count(status.read),
            who,
        }
    }
}

/// What users have, over all their devices.
#[derive(Default)]
struct Seen<'a> {
    got: BTreeMap<(&'a ChatId, &'a UserId), BTreeSet<Seq>>,
    read: BTreeMap<(&'a ChatId, &'a UserId), Seq>,
}

impl<'a> Seen<'a> {
    fn by_users(history: &'a History) -> Self {
        let mut all = Self::default();
        for ((user, _), seen) in &history.devices {
            for observation in seen {
                match observation {
                    Observation::Received(entry) => {
                        let got = all.got.entry((&entry.chat, user)).or_default();
                        got.insert(entry.seq);
                    }
                    Observation::HasRead { chat, seq }
                    | Observation::Marked {
                        chat,
                        kind: MarkKind::Read,
                        seq,
                        ..
                    } => {
                        let read = all.read.entry((chat, user)).or_default();
                        *read = (*read).max(*seq);
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
        }
        all
    }

    fn counts(&self, chat: &ChatId, truth: &ChatTruth, status: &Status) -> Counts {
        let seq = status.seq;
        let author = truth.timeline.iter().find(|entry| entry.seq == seq);
        let author = author.map(|entry| &entry.author);
        let may_see = |stays: &super::Stays| stays.iter().any(|(a, b)| seq > *a && seq <= *b);
        let audience = truth.members.iter();
        let audience = audience.filter(|(user, stays)| Some(*user) != author && may_see(stays));
        let who: BTreeMap<UserId, (bool, bool)> = audience
            .map(|(user, _)| {
                let read = self
                    .read
                    .get(&(chat, user))
                    .is_some_and(|read| *read >= seq);
                let got = self.got.get(&(chat, user));
                let got = got.is_some_and(|got| got.contains(&seq));
                (user.clone(), (got || read, read))
            })
            .collect();
        Counts {
            of: who.len(),
            delivered: who.values().filter(|(delivered, _)| *delivered).count(),
            read: who.values().filter(|(_, read)| *read).count(),
            who: status.who.is_some().then_some(who),
        }
    }
}
