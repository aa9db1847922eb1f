//! Marks of this device (delivered) and user (read): merged, sent, sent again until settled.

use std::collections::{BTreeMap, BTreeSet};

use schemas::errors::{Code, Refusal};
use schemas::events::MarkKind;
use schemas::ids::ChatId;
use schemas::position::Seq;

use crate::{Marking, Moment};

/// How long a refused mark waits before it is tried again.
const RETRY_MS: u64 = 1000;
/// How often a mark that the server calls ahead is tried again: its tables may lag for a moment.
const MAX_RETRIES: u32 = 5;

/// A mark to be sent.
pub(super) type Due = (MarkKind, ChatId, Seq);

#[derive(Debug, Default)]
struct Mark {
    want: Seq,
    settled: Seq,
    refusals: u32,
}

/// Every mark of a session.
#[derive(Debug)]
pub(super) struct Marks {
    marking: Marking,
    marks: BTreeMap<(MarkKind, ChatId), Mark>,
    dirty: BTreeSet<(MarkKind, ChatId)>,
    entries: usize,
    due: Option<Moment>,
}

impl Marks {
    pub(super) fn new(marking: Marking) -> Self {
        Self {
            marking,
            marks: BTreeMap::new(),
            dirty: BTreeSet::new(),
            entries: 0,
            due: None,
        }
    }

    /// The user has taken everything up to `seq`, in `entries` entries.
    pub(super) fn taken(&mut self, now: Moment, chat: &ChatId, seq: Seq, entries: usize) {
        match self.marking {
            Marking::Off => {}
            Marking::Automatic {
                within_ms,
                entries: most,
            } => {
                self.entries += entries;
                let wait = if self.entries >= most { 0 } else { within_ms };
                self.want(MarkKind::Delivered, chat, seq, now.after(wait));
            }
        }
    }

    /// The user has read up to `seq`.
    pub(super) fn read(&mut self, now: Moment, chat: &ChatId, seq: Seq) {
        let wait = match self.marking {
            Marking::Off => 0,
            Marking::Automatic { within_ms, .. } => within_ms,
        };
        self.want(MarkKind::Read, chat, seq, now.after(wait));
    }

    fn want(&mut self, kind: MarkKind, chat: &ChatId, seq: Seq, due: Moment) {
        let key = (kind, chat.clone());
        let mark = self.marks.entry(key.clone()).or_default();
        if seq > mark.want {
            (mark.want, mark.refusals) = (seq, 0);
            self.dirty.insert(key);
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
    }

    pub(super) fn due(&self) -> Option<Moment> {
        self.due
    }

    /// Everything that is to be sent now.
    pub(super) fn flush(&mut self) -> Vec<Due> {
        (self.due, self.entries) = (None, 0);
        let dirty = std::mem::take(&mut self.dirty);
        let marks = &self.marks;
        dirty
            .into_iter()
            .filter_map(|key| {
                let want = marks.get(&key)?.want;
                Some((key.0, key.1, want))
            })
            .collect()
    }

    pub(super) fn settled(&mut self, (kind, chat, seq): Due) {
        if let Some(mark) = self.marks.get_mut(&(kind, chat)) {
            mark.settled = mark.settled.max(seq);
            mark.refusals = 0;
        }
    }

    pub(super) fn refused(&mut self, now: Moment, (kind, chat, seq): Due, refusal: &Refusal) {
        let key = (kind, chat);
        let Some(mark) = self.marks.get_mut(&key) else {
            return;
        };
        mark.refusals += 1;
        let ahead = refusal.code == Code::MarkAhead && mark.refusals <= MAX_RETRIES;
        if !refusal.code.is_retryable() && !ahead {
            mark.settled = mark.settled.max(seq);
            return;
        }
        let due = now.after(refusal.retry_after_ms.unwrap_or(RETRY_MS));
        self.dirty.insert(key);
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// A new connection: what was not settled on the old one is to be sent again.
    pub(super) fn again(&mut self, now: Moment) {
        for (key, mark) in &self.marks {
            if mark.want > mark.settled {
                self.dirty.insert(key.clone());
            }
        }
        self.due = (!self.dirty.is_empty()).then_some(now);
    }

    /// Something of the chat came again though the user has taken it up to `taken`: perhaps the server
    /// never got the mark, in this life or an earlier one.
    pub(super) fn remind(&mut self, now: Moment, chat: &ChatId, taken: Seq) {
        let Marking::Automatic { within_ms, .. } = self.marking else {
            return;
        };
        self.want(MarkKind::Delivered, chat, taken, now.after(within_ms));
        let key = (MarkKind::Delivered, chat.clone());
        let open = |mark: &Mark| mark.want > mark.settled;
        if self.due.is_none() && self.marks.get(&key).is_some_and(open) {
            self.dirty.insert(key);
            self.due = Some(now.after(within_ms));
        }
    }

    /// True when every mark is settled.
    pub(super) fn is_settled(&self) -> bool {
        self.marks.values().all(|mark| mark.want <= mark.settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Marking = Marking::Automatic {
        within_ms: 50,
        entries: 64,
    };

    fn chat() -> ChatId {
        ChatId::new("d.ada.bob").unwrap()
    }

    #[test]
    fn marks_of_a_chat_are_merged_until_their_time() {
        let mut marks = Marks::new(BOTH);
        marks.taken(Moment(0), &chat(), Seq(1), 1);
        marks.taken(Moment(40), &chat(), Seq(2), 1);
        assert_eq!(marks.due(), Some(Moment(50)));
        assert_eq!(marks.flush(), [(MarkKind::Delivered, chat(), Seq(2))]);
        assert_eq!(marks.due(), None);
    }

    #[test]
    fn enough_entries_do_not_wait() {
        let mut marks = Marks::new(BOTH);
        marks.taken(Moment(7), &chat(), Seq(64), 64);
        assert_eq!(marks.due(), Some(Moment(7)));
    }

    #[test]
    fn a_lower_mark_is_not_sent_and_off_sends_none() {
        let mut marks = Marks::new(BOTH);
        marks.read(Moment(0), &chat(), Seq(5));
        marks.flush();
        marks.read(Moment(0), &chat(), Seq(4));
        assert_eq!(marks.due(), None);
        let mut off = Marks::new(Marking::Off);
        off.taken(Moment(0), &chat(), Seq(5), 5);
        assert_eq!(off.due(), None);
    }

    #[test]
    fn unsettled_marks_are_sent_again_on_a_new_connection() {
        let mut marks = Marks::new(BOTH);
        marks.taken(Moment(0), &chat(), Seq(5), 5);
        let sent = marks.flush();
        marks.again(Moment(9));
        assert_eq!(marks.flush(), sent);
        marks.settled(sent[0].clone());
        marks.again(Moment(9));
        assert!(marks.flush().is_empty() && marks.is_settled());
    }

    #[test]
    fn a_mark_called_ahead_is_tried_again_but_not_for_ever() {
        let mut marks = Marks::new(BOTH);
        marks.read(Moment(0), &chat(), Seq(5));
        let refusal = Refusal::plain(Code::MarkAhead);
        let mut tries = 0;
        while let Some(due) = marks.due() {
            tries += 1;
            let mark = marks.flush().remove(0);
            marks.refused(due, mark, &refusal);
        }
        assert_eq!(tries, 6);
        assert!(marks.is_settled());
    }
}
