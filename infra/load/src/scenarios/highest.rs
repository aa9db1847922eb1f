//! The highest rate of one-to-one messages: found in steps, each an open loop of its own. At a rate
//! that is sustained everything arrives while it lasts, nothing is refused, and everything is marked.
//! A step that fails is tried once more: one hiccup of a shared disk says nothing about a rate.

use super::cast::bare;
use super::measure::{Span, Times, from_any, measure};
use super::one_to_one::pairs;
use super::stage::Stage;
use crate::fleet::Fleet;

/// How long a step is.
pub const STEP: Span = Span {
    warm_up: 0.4,
    seconds: 1.6,
};
/// What counts as swift: a p99 below 10 ms, in microseconds.
const SWIFT: f64 = 10_000.0;
/// From one step to the next while they go well, in percent.
const GROWTH: u64 = 140;
/// A pair of rates as near as this is not halved any more, in percent.
const NEAR: u64 = 108;
/// The most steps of a search.
const MOST_STEPS: usize = 20;

/// One step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Messages a second.
    pub rate: u64,
    /// Whether it was sustained.
    pub is_sustained: bool,
    /// The p99, in microseconds.
    pub p99: f64,
}

impl Step {
    fn is_swift(&self) -> bool {
        self.is_sustained && self.p99 < SWIFT
    }
}

/// The steps of a search, by rate.
#[derive(Debug, Clone, Default)]
pub struct Steps(pub Vec<Step>);

impl Steps {
    /// The highest sustained rate; 0 when none was.
    #[must_use]
    pub fn sustained(&self) -> u64 {
        self.highest(|step| step.is_sustained)
    }

    /// The highest rate with a p99 below 10 ms; 0 when none had.
    #[must_use]
    pub fn swift(&self) -> u64 {
        self.highest(Step::is_swift)
    }

    fn highest(&self, good: impl Fn(&Step) -> bool) -> u64 {
        let rates = self.0.iter().filter(|step| good(step)).map(|s| s.rate);
        rates.max().unwrap_or(0)
    }

    /// Between the highest good rate and the lowest bad one above it, unless they are near.
    fn between(&self, good: impl Fn(&Step) -> bool) -> Option<u64> {
        let low = self.highest(&good);
        let above = |step: &&Step| step.rate > low && !good(step);
        let high = self.0.iter().filter(above).map(|step| step.rate).min()?;
        (high * 100 > low * NEAR).then(|| u64::midpoint(low, high))
    }

    /// The next rate to try: upwards until one is not sustained, then between good and bad.
    fn next(&self, first: u64, swift_too: bool) -> Option<u64> {
        let highest = self.0.iter().map(|step| step.rate).max();
        match highest {
            None => Some(first),
            Some(_) if self.0.len() >= MOST_STEPS => None,
            Some(highest) if self.sustained() == highest => Some(highest * GROWTH / 100),
            Some(_) => {
                let swift = self.between(Step::is_swift).filter(|_| swift_too);
                self.between(|step| step.is_sustained).or(swift)
            }
        }
    }
}

/// A step, and once more when it was not as good as it can be: the better of the two.
fn twice_at_most(
    rate: u64,
    swift_too: bool,
    step: &mut impl FnMut(u64) -> anyhow::Result<Step>,
) -> anyhow::Result<Step> {
    let first = step(rate)?;
    if first.is_swift() || (first.is_sustained && !swift_too) {
        return Ok(first);
    }
    let second = step(rate)?;
    let is_better = match (first.is_sustained, second.is_sustained) {
        (true, true) => second.p99 < first.p99,
        (was, is) => is && !was,
    };
    Ok(if is_better { second } else { first })
}

/// Searches from a first rate on; where told to, also for the highest with a p99 below 10 ms.
///
/// # Errors
/// When a step loses, repeats or swaps a message.
pub fn search(
    first: u64,
    swift_too: bool,
    mut step: impl FnMut(u64) -> anyhow::Result<Step>,
) -> anyhow::Result<Steps> {
    let mut steps = Steps::default();
    while let Some(rate) = steps.next(first, swift_too).filter(|rate| *rate > 0) {
        steps.0.push(twice_at_most(rate, swift_too, &mut step)?);
    }
    steps.0.sort_by_key(|step| step.rate);
    Ok(steps)
}

/// The highest rates of a node, over so many sockets.
///
/// # Errors
/// As [`search`].
pub fn of_node(stage: &Stage, sockets: usize, first: u64) -> anyhow::Result<Steps> {
    let mut fleet = pairs(stage, sockets)?;
    search(first, true, |rate| at(&mut fleet, "a node", rate))
}

/// The highest rate of a bare echo, over so many sockets.
///
/// # Errors
/// As [`search`].
pub fn of_echo(stage: &Stage, sockets: usize, first: u64) -> anyhow::Result<Steps> {
    let echo = stage.echo()?;
    let mut fleet = bare(echo.address, sockets, 1)?;
    search(first, false, |rate| at(&mut fleet, "a bare echo", rate))
}

fn at(fleet: &mut Fleet, name: &str, rate: u64) -> anyhow::Result<Step> {
    let (times, all) = (Times::from_now(fleet, STEP), 0..fleet.len());
    let shots = times.evenly(rate, |n| from_any(n, all.clone(), 0));
    let name = format!("{name} at {rate}/s");
    let found = measure(fleet, &name, &times, 1, shots, None)?;
    Ok(Step {
        rate,
        is_sustained: found.is_sustained(rate),
        p99: found.delivered(0).p99,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that can so much, and is swift up to there.
    fn search_one(first: u64, can: u64, swift: u64) -> (Steps, usize) {
        let mut steps = 0;
        let found = search(first, true, |rate| {
            steps += 1;
            Ok(Step {
                rate,
                is_sustained: rate <= can,
                p99: if rate <= swift { 1_000.0 } else { 50_000.0 },
            })
        });
        (found.unwrap(), steps)
    }

    #[test]
    fn both_rates_are_found_from_below_and_from_above() {
        for first in [1_000, 20_000, 90_000, 400_000] {
            let (found, steps) = search_one(first, 50_000, 20_000);
            assert!(found.sustained() <= 50_000 && found.sustained() * 100 > 50_000 * 92);
            assert!(found.swift() <= 20_000 && found.swift() * 100 > 20_000 * 90);
            assert!(steps <= 2 * MOST_STEPS, "{steps} from {first}");
        }
    }

    #[test]
    fn a_rate_is_given_up_only_when_it_fails_twice() {
        let mut tried = std::collections::BTreeMap::new();
        let found = search(1_000, true, |rate| {
            let times = tried.entry(rate).or_insert(0);
            *times += 1;
            Ok(Step {
                rate,
                // The first try of each rate meets a hiccup.
                is_sustained: rate <= 50_000 && *times == 2,
                p99: 1_000.0,
            })
        });
        let found = found.unwrap();
        assert!(found.sustained() <= 50_000 && found.sustained() * 100 > 50_000 * 92);
        assert_eq!(found.swift(), found.sustained());
        assert!(tried.values().all(|times| *times == 2), "{tried:?}");
    }

    #[test]
    fn what_can_nothing_ends_as_well() {
        let (found, steps) = search_one(1_000, 0, 0);
        assert_eq!((found.sustained(), found.swift()), (0, 0));
        assert!(steps <= 2 * MOST_STEPS);
    }
}
