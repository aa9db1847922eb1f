//! Rates shared by all who name the same key, and what holds of them while the registry is gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::SessionRegistry;
use crate::runtime::Runtime;

/// How long a registry that failed is not asked for rates: nobody waits for it meanwhile.
const PAUSE: Duration = Duration::from_secs(1);
/// Keys kept at most before those whose allowance is full are forgotten.
const MAX_KEYS: usize = 65_536;

/// How fast an allowance fills and how much it holds; neither is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Filled each second; 0 counts as 1.
    pub per_second: u32,
    /// Held at most; 0 counts as 1.
    pub burst: u32,
}

impl Rate {
    /// Microseconds in which one is filled.
    #[must_use]
    pub fn interval_us(self) -> u64 {
        (1_000_000 / u64::from(self.per_second.max(1))).max(1)
    }
}

/// Whether something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Now.
    Yes,
    /// Not before so long; nothing was spent.
    After(Duration),
}

/// One allowance as a single number (the generic cell rate algorithm, ITU-T I.371): the moment, in
/// microseconds, at which it is full again. One whose moment is past is like one never used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at_us: u64,
}

impl Bucket {
    /// Spends, or changes nothing and says how long to wait.
    pub fn spend(&mut self, rate: Rate, cost: u32, now_us: u64) -> Allowed {
        let (interval, burst) = (rate.interval_us(), rate.burst.max(1));
        let taken = interval.saturating_mul(u64::from(cost.min(burst)));
        let full_at = self.full_at_us.max(now_us).saturating_add(taken);
        let ahead = full_at.saturating_sub(now_us);
        match ahead.saturating_sub(interval.saturating_mul(u64::from(burst))) {
            0 => {
                self.full_at_us = full_at;
                Allowed::Yes
            }
            wait => Allowed::After(Duration::from_micros(wait)),
        }
    }
}

/// Allowances by key, as many as are in use.
#[derive(Debug, Default)]
pub struct Buckets {
    /// Looked up only; walked to forget those that are full, whatever their order.
    by_key: HashMap<String, Bucket, ahash::RandomState>,
}

impl Buckets {
    /// Spends of the allowance of a key.
    pub fn spend(&mut self, key: &str, rate: Rate, cost: u32, now_us: u64) -> Allowed {
        if self.by_key.len() >= MAX_KEYS {
            self.by_key.retain(|_, bucket| bucket.full_at_us > now_us);
        }
        let bucket = self.by_key.entry(key.to_owned()).or_default();
        bucket.spend(rate, cost, now_us)
    }
}

/// Rates shared through the registry; while it is gone each process keeps the same rates by itself,
/// so that in all at most as many times as much is let through as there are processes.
pub struct SharedLimits {
    registry: Arc<dyn SessionRegistry>,
    runtime: Arc<dyn Runtime>,
    own: Mutex<Own>,
}

#[derive(Default)]
struct Own {
    buckets: Buckets,
    /// The registry is asked again from this moment on.
    ask_from: Duration,
}

impl SharedLimits {
    /// Over a registry.
    #[must_use]
    pub fn new(registry: Arc<dyn SessionRegistry>, runtime: Arc<dyn Runtime>) -> Self {
        Self {
            registry,
            runtime,
            own: Mutex::default(),
        }
    }

    /// Spends of the allowance of a key; answered by the registry, or here when it does not answer.
    /// After a failure the registry is left alone for a second.
    pub async fn spend(&self, key: &str, rate: Rate, cost: u32) -> Allowed {
        let asks = self.own.lock().ask_from <= self.runtime.elapsed();
        if asks {
            match self.registry.spend(key, rate, cost).await {
                Ok(allowed) => return allowed,
                Err(error) => {
                    tracing::warn!(%error, "rates are kept by this process alone for a while");
                    self.own.lock().ask_from = self.runtime.elapsed() + PAUSE;
                }
            }
        }
        let now_us = u64::try_from(self.runtime.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.own.lock().buckets.spend(key, rate, cost, now_us)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memory::{Chances, Executor, MemoryRegistry, Node};

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 3,
    };

    proptest! {
        #[test]
        fn never_more_than_a_burst_and_what_fills_meanwhile(
            asks in prop::collection::vec((0_u64..300_000, 1_u32..4), 1..100),
        ) {
            let (mut bucket, mut now, mut spent) = (Bucket::default(), 0, 0);
            for (pause, cost) in asks {
                now += pause;
                match bucket.spend(RATE, cost, now) {
                    Allowed::Yes => spent += u64::from(cost),
                    Allowed::After(wait) => {
                        let then = now + u64::try_from(wait.as_micros()).unwrap();
                        prop_assert_eq!(bucket.clone().spend(RATE, cost, then), Allowed::Yes);
                    }
                }
                prop_assert!(spent <= 3 + now / 100_000 + 1);
            }
        }
    }

    #[test]
    fn keys_that_are_full_again_are_forgotten() {
        let mut buckets = Buckets::default();
        for n in 0..MAX_KEYS {
            buckets.spend(&n.to_string(), RATE, 1, 0);
        }
        buckets.spend("one more", RATE, 1, 1_000_000);
        assert_eq!(buckets.by_key.len(), 1);
    }

    #[test]
    fn while_the_registry_is_gone_each_process_keeps_the_rate_by_itself() {
        let mut executor = Executor::seeded(1, Chances::CALM);
        let runtime: Arc<dyn Runtime> = Arc::new(executor.runtime(Node(1)));
        let registry = MemoryRegistry::new(Arc::clone(&runtime));
        let limits =
            [(); 2].map(|()| SharedLimits::new(Arc::new(registry.clone()), Arc::clone(&runtime)));
        let test = async move {
            for turn in 0..4 {
                let allowed = limits[turn % 2].spend("ada", RATE, 1).await;
                assert_eq!(allowed == Allowed::Yes, turn < 3, "one rate for both");
            }
            registry.set_gone(true);
            for limits in &limits {
                for turn in 0..4 {
                    let allowed = limits.spend("ada", RATE, 1).await;
                    assert_eq!(allowed == Allowed::Yes, turn < 3, "the same rate for each");
                }
            }
            registry.set_gone(false);
            runtime.sleep(PAUSE).await;
            for turn in 0..4 {
                let allowed = limits[turn % 2].spend("ada", RATE, 1).await;
                assert_eq!(allowed == Allowed::Yes, turn < 3, "shared again");
            }
        };
        executor.block_on(Node(1), test).unwrap();
    }
}
