//! Arrival times fixed in advance: an open loop. A message that leaves late is late from the moment
//! at which it should have left, whatever kept it.

use super::Nanos;

const SECOND: u128 = 1_000_000_000;

/// Evenly spaced moments from a beginning, so many a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The first moment.
    pub begins: Nanos,
    /// Moments a second; none where it is 0.
    pub per_second: u64,
}

impl Pace {
    /// The moment of the `n`-th arrival, from 0. Computed anew each time, so errors do not add up.
    /// None when there are no arrivals.
    #[must_use]
    pub fn moment(self, n: u64) -> Option<Nanos> {
        let after = (u128::from(n) * SECOND).checked_div(u128::from(self.per_second))?;
        Nanos::try_from(u128::from(self.begins) + after).ok()
    }

    /// How many arrivals lie before a moment.
    #[must_use]
    pub fn before(self, end: Nanos) -> u64 {
        let span = u128::from(end.saturating_sub(self.begins));
        u64::try_from((span * u128::from(self.per_second)).div_ceil(SECOND)).unwrap_or(u64::MAX)
    }
}

/// Who sends the `n`-th message when everybody has the same share: a walk over all of them in steps
/// of a prime, so that neighbours in time are strangers.
#[must_use]
pub fn sender(n: u64, of: usize) -> usize {
    const PRIME: u128 = 7_919;
    let of = of.max(1) as u128;
    let stride = if of.is_multiple_of(PRIME) { 1 } else { PRIME };
    usize::try_from(u128::from(n) * stride % of).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_keep_their_rate_for_ever() {
        let pace = Pace {
            begins: 5,
            per_second: 3,
        };
        assert_eq!(pace.moment(0), Some(5));
        assert_eq!(pace.moment(3), Some(1_000_000_005));
        assert_eq!(pace.moment(3 * 86_400), Some(86_400 * 1_000_000_000 + 5));
        assert_eq!(pace.before(1_000_000_005), 3);
        assert_eq!(pace.before(1_000_000_006), 4);
        let never = Pace {
            begins: 0,
            per_second: 0,
        };
        assert_eq!((never.moment(0), never.before(1 << 40)), (None, 0));
    }

    #[test]
    fn everybody_sends_equally_often() {
        for of in [2, 3, 100, 1_000, 7_919] {
            let mut times = vec![0; of];
            (0..of as u64 * 7).for_each(|n| times[sender(n, of)] += 1);
            assert!(times.iter().all(|t| *t == 7), "{of}");
        }
    }
}
