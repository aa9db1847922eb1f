//! The sweep: a calm run again and again, each time with one single fault somewhere else.

use std::collections::BTreeMap;

use infra_ports::memory::runtime::{ChoiceKey, Choices, Kind};

use super::{Failure, Keep, Plan, run};

/// How long a delayed point waits in a sweep, in milliseconds.
const DELAY_MS: u32 = 700;
/// The most values of one effect that are tried.
const EFFECTS: u32 = 4;

/// A single fault that breaks a promise.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where.
    pub key: ChoiceKey,
    /// Which of the ways on.
    pub value: u32,
    /// What it breaks.
    pub failure: Failure,
}

/// Runs a plan once for each fault that could befall its calm run: a crash, a delay and every effect
/// at each point. Of all these every `nth` only. Returns how many runs that were, and what was found.
#[must_use]
pub fn sweep(plan: &Plan, nth: usize) -> (usize, Vec<Found>) {
    let keep = Keep {
        told: false,
        asked: true,
    };
    let calm = run(plan, Choices::replayed(plan.seed, BTreeMap::new()), keep);
    let faults = calm.asked.iter().flat_map(|(key, options)| {
        let last = match key.kind {
            Kind::Crash => 1,
            Kind::Effect => (*options).min(EFFECTS) - 1,
            Kind::Delay => DELAY_MS,
            Kind::Order | Kind::Yield => 0,
        };
        let first = if key.kind == Kind::Delay { DELAY_MS } else { 1 };
        (first..=last).map(|value| (*key, value))
    });
    let faults: Vec<(ChoiceKey, u32)> = faults.step_by(nth.max(1)).collect();
    let runs = faults.len();
    let found = faults.into_iter().filter_map(|(key, value)| {
        let choices = Choices::replayed(plan.seed, BTreeMap::from([(key, value)]));
        let failure = run(plan, choices, Keep::default()).failure?;
        Some(Found {
            key,
            value,
            failure,
        })
    });
    (runs, found.collect())
}
