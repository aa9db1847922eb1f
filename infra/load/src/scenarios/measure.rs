//! One measured run of a fleet: what is sent and when, and what was found.

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cost::cpu_seconds;
use crate::fleet::drive::{Run, Shot, Until, What};
use crate::fleet::schedule::{Pace, sender};
use crate::fleet::tally::{Class, Latencies};
use crate::fleet::{Fleet, Nanos};
use crate::progress::Progress;

/// Bytes of a message's text.
pub const TEXT_BYTES: usize = 200;
/// After the last message, so long for everything to arrive and be marked.
const PATIENCE: Duration = Duration::from_secs(20);
/// Before the first message, so long to get ready.
const PREPARATION: Nanos = 50_000_000;
/// A rate is sustained when nothing was left over for longer than this after its end.
const LEFT_OVER: Nanos = 500_000_000;
/// And when so much of it arrived within its time.
const ARRIVED_SHARE: f64 = 0.98;

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Span {
    /// Unmeasured, in seconds.
    pub warm_up: f64,
    /// Measured, in seconds.
    pub seconds: f64,
}

/// When a run begins and what of it is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// The first message.
    pub begins: Nanos,
    /// What counts.
    pub measured: Range<Nanos>,
}

impl Times {
    /// From now on.
    #[must_use]
    pub fn from_now(fleet: &Fleet, span: Span) -> Self {
        let begins = fleet.now() + PREPARATION;
        let from = begins + nanos(span.warm_up);
        Self {
            begins,
            measured: from..from + nanos(span.seconds),
        }
    }

    /// Messages evenly spaced over the whole time, so many a second: the `n`-th is sent as this says.
    pub fn evenly(
        &self,
        per_second: u64,
        shot: impl Fn(u64) -> Shot,
    ) -> impl Iterator<Item = Shot> {
        let pace = Pace {
            begins: self.begins,
            per_second,
        };
        (0..pace.before(self.measured.end)).filter_map(move |n| {
            let due = pace.moment(n)?;
            Some(Shot { due, ..shot(n) })
        })
    }
}

/// Seconds as nanoseconds; too many are as many as there can be.
#[must_use]
pub fn nanos(seconds: f64) -> Nanos {
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

/// The `n`-th message comes from one of these sockets, into its first chat.
#[must_use]
pub fn from_any(n: u64, sockets: Range<usize>, class: usize) -> Shot {
    Shot {
        due: 0,
        from: sockets.start + sender(n, sockets.len()),
        view: 0,
        class,
        what: What::Message,
    }
}

/// Two plans as one, in the order of time.
pub fn merge(
    one: impl Iterator<Item = Shot>,
    other: impl Iterator<Item = Shot>,
) -> impl Iterator<Item = Shot> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(a), Some(b)) if b.due < a.due => other.next(),
        (Some(_), _) => one.next(),
        (None, _) => other.next(),
    })
}

/// What a run found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// Latencies and arrivals.
    pub classes: Vec<Class>,
    /// How long it was measured, in seconds.
    pub seconds: f64,
    /// Messages sent, the warm-up's among them.
    pub messages: usize,
    /// Messages refused.
    pub refused: usize,
    /// From the end of the time until the last arrival.
    pub left_over: Nanos,
    /// From the first message until the last arrival.
    pub lasted: Nanos,
    /// CPU time of the server for one message, in microseconds, where it is a process of ours.
    pub server_cpu_micros: Option<f64>,
    /// CPU time of the load program for one message, in microseconds.
    pub load_cpu_micros: f64,
    /// Marks that were sent.
    pub marks: usize,
    /// Of those, marks that were refused for the time being.
    pub marks_refused: usize,
}

impl Measured {
    /// Latencies from client to client.
    #[must_use]
    pub fn delivered(&self, class: usize) -> Quantiles {
        self.of(class, |class| &class.delivered)
    }

    /// Latencies until a message is durable.
    #[must_use]
    pub fn sent(&self, class: usize) -> Quantiles {
        self.of(class, |class| &class.sent)
    }

    /// Latencies until the last member has a message.
    #[must_use]
    pub fn complete(&self, class: usize) -> Quantiles {
        self.of(class, |class| &class.complete)
    }

    fn of(&self, class: usize, which: impl Fn(&Class) -> &Latencies) -> Quantiles {
        let found = self.classes.get(class).map(|class| which(class).into());
        found.unwrap_or_else(|| (&Latencies::default()).into())
    }

    /// Arrivals a second while it was measured.
    #[must_use]
    pub fn per_second(&self, class: usize) -> f64 {
        let arrivals = self.classes.get(class).map_or(0, |class| class.arrivals);
        arrivals as f64 / self.seconds
    }

    /// Adds what another process found in the same time; its server is the same one.
    pub fn join(&mut self, other: &Self) {
        for (class, more) in self.classes.iter_mut().zip(&other.classes) {
            class.join(more);
        }
        let cpu = |of: &Self| of.load_cpu_micros * of.messages as f64;
        let load_cpu = cpu(self) + cpu(other);
        self.messages += other.messages;
        self.load_cpu_micros = load_cpu / self.messages as f64;
        self.seconds = self.seconds.max(other.seconds);
        self.refused += other.refused;
        self.left_over = self.left_over.max(other.left_over);
        self.lasted = self.lasted.max(other.lasted);
        self.marks += other.marks;
        self.marks_refused += other.marks_refused;
    }

