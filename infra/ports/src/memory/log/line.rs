//! Appends that were called and are not made yet, in the order in which they were called.
//!
//! A call may be delayed before its effect; another one that was called later and is faster takes
//! along whatever stands before it in its partitions, as a committer does. So nothing overtakes
//! within a partition, and a call that is dropped before anybody made its append leaves nothing.

use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use crate::log::{LogError, NewRecord};

/// Batches of one call.
pub(super) type Batches = Vec<(Partition, Vec<NewRecord>)>;

/// What became of an append.
type Made = Result<Vec<Offset>, LogError>;

struct Waiting {
    number: u64,
    topic: Topic,
    partitions: Vec<Partition>,
    batches: Batches,
    made: Option<Made>,
}

/// The line of one handle.
#[derive(Default)]
pub(super) struct Line {
    waiting: Vec<Waiting>,
    next: u64,
}

impl Line {
    /// Puts an append at the end and answers its number.
    pub(super) fn enter(&mut self, topic: Topic, batches: Batches) -> u64 {
        self.next += 1;
        self.waiting.push(Waiting {
            number: self.next,
            topic,
            partitions: batches.iter().map(|(partition, _)| *partition).collect(),
            batches,
            made: None,
        });
        self.next
    }

    /// Makes an append and, before it, every one that was called before it and shares a partition
    /// with it or with one of those. Answers what became of it.
    pub(super) fn make(
        &mut self,
        number: u64,
        mut append: impl FnMut(Topic, Batches) -> Made,
    ) -> Made {
        let gone = || LogError::Closed;
        let place = self.place(number).ok_or_else(gone)?;
        for taken in self.before(place) {
            if let Some(one) = self.waiting.get_mut(taken)
                && one.made.is_none()
            {
                one.made = Some(append(one.topic, std::mem::take(&mut one.batches)));
            }
        }
        self.waiting.remove(place).made.ok_or_else(gone)?
    }

    /// Takes an append out of the line, made or not.
    pub(super) fn leave(&mut self, number: u64) {
        if let Some(place) = self.place(number) {
            self.waiting.remove(place);
        }
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.waiting.iter().position(|one| one.number == number)
    }

    /// The places up to this one that must be made with it, in their order.
    fn before(&self, place: usize) -> Vec<usize> {
        let mut shared: Vec<(Topic, Partition)> = Vec::new();
        let mut taken = Vec::new();
        for (at, one) in self.waiting.iter().enumerate().take(place + 1).rev() {
            let own = || {
                one.partitions
                    .iter()
                    .map(|partition| (one.topic, *partition))
            };
            if at == place || own().any(|pair| shared.contains(&pair)) {
                shared.extend(own());
                taken.push(at);
            }
        }
        taken.reverse();
        taken
    }
}
