//! Entries that went out of late, by chat and place. One stands in a record of `users` for each
//! partition of its recipients: its frame is made once, however many batches these come in. And when
//! marks are stamped, what they cover is mostly here.
//!
//! `(chat, seq)` names an event for ever, so what is here is never stale. Bounded; the oldest go.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use schemas::ids::ChatId;
use schemas::position::Seq;

use super::pushed::Pushed;

/// Entries kept at most.
const MAX_ENTRIES: usize = 4_096;
/// And bytes of their frames, but for the newest.
const MAX_BYTES: usize = 4 << 20;

/// The entries, each chat's without a hole.
#[derive(Debug, Default)]
pub(crate) struct Lately {
    /// Looked up only, never walked.
    chats: HashMap<ChatId, VecDeque<Arc<Pushed>>, ahash::RandomState>,
    /// In the order in which they came, those too that a hole took out of their chat.
    order: VecDeque<Arc<Pushed>>,
    bytes: usize,
}

impl Lately {
    /// An entry, if it is at hand.
    pub(crate) fn get(&self, chat: &ChatId, seq: Seq) -> Option<&Arc<Pushed>> {
        let entries = self.chats.get(chat)?;
        entries.get(place(entries, seq)?)
    }

    /// A chat's entries from a place downwards, without a hole; none when that place is not at hand.
    pub(crate) fn down_from(&self, chat: &ChatId, seq: Seq) -> impl Iterator<Item = &Arc<Pushed>> {
        let entries = self.chats.get(chat);
        let place = entries.and_then(|entries| place(entries, seq));
        let down = entries.zip(place).filter(|(all, at)| *at < all.len());
        down.into_iter()
            .flat_map(|(all, at)| all.range(..=at).rev())
    }

    /// Takes an entry in, unless later ones of its chat are here already.
    pub(crate) fn remember(&mut self, pushed: &Arc<Pushed>) {
        if !self.chats.contains_key(&pushed.chat) {
            self.chats.insert(pushed.chat.clone(), VecDeque::new());
        }
        let Some(entries) = self.chats.get_mut(&pushed.chat) else {
            return;
        };
        match entries.back() {
            Some(last) if pushed.seq <= last.seq => return,
            Some(last) if pushed.seq != last.seq.next() => entries.clear(),
            Some(_) | None => {}
        }
        entries.push_back(Arc::clone(pushed));
        self.order.push_back(Arc::clone(pushed));
        self.bytes += pushed.frame.len();
        while self.order.len() > MAX_ENTRIES || (self.bytes > MAX_BYTES && self.order.len() > 1) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.order.pop_front() else {
            return;
        };
        self.bytes -= oldest.frame.len();
        let Some(entries) = self.chats.get_mut(&oldest.chat) else {
            return;
        };
        if entries.front().is_some_and(|first| first.seq == oldest.seq) {
            entries.pop_front();
        }
        if entries.is_empty() {
            self.chats.remove(&oldest.chat);
        }
    }
}

fn place(entries: &VecDeque<Arc<Pushed>>, seq: Seq) -> Option<usize> {
    let first = entries.front()?;
    usize::try_from(seq.0.checked_sub(first.seq.0)?).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn entry(chat: &str, seq: u64, bytes: usize) -> Arc<Pushed> {
        Pushed::sample(chat, seq, Bytes::from(vec![0; bytes]))
    }

    fn at_hand(lately: &Lately, chat: &str, from: u64) -> Vec<u64> {
        let chat = ChatId::new(chat).unwrap();
        let down = lately.down_from(&chat, Seq(from));
        down.map(|pushed| pushed.seq.0).collect()
    }

    #[test]
    fn a_chat_is_walked_downwards_and_never_over_a_hole() {
        let mut lately = Lately::default();
        for seq in [4, 5, 6, 5, 2] {
            lately.remember(&entry("d.a.b", seq, 1));
        }
        lately.remember(&entry("d.a.c", 9, 1));
        assert_eq!(at_hand(&lately, "d.a.b", 5), [5, 4]);
        assert_eq!(at_hand(&lately, "d.a.b", 7), [0; 0], "not at hand");
        assert_eq!(at_hand(&lately, "d.a.b", 3), [0; 0], "not at hand");
        lately.remember(&entry("d.a.b", 8, 1));
        assert_eq!(at_hand(&lately, "d.a.b", 8), [8], "7 is missing");
        assert_eq!(at_hand(&lately, "d.a.c", 9), [9]);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_too_large_ones() {
        let mut lately = Lately::default();
        for seq in 1..=MAX_ENTRIES as u64 + 1 {
            lately.remember(&entry("d.a.b", seq, 1));
        }
        let chat = ChatId::new("d.a.b").unwrap();
        assert!(lately.get(&chat, Seq(1)).is_none());
        assert!(lately.get(&chat, Seq(2)).is_some());
        lately.remember(&entry("d.a.c", 1, MAX_BYTES + 1));
        assert!(!lately.chats.contains_key(&chat), "no empty chat stays");
        assert_eq!(at_hand(&lately, "d.a.c", 1), [1], "the newest stays");
        assert_eq!(lately.bytes, MAX_BYTES + 1);
    }
}
