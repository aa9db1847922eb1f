//! How long it took until messages flowed again, by what was hit.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::{Hit, Round, kind};

/// The rounds in which one kind of victim was hit in one way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Times {
    /// `gateway`, `kafka` …
    pub victim: String,
    /// How it was hit.
    pub hit: Hit,
    /// How often.
    pub rounds: usize,
    /// How long it was gone: half of the times at most, and the longest. In milliseconds, as all here.
    pub gone_ms: [u64; 2],
    /// The longest time in a round in which somebody heard nothing.
    pub silence_ms: [u64; 2],
    /// From its return until everybody hears what is said then.
    pub flows_ms: [u64; 2],
}

/// A line for each kind and way, in order.
pub fn times(rounds: &[Round]) -> Vec<Times> {
    let mut by: BTreeMap<(&str, Hit), Vec<&Round>> = BTreeMap::new();
    for round in rounds {
        let of = by.entry((kind(&round.victim), round.hit)).or_default();
        of.push(round);
    }
    let line = |((victim, hit), rounds): ((&str, Hit), Vec<&Round>)| Times {
        victim: victim.to_owned(),
        hit,
        rounds: rounds.len(),
        gone_ms: spread(rounds.iter().map(|round| round.gone)),
        silence_ms: spread(rounds.iter().map(|round| round.silence)),
        flows_ms: spread(rounds.iter().map(|round| round.flows)),
    };
    by.into_iter().map(line).collect()
}

/// The median and the longest, in milliseconds.
fn spread(times: impl Iterator<Item = Duration>) -> [u64; 2] {
    let mut all: Vec<u64> = times.map(super::millis).collect();
    all.sort_unstable();
    let median = all.get(all.len().saturating_sub(1) / 2);
    [median, all.last()].map(|time| time.copied().unwrap_or(0))
}

/// The same as a table for people.
pub fn table(times: &[Times]) -> String {
    let mut text = format!(
        "{:<22} {:>6}  {:>17}  {:>17}  {:>17}\n",
        "p50 / max, ms", "rounds", "gone", "silence", "flows again"
    );
    for line in times {
        let who = format!("{} {:?}", line.victim, line.hit).to_lowercase();
        let pair = |[median, most]: [u64; 2]| format!("{median} / {most}");
        text += &format!(
            "{who:<22} {:>6}  {:>17}  {:>17}  {:>17}\n",
            line.rounds,
            pair(line.gone_ms),
            pair(line.silence_ms),
            pair(line.flows_ms),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_kind_of_victim() {
        let round = |victim: &str, silence| Round {
            number: 1,
            victim: victim.to_owned(),
            hit: Hit::Killed,
            gone: Duration::from_millis(5),
            silence: Duration::from_millis(silence),
            flows: Duration::from_millis(1),
            apart: None,
        };
        let rounds = [
            round("kafka-1", 30),
            round("redis", 7),
            round("kafka-3", 10),
            round("kafka-2", 20),
        ];
        let times = times(&rounds);
        let found: Vec<_> = times
            .iter()
            .map(|line| (&*line.victim, line.rounds, line.silence_ms))
            .collect();
        assert_eq!(found, [("kafka", 3, [20, 30]), ("redis", 1, [7, 7])]);
        assert!(table(&times).contains("kafka killed"), "{}", table(&times));
    }
}