    /// True when this rate could have gone on: nothing was refused, all arrived while it lasted.
    #[must_use]
    pub fn is_sustained(&self, rate: u64) -> bool {
        let in_time = self.per_second(0) >= rate as f64 * ARRIVED_SHARE;
        self.refused == 0 && in_time && self.left_over <= LEFT_OVER
    }
}

/// Sends, and waits until all is settled.
///
/// # Errors
/// When a message is lost, repeated or swapped.
pub fn measure(
    fleet: &mut Fleet,
    name: &str,
    times: &Times,
    classes: usize,
    shots: impl Iterator<Item = Shot>,
    server: Option<u32>,
) -> anyhow::Result<Measured> {
    let used = || server.map(cpu_seconds).transpose();
    let own = || cpu_seconds(std::process::id());
    let (server_before, own_before) = (used()?, own()?);
    let (marks, messages) = (fleet.marks.count(), fleet.ledger.count());
    let (refused, marks_refused) = (fleet.ledger.refusals().0, fleet.marks.refusals());
    let progress = Progress::new(name, times.begins..times.measured.end);
    let run = Run {
        shots,
        text: "x".repeat(TEXT_BYTES),
        measured: times.measured.clone(),
        classes,
        patience: PATIENCE,
        until: Until::Settled,
    };
    fleet.run(run, &progress)?;
    fleet.close_books()?;
    let messages = fleet.ledger.count() - messages;
    let micros = |before: f64, after: f64| (after - before) * 1e6 / messages as f64;
    let server_cpu = server_before.zip(used()?);
    Ok(Measured {
        classes: std::mem::take(&mut fleet.tally.classes),
        seconds: (times.measured.end - times.measured.start) as f64 / 1e9,
        messages,
        refused: fleet.ledger.refusals().0 - refused,
        left_over: fleet.tally.last_arrival.saturating_sub(times.measured.end),
        lasted: fleet.tally.last_arrival.saturating_sub(times.begins),
        server_cpu_micros: server_cpu.map(|(before, after)| micros(before, after)),
        load_cpu_micros: micros(own_before, own()?),
        marks: fleet.marks.count() - marks,
        marks_refused: fleet.marks.refusals() - marks_refused,
    })
}

/// [`measure`], at a rate that must be taken: fails as well when something was refused.
///
/// # Errors
/// As [`measure`], or when something was refused.
pub fn measure_all(
    fleet: &mut Fleet,
    name: &str,
    times: &Times,
    classes: usize,
    shots: impl Iterator<Item = Shot>,
    server: Option<u32>,
) -> anyhow::Result<Measured> {
    let found = measure(fleet, name, times, classes, shots, server)?;
    let (refused, why) = fleet.ledger.refusals();
    anyhow::ensure!(
        found.refused == 0,
        "a failed run: {refused} messages were refused: {why}"
    );
    Ok(found)
}

/// Quantiles, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half of all are at or below.
    pub p50: f64,
    /// 90 of 100.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p999: f64,
    /// The slowest.
    pub most: f64,
    /// How many there are.
    pub count: u64,
}

impl From<&Latencies> for Quantiles {
    fn from(all: &Latencies) -> Self {
        Self {
            p50: all.micros(0.5),
            p90: all.micros(0.9),
            p99: all.micros(0.99),
            p999: all.micros(0.999),
            most: all.most_micros(),
            count: all.count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(due: Nanos) -> Shot {
        Shot {
            due,
            ..from_any(0, 0..1, 0)
        }
    }

    #[test]
    fn two_plans_become_one_in_the_order_of_time() {
        let merged = merge([1, 4, 4].map(at).into_iter(), [2, 4, 9].map(at).into_iter());
        let times: Vec<_> = merged.map(|shot| shot.due).collect();
        assert_eq!(times, [1, 2, 4, 4, 4, 9]);
    }

    #[test]
    fn messages_are_spread_over_warm_up_and_measure() {
        let times = Times {
            begins: 100,
            measured: 1_000_000_100..3_000_000_100,
        };
        let shots: Vec<_> = times.evenly(2, |n| from_any(n, 0..2, 0)).collect();
        let due: Vec<_> = shots.iter().map(|shot| shot.due).collect();
        assert_eq!(due.len(), 6);
        assert_eq!((due[0], due[5]), (100, 2_500_000_100));
        assert_eq!(shots.iter().filter(|shot| shot.from == 1).count(), 3);
    }

    #[test]
    fn a_rate_is_sustained_when_all_of_it_arrived_in_its_time() {
        let class = Class {
            arrivals: 990,
            ..Class::default()
        };
        let found = Measured {
            classes: vec![class],
            seconds: 1.0,
            messages: 1_000,
            refused: 0,
            left_over: 0,
            lasted: 0,
            server_cpu_micros: None,
            load_cpu_micros: 0.0,
            marks: 0,
            marks_refused: 0,
        };
        assert!(found.is_sustained(1_000) && !found.is_sustained(1_100));
        let refused = Measured {
            refused: 1,
            ..found.clone()
        };
        let late = Measured {
            left_over: LEFT_OVER + 1,
            ..found
        };
        assert!(!refused.is_sustained(1_000) && !late.is_sustained(1_000));
    }
}
