//! The order of one chat: what was handed over, what waits behind a gap, what must be asked for.
//!
//! Entries come in any order and any number of times; they leave once and in seq order. Knows
//! nothing of sockets: says only from where on the timeline must be asked.

use std::collections::BTreeMap;

use schemas::frames::{Entries, Entry};
use schemas::position::Seq;

use crate::Moment;

/// The most entries held behind a gap; beyond it the newest are dropped and asked for later.
const MAX_HELD: usize = 1000;
/// The first wait before a gap is asked for again, and the bound of later ones.
const RETRY_MS: (u64, u64) = (200, 10_000);

/// Where a chat stands with this client.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Everything up to here was handed over; none in a chat never heard of.
    last: Option<Seq>,
    held: BTreeMap<Seq, Entry>,
    /// The newest place an entry came from.
    wanted: Seq,
    /// A newest place that a chat list spoke of; given up when an answer brings nothing.
    hint: Seq,
    /// True while a timeline query is under way.
    asked: bool,
    ask_at: Moment,
    fruitless: u32,
}

impl Order {
    /// A chat whose entries up to `last` were handed over in an earlier life.
    pub(super) fn from(last: Seq) -> Self {
        Self {
            last: Some(last),
            ..Self::default()
        }
    }

    pub(super) fn last(&self) -> Option<Seq> {
        self.last
    }

    /// Takes one pushed entry. While a resume is going on (`resumed` false) the first entry of an
    /// unknown chat waits, because older ones may be on their way.
    pub(super) fn take(&mut self, entry: Entry, resumed: bool, out: &mut Vec<Entry>) {
        let seq = entry.seq;
        if self.last.is_none() && (resumed || seq == Seq(1)) {
            self.last = Some(before(seq));
        }
        if self.last.is_some_and(|last| seq <= last) {
            return;
        }
        self.wanted = self.wanted.max(seq);
        if self.held.is_empty() && self.last.is_some_and(|last| last.next() == seq) {
            self.last = Some(seq);
            out.push(entry);
            return;
        }
        self.hold(entry);
        self.release(out);
    }

    /// Takes a batch that covers `from ..= through`, whatever is left out of it. True when it
    /// brought this chat forward.
    pub(super) fn take_batch(&mut self, batch: Entries, out: &mut Vec<Entry>) -> bool {
        let first = self.held.keys().next().copied().unwrap_or(batch.from);
        let last = *self.last.get_or_insert(before(first.min(batch.from)));
        for entry in batch.entries {
            if entry.seq > last {
                self.wanted = self.wanted.max(entry.seq);
                self.hold(entry);
            }
        }
        if batch.from <= last.next() && batch.through > last {
            while let Some(next) = self.held.first_entry() {
                if *next.key() > batch.through {
                    break;
                }
                out.push(next.remove());
            }
            self.last = Some(batch.through);
        }
        self.release(out);
        self.last != Some(last)
    }

    /// The resume is over: what waited in an unknown chat is its beginning.
    pub(super) fn resumed(&mut self, out: &mut Vec<Entry>) {
        if let (None, Some(first)) = (self.last, self.held.keys().next()) {
            self.last = Some(before(*first));
        }
        self.release(out);
    }

    /// A chat list says that the newest place is `head`.
    pub(super) fn hear_of(&mut self, head: Seq) {
        self.hint = self.hint.max(head);
    }

    /// From where the timeline must be asked, if there is a gap that nobody is asking for.
    pub(super) fn gap(&self) -> Option<(Seq, Moment)> {
        let last = self.last?;
        let open = last < self.wanted.max(self.hint) && !self.asked;
        open.then_some((last.next(), self.ask_at))
    }

    pub(super) fn asking(&mut self) {
        self.asked = true;
    }

    /// The answer came (it brought the chat forward or not), or was refused.
    pub(super) fn answered(&mut self, now: Moment, forward: bool) {
        self.asked = false;
        if forward {
            (self.fruitless, self.ask_at) = (0, now);
        } else {
            let wait = RETRY_MS.0.saturating_mul(1 << self.fruitless.min(10));
            self.fruitless += 1;
            self.hint = Seq(0);
            self.ask_at = now.after(wait.min(RETRY_MS.1));
        }
    }

    /// The connection is gone, and the question with it.
    pub(super) fn forget_asking(&mut self) {
        self.asked = false;
        self.ask_at = Moment(0);
        self.fruitless = 0;
    }

    fn hold(&mut self, entry: Entry) {
        self.held.insert(entry.seq, entry);
        if self.held.len() > MAX_HELD {
            self.held.pop_last();
        }
    }

    fn release(&mut self, out: &mut Vec<Entry>) {
        while let (Some(last), Some(next)) = (self.last, self.held.first_entry()) {
            if *next.key() > last.next() {
                return;
            }
            self.last = Some(last.max(*next.key()));
            let entry = next.remove();
            if entry.seq > last {
                out.push(entry);
            }
        }
    }
}

fn before(seq: Seq) -> Seq {
    Seq(seq.0.saturating_sub(1))
}

#[cfg(test)]
mod tests;
