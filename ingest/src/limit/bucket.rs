//! One allowance: a token bucket kept as a single number.
//!
//! The generic cell rate algorithm (ITU-T I.371): `full_at` is the moment at which the bucket is full
//! again. Taking `cost` moves it `cost` intervals on; it must not move further ahead of now than a
//! whole burst. A bucket with `full_at <= now` is like one never used, so forgetting it is harmless.

use std::time::Duration;

use crate::config::Rate;

/// Nanoseconds of the runtime's elapsed time.
type Nanos = u64;

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    interval: Nanos,
    burst: u32,
}

impl Allowance {
    /// The allowance of a configured rate.
    pub(super) fn of(rate: Rate) -> Self {
        let interval = 1_000_000_000 / u64::from(rate.per_second.get());
        Self {
            interval: interval.max(1),
            burst: rate.burst.get(),
        }
    }

    fn span(&self, count: u32) -> Nanos {
        self.interval.saturating_mul(u64::from(count))
    }
}

/// What one client has used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bucket {
    full_at: Nanos,
}

impl Bucket {
    /// Takes `cost`, or changes nothing and says how long to wait. A cost over the whole burst is
    /// taken as a whole burst, else it could never be paid.
    pub(super) fn take(&mut self, of: Allowance, cost: u32, now: Duration) -> Result<(), Duration> {
        let now = nanos(now);
        let full_at = self
            .full_at
            .max(now)
            .saturating_add(of.span(cost.min(of.burst)));
        match (full_at - now).checked_sub(of.span(of.burst)) {
            None | Some(0) => {
                self.full_at = full_at;
                Ok(())
            }
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }
}

fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// In no window of time is more admitted than a burst and what fills meanwhile.
        #[test]
        fn never_more_than_burst_and_rate(
            per_second in 1_u32..2_000,
            burst in 1_u32..50,
            asks in prop::collection::vec((0_u64..20_000_000, 1_u32..4), 1..200),
        ) {
            let of = Allowance::of(Rate::new(per_second, burst));
            let (mut bucket, mut now) = (Bucket::default(), 0_u64);
            let mut admitted: Vec<(u64, u32)> = Vec::new();
            for (pause, cost) in asks {
                now += pause;
                if bucket.take(of, cost, Duration::from_nanos(now)).is_ok() {
                    admitted.push((now, cost.min(burst)));
                }
            }
            for (i, (start, _)) in admitted.iter().enumerate() {
                let mut sum = 0_u64;
                for (at, cost) in &admitted[i..] {
                    sum += u64::from(*cost);
                    let filled = (at - start) / of.interval;
                    prop_assert!(sum <= u64::from(burst) + filled + 1, "{sum} in {}", at - start);
                }
            }
        }

        /// The wait that a refusal names is enough, and one nanosecond less is not.
        #[test]
        fn wait_is_exact(per_second in 1_u32..5_000, burst in 1_u32..20, cost in 1_u32..20) {
            let of = Allowance::of(Rate::new(per_second, burst));
            let mut bucket = Bucket::default();
            let now = Duration::from_secs(7);
            while bucket.take(of, 1, now).is_ok() {}
            let wait = bucket.take(of, cost, now).unwrap_err();
            let before = bucket;
            prop_assert!(bucket.take(of, cost, now + wait - Duration::from_nanos(1)).is_err());
            prop_assert_eq!(bucket, before, "a refusal costs nothing");
            prop_assert!(bucket.take(of, cost, now + wait).is_ok());
        }
    }

    #[test]
    fn bucket_fills_up_to_a_burst_and_not_beyond() {
        let of = Allowance::of(Rate::new(10, 3));
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(of, 3, Duration::from_secs(1)), Ok(()));
        assert!(bucket.take(of, 3, Duration::from_millis(1_299)).is_err());
        assert_eq!(bucket.take(of, 3, Duration::from_secs(9)), Ok(()));
        assert!(bucket.take(of, 1, Duration::from_secs(9)).is_err());
    }
}
