//! One wheel for every timer of every session: heartbeats, hello, tokens, retries.
//!
//! An alarm names a session by its number and is looked up when it rings, so a session that is gone
//! costs nothing and a session that is idle has one alarm. Precision is a tick.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use infra_ports::Runtime;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::session::SessionId;

/// How exact alarms are.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// What a session is to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// Was the token brought?
    Hello,
    /// Is the peer alive?
    Heartbeat,
    /// Was what was pushed marked?
    Retry,
    /// Is the token's time over?
    Expiry,
}

/// Alarms by the tick at which they ring.
pub(crate) struct Wheel {
    slots: Mutex<BTreeMap<u128, Vec<(SessionId, Alarm)>>>,
    earlier: Notify,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self {
            slots: Mutex::default(),
            earlier: Notify::new(),
        }
    }

    /// Sets an alarm for a moment of the runtime's elapsed time; it rings then or up to a tick later.
    pub(crate) fn set(&self, at: Duration, session: SessionId, alarm: Alarm) {
        let tick = at.as_nanos().div_ceil(TICK.as_nanos());
        let mut slots = self.slots.lock();
        let is_first = slots
            .first_key_value()
            .is_none_or(|(first, _)| tick < *first);
        slots.entry(tick).or_default().push((session, alarm));
        drop(slots);
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// Takes what rings by now, in the order of its ticks.
    fn take_due(&self, now: Duration) -> Vec<(SessionId, Alarm)> {
        let last = now.as_nanos() / TICK.as_nanos();
        let mut slots = self.slots.lock();
        let later = slots.split_off(&(last + 1));
        let due = std::mem::replace(&mut *slots, later);
        due.into_values().flatten().collect()
    }

    fn next(&self) -> Option<Duration> {
        let slots = self.slots.lock();
        let (tick, _) = slots.first_key_value()?;
        let nanos = tick.saturating_mul(TICK.as_nanos());
        Some(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }

    /// Waits for the next alarms that ring. Cancel safe: what has not been answered still rings.
    pub(crate) async fn ring(&self, runtime: &Arc<dyn Runtime>) -> Vec<(SessionId, Alarm)> {
        loop {
            let now = runtime.elapsed();
            let due = self.take_due(now);
            if !due.is_empty() {
                return due;
            }
            let Some(next) = self.next() else {
                self.earlier.notified().await;
                continue;
            };
            let rest = runtime.sleep(next.saturating_sub(now));
            tokio::select! {
                biased;
                () = self.earlier.notified() => {}
                () = rest => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_ring_in_order_and_never_early() {
        let wheel = Wheel::new();
        let millis = Duration::from_millis;
        for (at, session) in [(950, 1), (310, 2), (305, 3)] {
            wheel.set(millis(at), SessionId(session), Alarm::Retry);
        }
        assert_eq!(wheel.next(), Some(millis(400)));
        assert!(wheel.take_due(millis(399)).is_empty());
        let rung: Vec<_> = wheel
            .take_due(millis(400))
            .iter()
            .map(|(id, _)| id.0)
            .collect();
        assert_eq!(rung, [2, 3]);
        let rung: Vec<_> = wheel
            .take_due(millis(5_000))
            .iter()
            .map(|(id, _)| id.0)
            .collect();
        assert_eq!(rung, [1]);
        assert_eq!(wheel.next(), None);
    }
}
