//! What a run measured: latencies by class, and what arrived while it was measured.

use std::ops::Range;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::Nanos;

/// Latencies up to two minutes, to three digits. Between processes: values and how often.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "Vec<(Nanos, u64)>", from = "Vec<(Nanos, u64)>")]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        let bounds = Histogram::new_with_bounds(1, 120_000_000_000, 3);
        Self(bounds.expect("the bounds are in order and the digits few"))
    }
}

impl Latencies {
    /// Adds one; more than two minutes count as two minutes.
    pub fn record(&mut self, nanos: Nanos) {
        self.0.saturating_record(nanos.max(1));
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that this share of all is at or below, in microseconds. 0 when there is none.
    #[must_use]
    pub fn micros(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1_000.0
    }

    /// The largest, in microseconds.
    #[must_use]
    pub fn most_micros(&self) -> f64 {
        self.0.max() as f64 / 1_000.0
    }

    /// Adds all of another.
    pub fn join(&mut self, other: &Self) {
        // All have the same bounds, so everything fits.
        let _ = self.0.add(&other.0);
    }
}

impl From<Latencies> for Vec<(Nanos, u64)> {
    fn from(all: Latencies) -> Self {
        let recorded = all.0.iter_recorded();
        recorded
            .map(|some| (some.value_iterated_to(), some.count_at_value()))
            .collect()
    }
}

impl From<Vec<(Nanos, u64)>> for Latencies {
    fn from(all: Vec<(Nanos, u64)>) -> Self {
        let mut latencies = Self::default();
        for (nanos, times) in all {
            latencies.0.saturating_record_n(nanos.max(1), times);
        }
        latencies
    }
}

/// Latencies of one class of messages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Class {
    /// From when a message should have been sent until another member has it.
    pub delivered: Latencies,
    /// Until its author knows that it is durable.
    pub sent: Latencies,
    /// Until the last member has it.
    pub complete: Latencies,
    /// Arrivals at other members while it was measured, whenever sent.
    pub arrivals: u64,
}

impl Class {
    /// Adds what another process found.
    pub fn join(&mut self, other: &Self) {
        self.delivered.join(&other.delivered);
        self.sent.join(&other.sent);
        self.complete.join(&other.complete);
        self.arrivals += other.arrivals;
    }
}

/// What is measured, and when.
#[derive(Debug, Default)]
pub struct Tally {
    /// Messages that should have been sent in here count.
    pub measured: Range<Nanos>,
    /// By class.
    pub classes: Vec<Class>,
    /// The last arrival.
    pub last_arrival: Nanos,
    /// The last socket that became live.
    pub last_live: Nanos,
    /// Entries that came as what was missed.
    pub missed: usize,
}

impl Tally {
    /// Begins anew with so many classes.
    pub fn begin(&mut self, measured: Range<Nanos>, classes: usize) {
        self.measured = measured;
        self.classes = vec![Class::default(); classes];
        self.last_arrival = 0;
        self.missed = 0;
    }

    /// Another member has a message.
    pub fn delivered(&mut self, now: Nanos, class: usize, due: Nanos) {
        self.last_arrival = now;
        let Some(class) = self.classes.get_mut(class) else {
            return;
        };
        if self.measured.contains(&now) {
            class.arrivals += 1;
        }
        if self.measured.contains(&due) {
            class.delivered.record(now.saturating_sub(due));
        }
    }

    /// The last member has a message.
    pub fn complete(&mut self, now: Nanos, class: usize, due: Nanos) {
        if self.measured.contains(&due)
            && let Some(class) = self.classes.get_mut(class)
        {
            class.complete.record(now.saturating_sub(due));
        }
    }

    /// So many entries came as what was missed.
    pub fn caught_up(&mut self, now: Nanos, entries: usize) {
        self.missed += entries;
        self.last_arrival = now;
    }

    /// An author knows that a message is durable.
    pub fn sent(&mut self, now: Nanos, class: usize, due: Nanos) {
        if self.measured.contains(&due)
            && let Some(class) = self.classes.get_mut(class)
        {
            class.sent.record(now.saturating_sub(due));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_counts_from_when_a_message_should_have_left_and_only_while_it_is_measured() {
        let mut tally = Tally::default();
        tally.begin(1_000..2_000, 1);
        for (now, due) in [(1_500, 900), (2_500, 1_500), (1_900, 1_400), (3_000, 2_000)] {
            tally.delivered(now, 0, due);
        }
        let class = &tally.classes[0];
        assert_eq!((class.delivered.count(), class.arrivals), (2, 2));
        assert!((class.delivered.most_micros() - 1.0).abs() < 0.01);
        assert_eq!(tally.last_arrival, 3_000);
    }

    #[test]
    fn quantiles_are_in_microseconds_and_join() {
        let (mut a, mut b) = (Latencies::default(), Latencies::default());
        (1..=99).for_each(|_| a.record(100_000));
        b.record(9_000_000);
        a.join(&b);
        assert_eq!(a.count(), 100);
        let told = serde_json::to_string(&a).unwrap();
        let a: Latencies = serde_json::from_str(&told).unwrap();
        assert_eq!(a.count(), 100, "as another process tells it");
        assert!((a.micros(0.5) - 100.0).abs() < 0.2);
        assert!((a.micros(0.999) - 9_000.0).abs() < 10.0);
        assert!(Latencies::default().micros(0.5).abs() < f64::EPSILON);
    }
}
