//! When the committer lets a moment pass before it commits: because more appends are on their way.
//!
//! Whoever is answered often comes back at once, and many that begin together do not come in one
//! moment. The first of them wakes the committer; committed alone, it would make all others wait
//! for two fdatasyncs instead of one. So after a commit of several appends the committer waits for
//! as many again, as long as they keep coming, and for no longer than a part of an fdatasync. One that
//! appends alone never waits for anybody, and a wait that was in vain is not soon tried again.

use std::time::{Duration, Instant};

/// Of an fdatasync: as long as that nobody came, nobody comes.
const SILENCE: u32 = 8;
/// Of an fdatasync: no wait is longer.
const PATIENCE: u32 = 2;
/// After waits in vain, at most so many commits go without one.
const MOST_SKIPPED: u32 = 255;
/// However slow the disk is.
const LONGEST: Duration = Duration::from_micros(500);

/// What the last commits say about the next one.
#[derive(Default)]
pub(crate) struct Crowd {
    /// Appends in the last commit.
    last: usize,
    /// What an fdatasync takes, as of late.
    sync: Duration,
    /// Commits that go without a wait.
    skip: u32,
    /// How many they are after the next wait in vain.
    next_skip: u32,
}

impl Crowd {
    /// Takes note of a commit.
    pub(crate) fn committed(&mut self, appends: usize, sync: Duration) {
        self.last = appends;
        self.sync = (self.sync * 7 + sync) / 8;
    }

    /// A wait for more than those who are here, if it promises something.
    pub(crate) fn gather(&mut self, here: usize, now: Instant) -> Option<Gathering> {
        if here >= self.last || self.sync.is_zero() {
            return None;
        }
        if let Some(skip) = self.skip.checked_sub(1) {
            self.skip = skip;
            return None;
        }
        Some(Gathering {
            begun: now,
            first: here,
            here,
            last_came: now,
            expected: self.last,
            silence: (self.sync / SILENCE).min(LONGEST),
            patience: (self.sync / PATIENCE).min(LONGEST),
        })
    }

    /// Takes note of how a wait ended.
    pub(crate) fn gathered(&mut self, gathering: &Gathering) {
        let came = gathering.here - gathering.first;
        let missed = gathering.expected.saturating_sub(gathering.here);
        self.next_skip = if came >= missed {
            0
        } else {
            (self.next_skip * 2 + 1).min(MOST_SKIPPED)
        };
        self.skip = self.next_skip;
    }
}

/// A wait for more.
pub(crate) struct Gathering {
    begun: Instant,
    first: usize,
    here: usize,
    last_came: Instant,
    expected: usize,
    silence: Duration,
    patience: Duration,
}

impl Gathering {
    /// Whether to wait on, with so many here now.
    pub(crate) fn goes_on(&mut self, here: usize, now: Instant) -> bool {
        if here > self.here {
            self.here = here;
            self.last_came = now;
        }
        self.here < self.expected
            && now.duration_since(self.last_came) < self.silence
            && now.duration_since(self.begun) < self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_micros(800);

    fn after(commits: &[usize]) -> Crowd {
        let mut crowd = Crowd::default();
        for appends in commits {
            crowd.committed(*appends, SYNC * 8);
        }
        crowd.sync = SYNC;
        crowd
    }

    #[test]
    fn one_that_appends_alone_never_waits() {
        let now = Instant::now();
        assert!(Crowd::default().gather(1, now).is_none());
        assert!(after(&[1, 1, 1]).gather(1, now).is_none());
        assert!(after(&[64]).gather(64, now).is_none(), "all are here");
    }

    #[test]
    fn after_many_as_many_are_waited_for_while_they_keep_coming() {
        let now = Instant::now();
        let mut crowd = after(&[64]);
        let mut gathering = crowd.gather(1, now).unwrap();
        for (here, at) in [(1, 50), (20, 90), (40, 180), (63, 270)] {
            assert!(gathering.goes_on(here, now + Duration::from_micros(at)));
        }
        assert!(!gathering.goes_on(64, now + Duration::from_micros(280)));
        crowd.gathered(&gathering);
        assert!(crowd.gather(1, now).is_some(), "it was worth it");
    }

    #[test]
    fn silence_and_half_an_fdatasync_end_a_wait() {
        let now = Instant::now();
        let mut gathering = after(&[64]).gather(1, now).unwrap();
        assert!(gathering.goes_on(1, now + SYNC / 8 - Duration::from_micros(1)));
        assert!(!gathering.goes_on(1, now + SYNC / 8));
        let mut gathering = after(&[64]).gather(1, now).unwrap();
        for step in 1..10 {
            assert!(gathering.goes_on(1 + step, now + SYNC / 20 * u32::try_from(step).unwrap()));
        }
        assert!(!gathering.goes_on(11, now + SYNC / 2));
    }

    #[test]
    fn waits_in_vain_become_rare() {
        let now = Instant::now();
        let mut crowd = after(&[2]);
        let mut waits = 0;
        for _ in 0..1000 {
            if let Some(mut gathering) = crowd.gather(1, now) {
                assert!(!gathering.goes_on(1, now + SYNC));
                crowd.gathered(&gathering);
                waits += 1;
            }
        }
        assert!((5..15).contains(&waits), "{waits}");
    }
}
