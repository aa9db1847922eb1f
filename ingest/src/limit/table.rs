//! Many allowances by key: sharded, so that clients do not wait for each other, and bounded.
//!
//! A shard that is full forgets the eighth that has the most allowance left. A bucket that is full
//! again loses nothing by it, another at most a burst; the memory stays bounded whoever comes.

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
            self.forget();
        }
        self.buckets.entry(key).or_default().take(of, cost, now)
    }

    /// Makes room for an eighth of the shard, so that it is seldom done, and for at least one.
    fn forget(&mut self) {
        let excess = (self.capacity / 8).max(1).min(self.buckets.len());
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
        // All at one moment, so that all are alike, or one after another.
        for pause in [Duration::ZERO, Duration::from_nanos(10)] {
            let table = Table::new(Allowance::of(Rate::new(1, 5)), 320);
            let mut now = Duration::ZERO;
            for client in 0..=u16::MAX {
                assert_eq!(table.take(client.to_le_bytes(), 1, now), Ok(()));
                now += pause;
            }
            assert!(table.len() <= 320, "{}", table.len());
            assert!(table.len() >= 200, "{}", table.len());
        }
    }

    #[test]
    fn eighth_with_the_most_left_makes_room() {
        let of = Allowance::of(Rate::new(1, 50));
        for cost_of in [|client: u8| u32::from(client) + 1, |_| 1] {
            let mut shard = shard(16);
            for client in 0..16 {
                assert_eq!(
                    shard.take([client, 0], of, cost_of(client), Duration::ZERO),
                    Ok(())
                );
            }
            assert_eq!(shard.take([99, 0], of, 1, Duration::ZERO), Ok(()));
            let left: Vec<u8> = shard.buckets.keys().map(|[client, _]| *client).collect();
            assert_eq!(left, (2..16).chain([99]).collect::<Vec<_>>());
        }
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
            asks in prop::collection::vec((20_u64..100, 0_u8..40, 1_u32..3), 1..400),
        ) {
            // A bucket is full again after 200 ms, so at most ten of the forty are active.
            let of = Allowance::of(Rate::new(10, 2));
            let (mut bounded, mut endless) = (shard(16), shard(usize::MAX));
            let mut now = Duration::ZERO;
            for (pause_ms, client, cost) in asks {
                now += Duration::from_millis(pause_ms);
                let key = [client, 0];
                let expected = endless.take(key, of, cost, now);
                prop_assert_eq!(bounded.take(key, of, cost, now), expected);
                prop_assert!(bounded.buckets.len() <= 16);
            }
        }
    }
}
