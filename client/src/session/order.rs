//! The order of one chat: what was handed over, what waits behind a gap, what must be asked for.
//!
//! Entries come in any order and any number of times; they leave once and in seq order. Knows
//! nothing of sockets: says only from where on the timeline must be asked.

use std::collections::BTreeMap;

use schemas::frames::{Entries, Entry, PAGE};
use schemas::position::Seq;

use crate::Moment;
use crate::config::grown_ms;

/// The most entries held behind a gap; beyond it the newest are dropped and asked for later.
const MAX_HELD: usize = 1000;
/// The first wait before a gap is asked for again, and the bound of later ones.
const RETRY_MS: (u64, u64) = (200, 10_000);
/// How often a place that only a list spoke of is asked for in vain: for some twelve seconds.
const MOST_FRUITLESS: u32 = 6;

/// Where a chat stands with this client.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Everything up to here was handed over; none in a chat never heard of.
    last: Option<Seq>,
    /// The newest entry that was handed over.
    told: Seq,
    /// The newest entry that the user has taken.
    taken: Seq,
    /// An unknown chat begins with whatever comes first: the server's marks are all that is kept.
    from_marks: bool,
    held: BTreeMap<Seq, Entry>,
    /// The newest place an entry came from.
    wanted: Seq,
    /// A newest place that a chat list spoke of; given up when answers bring nothing.
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
            told: last,
            taken: last,
            ..Self::default()
        }
    }

    /// A chat never heard of. Of what the marks of an earlier life cover its newest page is `owed`, or
    /// nothing.
    pub(super) fn unknown(owed: bool) -> Self {
        Self {
            from_marks: !owed,
            ..Self::default()
        }
    }

    pub(super) fn last(&self) -> Option<Seq> {
        self.last
    }

    /// These entries leave for the user.
    pub(super) fn tell(&mut self, out: &[Entry]) {
        if let Some(entry) = out.last() {
            self.told = entry.seq;
        }
    }

    /// The user has taken the chat up to here.
    pub(super) fn took(&mut self, seq: Seq) {
        self.taken = self.taken.max(seq.min(self.told));
    }

    /// Up to where the device has the chat for sure: what was taken, and what followed it that this
    /// user may not see. None in a chat never heard of.
    pub(super) fn taken(&self) -> Option<Seq> {
        let last = self.last?;
        let taken = if self.taken >= self.told {
            last
        } else {
            self.taken
        };
        (taken > Seq(0)).then_some(taken)
    }

    /// Takes one pushed entry. While a resume is going on (`resumed` false) the first entry of an
    /// unknown chat waits, because older ones may be on their way.
    pub(super) fn take(&mut self, entry: Entry, resumed: bool, out: &mut Vec<Entry>) {
        let seq = entry.seq;
        if self.last.is_none() && (resumed || seq == Seq(1)) {
            self.last = Some(self.begins_before(seq, seq));
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
        let begins = self.begins_before(first.min(batch.from), batch.head.max(batch.through));
        let last = *self.last.get_or_insert(begins);
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

    /// The resume is over: nothing older comes by itself before what waited in an unknown chat.
    pub(super) fn resumed(&mut self, out: &mut Vec<Entry>) {
        if let (None, Some(first)) = (self.last, self.held.keys().next()) {
            self.last = Some(self.begins_before(*first, *first));
        }
        self.release(out);
    }

    /// A chat list says that the newest place is `head`. Of an unknown chat that is on the screen the
    /// newest page is wanted.
    pub(super) fn hear_of(&mut self, head: Seq) {
        if self.last.is_none() && head > Seq(0) {
            let held = self.held.keys().next().copied().unwrap_or(head);
            self.last = Some(self.begins_before(held, head));
        }
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

    /// The answer came: it brought the chat forward or not.
    pub(super) fn answered(&mut self, now: Moment, forward: bool) {
        if forward {
            self.asked = false;
            (self.fruitless, self.ask_at) = (0, now);
        } else {
            // A list may be ahead of the timeline, where the server's tables stand behind; one that names
            // what this user never gets is believed no longer.
            if self.fruitless >= MOST_FRUITLESS {
                self.hint = Seq(0);
            }
            self.refused(now);
        }
    }

    /// The question was refused for now: it is asked again later.
    pub(super) fn refused(&mut self, now: Moment) {
        self.asked = false;
        self.ask_at = now.after(grown_ms(RETRY_MS, self.fruitless));
        self.fruitless += 1;
    }

    /// The connection is gone, and the question with it.
    pub(super) fn forget_asking(&mut self) {
        self.asked = false;
        self.ask_at = Moment(0);
        self.fruitless = 0;
    }

    /// The place before the first one owed of an unknown chat, of which `first` came first. A new device
    /// gets the newest page of a chat: where less comes, a mark of an earlier life stands before it, and
    /// the rest of the page is asked for.
    fn begins_before(&self, first: Seq, head: Seq) -> Seq {
        before(if self.from_marks {
            first
        } else {
            first.min(newest_page(head))
        })
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

/// Where the newest page of a chat begins.
fn newest_page(head: Seq) -> Seq {
    Seq(head.0.saturating_sub(PAGE as u64).saturating_add(1))
}

#[cfg(test)]
mod tests;
