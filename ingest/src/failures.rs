//! Appends that the log refused, topic by topic: whether what people send is taken at the moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemas::topics::Topic;

use crate::accept::APPENDED_TO;

/// The last refusal of each topic that nothing accepted has followed yet.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// Milliseconds of the runtime's elapsed time, plus one; 0 when all is well.
    at_ms: [AtomicU64; APPENDED_TO.len()],
}

impl Failures {
    /// An append was refused or taken.
    pub(crate) fn note(&self, topic: Topic, failed: bool, now: Duration) {
        let place = APPENDED_TO.iter().position(|known| *known == topic);
        let Some(known) = place.and_then(|place| self.at_ms.get(place)) else {
            return;
        };
        if failed {
            let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
            known.store(now.saturating_add(1), Ordering::Relaxed);
        } else if known.load(Ordering::Relaxed) != 0 {
            known.store(0, Ordering::Relaxed);
        }
    }

    /// When the last one was.
    pub(crate) fn last(&self) -> Option<Duration> {
        let all = self.at_ms.iter().map(|at| at.load(Ordering::Relaxed));
        let last = all.max().and_then(|last| last.checked_sub(1));
        last.map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_over_when_the_same_topic_takes_something() {
        let (failures, second) = (Failures::default(), Duration::from_secs(1));
        assert_eq!(failures.last(), None);
        failures.note(Topic::Chats, true, second);
        failures.note(Topic::Receipts, false, second * 2);
        assert_eq!(failures.last(), Some(second));
        failures.note(Topic::Receipts, true, second * 2);
        failures.note(Topic::Chats, false, second * 3);
        assert_eq!(failures.last(), Some(second * 2));
    }
}
