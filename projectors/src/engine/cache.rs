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
    /// Places of touched states, in the order in which they were first touched.
    touched: Vec<usize>,
    /// A state was dropped at some time.
    has_dropped: bool,
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
            has_dropped: false,
        }
    }

    /// The place of a state that is at hand. It stays there until the next [`Self::shrink`].
    pub(crate) fn find(&mut self, key: &K) -> Option<usize> {
        let place = *self.places.get(key)?;
        if let Some(Some(slot)) = self.slots.get_mut(place) {
            slot.used = true;
        }
        Some(place)
    }

    /// Takes in a state that was loaded, and says its place.
    pub(crate) fn insert(&mut self, key: K, state: S, weight: usize) -> usize {
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
        place
    }

    /// The state at a place.
    pub(crate) fn state_mut(&mut self, place: usize) -> Option<&mut S> {
        self.slot(place).map(|slot| &mut slot.state)
    }

    /// Says that the state at a place has to be written.
    pub(crate) fn touch(&mut self, place: usize) {
        let Some(slot) = self.slot(place) else { return };
        if !slot.touched {
            slot.touched = true;
            self.touched.push(place);
        }
    }

    /// Runs over the touched states in the order in which they were first touched.
    pub(crate) fn each_touched(&mut self, mut visit: impl FnMut(&K, &mut S)) {
        for place in &self.touched {
            if let Some(Some(slot)) = self.slots.get_mut(*place) {
                visit(&slot.key, &mut slot.state);
            }
        }
    }

    /// Hands the touched states over to a job of the writer. `weigh` is asked for their new weight.
    pub(crate) fn hand_over(&mut self, job: u64, mut weigh: impl FnMut(&K, &mut S) -> usize) {
        for place in std::mem::take(&mut self.touched) {
            let Some(slot) = self.slot(place) else {
                continue;
            };
            slot.touched = false;
            slot.job = job;
            let before = slot.weight;
            slot.weight = weigh(&slot.key, &mut slot.state);
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
                self.has_dropped = true;
            }
        }
    }

    /// Begins anew, as if no state had ever been at hand.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Drops the states of these keys, written or not.
    pub(crate) fn forget(&mut self, such: impl Fn(&K) -> bool) {
        for (place, at_hand) in self.slots.iter_mut().enumerate() {
            if at_hand.as_ref().is_none_or(|slot| !such(&slot.key)) {
                continue;
            }
            if let Some(gone) = at_hand.take() {
                self.weight -= gone.weight;
                self.places.remove(&gone.key);
                self.free.push(place);
                self.has_dropped = true;
            }
        }
        let slots = &self.slots;
        let is_there = |place: &usize| slots.get(*place).is_some_and(Option::is_some);
        self.touched.retain(is_there);
    }

    /// How many states are at hand.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// How many are touched.
    pub(crate) fn touched(&self) -> usize {
        self.touched.len()
    }

    /// True when a state was dropped at some time: what is not at hand may have been.
    pub(crate) fn has_dropped(&self) -> bool {
        self.has_dropped
    }

    fn slot(&mut self, place: usize) -> Option<&mut Slot<K, S>> {
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
            let place = cache.insert(key, key, 1);
            cache.touch(place);
        }
        cache.shrink(0);
        assert_eq!(cache.len(), 4, "all are touched");
        cache.hand_over(7, |_, _| 1);
        cache.shrink(6);
        assert_eq!(cache.len(), 4, "job 7 is under way");
        cache.shrink(7);
        assert_eq!(cache.len(), 2);
        assert!(cache.has_dropped());
    }

    #[test]
    fn a_state_in_use_outlives_one_that_is_not() {
        let mut cache = Cache::new(3);
        for key in 0..4 {
            cache.insert(key, (), 1);
        }
        cache.shrink(0);
        assert!(
            !cache.places.contains_key(&0),
            "all were used: the first goes"
        );
        cache.insert(4, (), 1);
        assert!(cache.find(&1).is_some());
        cache.shrink(0);
        assert!(cache.places.contains_key(&1) && !cache.places.contains_key(&2));
    }

    #[test]
    fn what_is_forgotten_is_not_handed_over() {
        let mut cache = Cache::new(9);
        for key in 0..4 {
            let place = cache.insert(key, key, 1);
            cache.touch(place);
        }
        cache.forget(|key| key % 2 == 0);
        assert!(cache.find(&0).is_none() && cache.has_dropped());
        cache.insert(8, 8, 1);
        let mut seen = Vec::new();
        cache.hand_over(1, |key, _| {
            seen.push(*key);
            1
        });
        assert_eq!((seen, cache.len(), cache.weight), (vec![1, 3], 3, 3));
    }

    #[test]
    fn touched_states_come_in_the_order_of_their_first_touch() {
        let mut cache = Cache::new(9);
        for key in [3, 1, 2] {
            cache.insert(key, key, 1);
        }
        for key in [2, 3, 2, 1] {
            let place = cache.find(&key).unwrap();
            cache.touch(place);
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
