//! The settled commands of one device in one chat: a ring of the last 256 verdicts.
//!
//! Refused ones take a place too. A client begins at most 128 commands of a chat from its oldest
//! unsettled one on, so a resend always finds its verdict here and never becomes a second message
//! (ADR 0036). No time limit, no clock.

use std::collections::VecDeque;

use ahash::RandomState;
use schemas::errors::Code;
use schemas::ids::ClientId;
use schemas::position::{Seq, Version};

use super::sum;

/// How many verdicts are remembered for each (chat, user, device).
pub const RING: usize = 256;

/// Always the same seeds: rings of equal content are equal.
const HASHING: RandomState = RandomState::with_seeds(1, 2, 3, 4);

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has this seq.
    Accepted(Seq),
    /// It had no effect.
    Refused(Code),
}

/// One remembered verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settled {
    /// The command.
    pub(super) client: ClientId,
    /// What became of it.
    pub(super) verdict: Verdict,
    /// The record that was settled.
    pub(super) version: Version,
}

/// The last [`RING`] verdicts of a device, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ring {
    settled: VecDeque<Settled>,
    /// A hash of each command, the `nth` at `nth` modulo [`RING`]: almost every command is new, and
    /// that is seen here without a look at what is remembered.
    hashes: Vec<u32>,
    /// How many there ever were.
    count: u64,
    /// What stands for its device in [`Self::sum`].
    owner: u64,
    /// What its verdicts add up to.
    sum: u64,
}

impl Ring {
    /// That of a device which [`sum::of_owner`] stands for.
    pub(super) fn of(owner: u64) -> Self {
        Self {
            owner,
            ..Self::default()
        }
    }

    /// The verdict on a command.
    pub(super) fn find(&self, client: &ClientId) -> Option<&Verdict> {
        let hash = hash_of(client);
        // Without a way out: many are compared at once.
        let is_here = |all: &[u32]| all.iter().fold(false, |found, one| found | (*one == hash));
        if !is_here(&self.hashes) {
            return None;
        }
        // A resend is mostly of something new: look from the newest end.
        let mut newest_first = self.settled.iter().rev();
        let found = newest_first.find(|s| s.client == *client);
        found.map(|s| &s.verdict)
    }

    /// Adds a verdict, forgets the oldest beyond [`RING`], and returns the verdict's count, from 0.
    pub(super) fn push(&mut self, client: ClientId, verdict: Verdict, version: Version) -> u64 {
        let nth = self.count;
        if self.settled.len() == RING
            && let Some(gone) = self.settled.pop_front()
        {
            let gone = sum::of_verdict(self.owner, nth.wrapping_sub(RING as u64), &gone);
            self.sum = self.sum.wrapping_sub(gone);
        }
        let settled = Settled {
            client,
            verdict,
            version,
        };
        self.restore(nth, settled);
        nth
    }

    /// Puts a verdict back that was written as the `nth`. They must come in order.
    pub(super) fn restore(&mut self, nth: u64, settled: Settled) {
        let place = usize::try_from(nth).unwrap_or(usize::MAX) % RING;
        if self.hashes.len() <= place {
            self.hashes.resize(place + 1, 0);
        }
        if let Some(hash) = self.hashes.get_mut(place) {
            *hash = hash_of(&settled.client);
        }
        let more = sum::of_verdict(self.owner, nth, &settled);
        self.sum = self.sum.wrapping_add(more);
        self.settled.push_back(settled);
        self.count = nth + 1;
    }

    /// The verdict with this count, if it is still remembered.
    pub(super) fn nth(&self, nth: u64) -> Option<&Settled> {
        let oldest = self.count.checked_sub(self.settled.len() as u64)?;
        let place = usize::try_from(nth.checked_sub(oldest)?).ok()?;
        self.settled.get(place)
    }

    /// The count of the next verdict.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// What its verdicts add up to.
    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.settled.len()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "half of a hash is one")]
fn hash_of(client: &ClientId) -> u32 {
    HASHING.hash_one(client.as_str()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> ClientId {
        ClientId::new(format!("c{n}")).unwrap()
    }

    #[test]
    fn ring_remembers_the_last_256_and_forgets_the_one_before() {
        let mut ring = Ring::default();
        for n in 0..=256 {
            assert_eq!(ring.push(id(n), Verdict::Accepted(Seq(n)), Version(n)), n);
        }
        assert_eq!(ring.len(), RING);
        assert_eq!(ring.find(&id(0)), None);
        assert_eq!(ring.find(&id(1)), Some(&Verdict::Accepted(Seq(1))));
        assert_eq!(ring.nth(0), None);
        assert_eq!(ring.nth(256).map(|s| s.client.clone()), Some(id(256)));
        assert_eq!(ring.nth(257), None);
    }

    #[test]
    fn a_ring_that_was_read_back_finds_what_the_one_before_found() {
        let (mut ring, mut again) = (Ring::default(), Ring::default());
        for n in 0..700 {
            ring.push(id(n), Verdict::Accepted(Seq(n)), Version(n));
        }
        for nth in 444..700 {
            again.restore(nth, ring.nth(nth).unwrap().clone());
        }
        for n in 0..701 {
            assert_eq!(again.find(&id(n)), ring.find(&id(n)), "{n}");
        }
        assert_eq!(
            again.push(id(700), Verdict::Accepted(Seq(700)), Version(700)),
            700
        );
        assert_eq!(again.find(&id(444)), None);
        assert!(again.find(&id(445)).is_some());
    }
}
