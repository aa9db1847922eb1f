//! The states at hand: a bounded cache that never drops what is not written yet.
//!
//! Replacement is CLOCK (Corbató 1968): one bit a state says that it was used since the hand last
//! passed. Its order depends on the calls only, not on hashes, so a simulation runs the same twice.

use std::hash::Hash;

use ahash::AHashMap;

/// One cached state.
#[derive(Debug)]
struct Slot<K, S> {
    key: K,
    state: S,
    weight: usize,
    used: bool,
    /// Touched since it was last handed to the writer.
    touched: bool,
    /// The last job of the writer that holds it.
    job: u64,
}

/// A cache of states by key. The bound is on the sum of weights, and soft: states that are not
/// written yet stay.
#[derive(Debug)]
pub(crate) struct Cache<K, S> {
    places: AHashMap<K, usize>,
    slots: Vec<Option<Slot<K, S>>>,
    free: Vec<usize>,
    hand: usize,
    weight: usize,
    limit: usize,
    touched: Vec<K>,
}

impl<K: Clone + Eq + Hash, S> Cache<K, S> {
    /// A cache of so much weight.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            places: AHashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            weight: 0,
            limit,
            touched: Vec::new(),
        }
    }

    /// True when the state is at hand.
    pub(crate) fn contains(&self, key: &K) -> bool {
        self.places.contains_key(key)
    }

    /// Takes in a state that was loaded.
    pub(crate) fn insert(&mut self, key: K, state: S, weight: usize) {
        let slot = Slot {
            key: key.clone(),
            state,
            weight,
            used: true,
            touched: false,
            job: 0,
        };
        self.weight += weight;
        let place = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(place) {
            Some(free) => *free = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        self.places.insert(key, place);
    }

    /// The state of a key, if it is at hand.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut S> {
        let slot = self.slot(key)?;
        slot.used = true;
        Some(&mut slot.state)
    }

    /// Says that the state has to be written.
    pub(crate) fn touch(&mut self, key: &K) {
        let Some(slot) = self.slot(key) else { return };
        if !slot.touched {
            slot.touched = true;
            self.touched.push(key.clone());
        }
    }

    /// Runs over the touched states in the order in which they were first touched.
    pub(crate) fn each_touched(&mut self, mut visit: impl FnMut(&K, &mut S)) {
        let touched = std::mem::take(&mut self.touched);
        for key in &touched {
            if let Some(slot) = self.slot(key) {
                visit(key, &mut slot.state);
            }
        }
        self.touched = touched;
    }

    /// Hands the touched states over to a job of the writer. `weigh` is asked for their new weight.
    pub(crate) fn hand_over(&mut self, job: u64, mut weigh: impl FnMut(&K, &mut S) -> usize) {
        for key in std::mem::take(&mut self.touched) {
            let Some(slot) = self.slot(&key) else {
                continue;
            };
            slot.touched = false;
            slot.job = job;
            let before = slot.weight;
            slot.weight = weigh(&key, &mut slot.state);
            let after = slot.weight;
            self.weight = self.weight + after - before;
        }
    }

    /// Drops states until the bound holds; only those whose last job is `written` or older.
    pub(crate) fn shrink(&mut self, written: u64) {
        let mut steps = 2 * self.slots.len();
        while self.weight > self.limit && steps > 0 {
            steps -= 1;
            let place = self.hand;
            self.hand = (self.hand + 1) % self.slots.len().max(1);
            let Some(at_hand) = self.slots.get_mut(place) else {
                continue;
            };
            let Some(slot) = at_hand else { continue };
            if slot.touched || slot.job > written {
                continue;
            }
            if std::mem::take(&mut slot.used) {
                continue;
            }
            if let Some(gone) = at_hand.take() {
                self.weight -= gone.weight;
                self.places.remove(&gone.key);
                self.free.push(place);
            }
        }
    }

    /// How many states are at hand.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    fn slot(&mut self, key: &K) -> Option<&mut Slot<K, S>> {
        let place = *self.places.get(key)?;
        self.slots.get_mut(place)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_is_never_dropped() {
        let mut cache = Cache::new(2);
        for key in 0..4 {
            cache.insert(key, key, 1);
            cache.touch(&key);
        }
        cache.shrink(0);
        assert_eq!(cache.len(), 4, "all are touched");
        cache.hand_over(7, |_, _| 1);
        cache.shrink(6);
        assert_eq!(cache.len(), 4, "job 7 is under way");
        cache.shrink(7);
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn a_state_in_use_outlives_one_that_is_not() {
        let mut cache = Cache::new(3);
        for key in 0..4 {
            cache.insert(key, (), 1);
        }
        cache.shrink(0);
        assert!(!cache.contains(&0), "all were used: the first goes");
        cache.insert(4, (), 1);
        assert!(cache.get_mut(&1).is_some());
        cache.shrink(0);
        assert!(cache.contains(&1) && !cache.contains(&2));
    }

    #[test]
    fn touched_states_come_in_the_order_of_their_first_touch() {
        let mut cache = Cache::new(9);
        for key in [3, 1, 2] {
            cache.insert(key, key, 1);
        }
        for key in [2, 3, 2, 1] {
            cache.touch(&key);
        }
        let mut seen = Vec::new();
        cache.hand_over(1, |key, _| {
            seen.push(*key);
            1
        });
        assert_eq!(seen, [2, 3, 1]);
        cache.each_touched(|_, _| unreachable!("all were handed over"));
    }
}
