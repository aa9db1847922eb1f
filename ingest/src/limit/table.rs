//! Many allowances by key: sharded, so that clients do not wait for each other, and bounded.
//!
//! A shard that is full forgets the buckets that are full again, which changes nothing. If too few
//! are, it forgets the eighth that has the most allowance left: those clients win at most a burst,
//! and the memory stays bounded whoever comes. Nothing here depends on the order of a hash map.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use schemas::topics::partition_of;

use super::bucket::{Allowance, Bucket};

/// Shards of a table, a power of two well above the threads that use it.
const SHARDS: u32 = 32;

/// What an allowance is kept by.
pub(super) trait Key: Ord + Clone {
    /// The bytes that choose its shard.
    fn bytes(&self) -> &[u8];
}

/// The allowances of all clients of one kind.
pub(super) struct Table<K> {
    of: Allowance,
    shards: Vec<Mutex<Shard<K>>>,
}

impl<K: Key> Table<K> {
    /// An empty table for about `capacity` clients.
    pub(super) fn new(of: Allowance, capacity: usize) -> Self {
        let shards = usize::try_from(SHARDS).unwrap_or(1);
        let each = capacity.div_ceil(shards).max(1);
        let shard = || {
            Mutex::new(Shard {
                buckets: BTreeMap::new(),
                capacity: each,
            })
        };
        Self {
            of,
            shards: std::iter::repeat_with(shard).take(shards).collect(),
        }
    }

    /// Takes `cost` from the key's allowance, or says how long to wait.
    pub(super) fn take(&self, key: K, cost: u32, now: Duration) -> Result<(), Duration> {
        let place = usize::try_from(partition_of(key.bytes(), SHARDS).0).unwrap_or(0);
        let Some(shard) = self.shards.get(place) else {
            return Ok(());
        };
        shard.lock().take(key, self.of, cost, now)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().buckets.len())
            .sum()
    }
}

struct Shard<K> {
    buckets: BTreeMap<K, Bucket>,
    capacity: usize,
}

impl<K: Key> Shard<K> {
    fn take(&mut self, key: K, of: Allowance, cost: u32, now: Duration) -> Result<(), Duration> {
        if let Some(bucket) = self.buckets.get_mut(&key) {
            return bucket.take(of, cost, now);
        }
        if self.buckets.len() >= self.capacity {
            self.forget(now);
        }
        self.buckets.entry(key).or_default().take(of, cost, now)
    }

    /// Makes room for at least one, and for an eighth of all, so that it is seldom done.
    fn forget(&mut self, now: Duration) {
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
        let room = (self.capacity / 8).max(1);
        let keep = self.capacity - room;
        let Some(excess) = self
            .buckets
            .len()
            .checked_sub(keep)
            .filter(|excess| *excess > 0)
        else {
            return;
        };
        let mut levels: Vec<Bucket> = self.buckets.values().copied().collect();
        let (below, threshold, _) = levels.select_nth_unstable(excess - 1);
        let threshold = *threshold;
        // Those below go all, of those at the threshold as many as are still too many.
        let mut ties = excess - below.iter().filter(|level| **level < threshold).count();
        self.buckets
            .retain(|_, bucket| match (*bucket).cmp(&threshold) {
                Ordering::Less => false,
                Ordering::Equal if ties > 0 => {
                    ties -= 1;
                    false
                }
                Ordering::Equal | Ordering::Greater => true,
            });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Rate;

    impl Key for [u8; 2] {
        fn bytes(&self) -> &[u8] {
            self
        }
    }

    fn shard(capacity: usize) -> Shard<[u8; 2]> {
        Shard {
            buckets: BTreeMap::new(),
            capacity,
        }
    }

    #[test]
    fn table_stays_within_its_bound_whoever_comes() {
        let table = Table::new(Allowance::of(Rate::new(1, 5)), 320);
        for client in 0..=u16::MAX {
            assert_eq!(table.take(client.to_le_bytes(), 1, Duration::ZERO), Ok(()));
        }
        assert!(table.len() <= 320, "{}", table.len());
        assert!(table.len() >= 200, "{}", table.len());
    }

    #[test]
    fn greediest_client_is_remembered_longest() {
        let of = Allowance::of(Rate::new(1, 5));
        let mut shard = shard(16);
        assert_eq!(shard.take([255, 255], of, 5, Duration::ZERO), Ok(()));
        for client in 0..1_000_u16 {
            assert_eq!(
                shard.take(client.to_le_bytes(), of, 1, Duration::ZERO),
                Ok(())
            );
        }
        assert!(shard.take([255, 255], of, 1, Duration::ZERO).is_err());
    }

    proptest! {
        /// With room for all that are active, a bounded table answers like an unbounded one.
        #[test]
        fn forgetting_what_is_full_changes_no_answer(
            asks in prop::collection::vec((0_u64..400, 0_u8..12), 1..300),
        ) {
            let of = Allowance::of(Rate::new(10, 2));
            // At most 12 clients are there; 14 leaves the eighth free.
            let (mut bounded, mut endless) = (shard(14), shard(usize::MAX));
            let mut now = Duration::ZERO;
            for (pause_ms, client) in asks {
                now += Duration::from_millis(pause_ms);
                let key = [client, 0];
                prop_assert_eq!(bounded.take(key, of, 1, now), endless.take(key, of, 1, now));
                prop_assert!(bounded.buckets.len() <= 14);
            }
        }
    }
}
