//! For how long messages stand still when a worker or a projector goes and comes back: the torture of a
//! cluster, with only those as its victims, on three brokers, Cassandra and Redis.

use std::time::Duration;

use anyhow::ensure;
use infra_testkit::process::beside;
use infra_testkit::torture::apart::{self, Hit, Outcome, PROCESSES, Plan, SAY_EVERY, Stage, kind};

use super::{Found, Options};
use crate::figure::{Figure, Goal};

/// In so many each worker and projector that can be hit is killed once, and one of each kind ended.
const ROUNDS_A_RUN: u32 = 8;

/// A worker's lease, and a projector's time in its group: who is killed may be missed only after it.
const MISSED_AFTER_MS: f64 = 3_000.0;

/// What is hit, how, and how long messages may stand still for it, in milliseconds.
const PAUSES: [(&str, Hit, &str, f64); 4] = [
    (
        "worker",
        Hit::Ended,
        "delivery pause: a worker leaves in order, and joins again",
        200.0,
    ),
    (
        "worker",
        Hit::Killed,
        "delivery pause: a worker is killed, and joins again",
        MISSED_AFTER_MS + 500.0,
    ),
    (
        "projectors",
        Hit::Ended,
        "projection pause: a projector leaves in order, and joins again",
        500.0,
    ),
    (
        "projectors",
        Hit::Killed,
        "projection pause: a projector is killed, and joins again",
        MISSED_AFTER_MS + 500.0,
    ),
];

pub(super) async fn measure(options: &Options) -> anyhow::Result<Found> {
    let program = options.program.clone();
    let program = program.map_or_else(|| beside("cursus"), Ok)?;
    let mut plan = Plan::new(ROUNDS_A_RUN * u32::try_from(options.runs)?, 1);
    plan.only = vec!["worker".to_owned(), "projectors".to_owned()];
    let servers = tokio::task::block_in_place(apart::servers)?;
    let start = || Stage::set_up(servers, &program, "pauses", &PROCESSES, &[]);
    let mut stage = tokio::task::block_in_place(start)?;
    let outcome = apart::run(&mut stage, &plan, |_| ()).await?;
    tokio::task::block_in_place(|| stage.end())?;
    let broken = outcome.violations.len() + outcome.unasked.len();
    ensure!(broken == 0, "promises were broken: {outcome:?}");
    let figures = PAUSES.iter().filter_map(|pause| figure(&outcome, pause));
    Ok(Found {
        figures: figures.collect(),
        sizes: format!(
            "seven processes, three brokers, Cassandra, Redis; {} pairs of people, each heard every {} ms; a \
             crowd of others writes",
            apart::PARTITIONS,
            SAY_EVERY.as_millis()
        ),
    })
}

fn figure(outcome: &Outcome, (victim, hit, name, most): &(&str, Hit, &str, f64)) -> Option<Figure> {
    let rounds = outcome.rounds.iter();
    let same = rounds.filter(|round| kind(&round.victim) == *victim && round.hit == *hit);
    let pauses: Vec<f64> = same.map(|round| pause_ms(round.silence)).collect();
    Figure::alone(name, "ms", &pauses, Some(Goal::AtMost(*most)))
}

/// What a silence is longer than the time between two messages.
fn pause_ms(silence: Duration) -> f64 {
    silence.saturating_sub(SAY_EVERY).as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use infra_testkit::torture::apart::Round;

    use super::*;

    #[test]
    fn a_pause_is_what_is_longer_than_the_time_between_two_messages() {
        let round = |victim: &str, silence| Round {
            number: 1,
            victim: victim.to_owned(),
            hit: Hit::Killed,
            gone: Duration::from_millis(5),
            silence: SAY_EVERY + Duration::from_millis(silence),
            flows: Duration::from_millis(1),
        };
        let outcome = Outcome {
            rounds: vec![
                round("worker-1", 30),
                round("redis", 9),
                round("worker-2", 10),
            ],
            acknowledged: 1,
            delivered: 1,
            unasked: Vec::new(),
            violations: Vec::new(),
        };
        let found: Vec<_> = PAUSES
            .iter()
            .filter_map(|one| figure(&outcome, one))
            .collect();
        let [killed] = &found[..] else {
            panic!("{found:?}")
        };
        assert!((killed.value - 20.0).abs() < 1e-6, "{killed:?}");
        assert_eq!(killed.met, Some(true));
    }
}
