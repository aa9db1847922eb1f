//! For how long messages stand still when a worker or a projector goes, and when it comes back: the torture
//! of a cluster, with only those as its victims, each watched alone, on three brokers, Cassandra and Redis.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use infra_servers::Servers;
use infra_testkit::torture::apart::{
    self, Hit, Outcome, PROCESSES, Plan, Round, Silences, Stage, kind,
};

use super::{Found, Options};
use crate::figure::{Figure, Goal};

/// Who is hit in a run, and how; the other one of each in the next run.
const HITS: [[(&str, Hit); 4]; 2] = [
    [
        ("worker-1", Hit::Ended),
        ("worker-2", Hit::Killed),
        ("projectors-1", Hit::Ended),
        ("projectors-2", Hit::Killed),
    ],
    [
        ("worker-2", Hit::Ended),
        ("worker-1", Hit::Killed),
        ("projectors-2", Hit::Ended),
        ("projectors-1", Hit::Killed),
    ],
];

/// Who is hit in a run with hot standbys.
const HITS_STOOD_BY: [[(&str, Hit); 1]; 2] =
    [[("worker-1", Hit::Killed)], [("worker-2", Hit::Killed)]];

/// Whatever follows from a going or a coming has begun within: gateways look for workers four times a
/// second.
const WATCHED: Duration = Duration::from_millis(1_500);

/// How often each pair is heard. Rarer than in other tortures, as the crowd's commands are: so little is to do
/// that nothing waits for a processor while nothing happens.
const SAY_EVERY: Duration = Duration::from_millis(250);
/// A device of the crowd rests so long between two commands, at most.
const REST: Duration = Duration::from_secs(1);

/// A worker's lease, and a projector's time in its group: who is killed may be missed only after it.
const MISSED_AFTER_MS: f64 = 3_000.0;

/// A figure: its name, how long messages may stand still, and what of which rounds it is made of.
struct Pause {
    name: &'static str,
    most_ms: Option<f64>,
    /// Those in which one of this kind was hit like that; where nothing is said, whoever it was and however.
    rounds: (Option<&'static str>, Option<Hit>),
    of: Part,
}

/// A part of a round.
type Part = fn(Silences) -> Duration;
const BEFORE: Part = |silences| silences.before;
const AWAY: Part = |silences| silences.away;
const BACK: Part = |silences| silences.back;

const PAUSES: [Pause; 7] = [
    Pause {
        name: "pause while nothing happens",
        most_ms: None,
        rounds: (None, None),
        of: BEFORE,
    },
    Pause {
        name: "delivery pause: a worker joins",
        most_ms: Some(200.0),
        rounds: (Some("worker"), None),
        of: BACK,
    },
    Pause {
        name: "delivery pause: a worker leaves in order",
        most_ms: Some(200.0),
        rounds: (Some("worker"), Some(Hit::Ended)),
        of: AWAY,
    },
    Pause {
        name: "delivery pause: a worker is killed",
        most_ms: Some(MISSED_AFTER_MS + 500.0),
        rounds: (Some("worker"), Some(Hit::Killed)),
        of: AWAY,
    },
    Pause {
        name: "projection pause: a projector joins",
        most_ms: Some(500.0),
        rounds: (Some("projectors"), None),
        of: BACK,
    },
    Pause {
        name: "projection pause: a projector leaves in order",
        most_ms: Some(500.0),
        rounds: (Some("projectors"), Some(Hit::Ended)),
        of: AWAY,
    },
    Pause {
        name: "projection pause: a projector is killed",
        most_ms: Some(MISSED_AFTER_MS + 500.0),
        rounds: (Some("projectors"), Some(Hit::Killed)),
        of: AWAY,
    },
];

/// Of a platform with hot standbys.
const STOOD_BY: Pause = Pause {
    name: "delivery pause: a worker is killed, with hot standbys",
    most_ms: Some(200.0),
    rounds: (Some("worker"), Some(Hit::Killed)),
    of: AWAY,
};

pub(super) async fn measure(options: &Options) -> anyhow::Result<Found> {
    let program = options.program()?;
    let servers = tokio::task::block_in_place(apart::servers)?;
    let runs = options.runs;
    let hits = HITS.iter().cycle().take(runs).flatten().copied();
    let outcome = watch(&servers, &program, "pauses", hits, &[]).await?;
    let hits = HITS_STOOD_BY.iter().cycle().take(runs).flatten().copied();
    let setting = [("CURSUS__LINK__HOT_STANDBY".to_owned(), "true".to_owned())];
    let stood_by = watch(&servers, &program, "stoodby", hits, &setting).await?;
    let figures = PAUSES.iter().filter_map(|pause| pause.figure(&outcome));
    let figures = figures.chain(STOOD_BY.figure(&stood_by));
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

/// Hits processes of a platform of its own, one after the other.
async fn watch(
    servers: &Arc<Servers>,
    program: &Path,
    own: &str,
    hits: impl Iterator<Item = (&str, Hit)>,
    environment: &[(String, String)],
) -> anyhow::Result<Outcome> {
    let mut plan = Plan::new(0, 1);
    plan.watched = Some(WATCHED);
    (plan.say_every, plan.rest) = (SAY_EVERY, REST);
    let start = || Stage::set_up(Arc::clone(servers), program, own, &PROCESSES, environment);
    let mut stage = tokio::task::block_in_place(start)?;
    let outcome = apart::run_these(&mut stage, &plan, hits, |round| {
        // Nobody may be reading.
        drop(writeln!(std::io::stderr(), "    {round}"));
    });
    let outcome = outcome.await?;
    tokio::task::block_in_place(|| stage.end())?;
    let broken = outcome.violations.len() + outcome.unasked.len();
    ensure!(broken == 0, "promises were broken: {outcome:?}");
    Ok(outcome)
}

impl Pause {
    fn figure(&self, outcome: &Outcome) -> Option<Figure> {
        let (victim, hit) = self.rounds;
        let of = |round: &Round| {
            let is_of = victim.is_none_or(|victim| victim == kind(&round.victim))
                && hit.is_none_or(|hit| hit == round.hit);
            round.apart.filter(|_| is_of).map(self.of).map(pause_ms)
        };
        let pauses: Vec<f64> = outcome.rounds.iter().filter_map(of).collect();
        Figure::alone(self.name, "ms", &pauses, self.most_ms.map(Goal::AtMost))
    }
}

/// What a silence is longer than the time between two messages.
fn pause_ms(silence: Duration) -> f64 {
    silence.saturating_sub(SAY_EVERY).as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_what_is_longer_than_the_time_between_two_messages_of_its_own_rounds() {
        let round = |victim: &str, hit, [before, away, back]: [u64; 3]| {
            let silence = |ms| SAY_EVERY + Duration::from_millis(ms);
            Round {
                number: 1,
                victim: victim.to_owned(),
                hit,
                gone: Duration::from_millis(5),
                silence: silence(away.max(back)),
                flows: Duration::from_millis(1),
                apart: Some(Silences {
                    before: silence(before),
                    away: silence(away),
                    back: silence(back),
                }),
            }
        };
        let outcome = Outcome {
            rounds: vec![
                round("worker-1", Hit::Killed, [1, 30, 7]),
                round("worker-2", Hit::Killed, [1, 10, 8]),
                round("worker-1", Hit::Ended, [1, 50, 9]),
                round("projectors-2", Hit::Ended, [1, 600, 40]),
            ],
            acknowledged: 1,
            delivered: 1,
            unasked: Vec::new(),
            violations: Vec::new(),
        };
        let found: Vec<_> = PAUSES
            .iter()
            .filter_map(|pause| pause.figure(&outcome))
            .map(|figure| (figure.figure, figure.value.round(), figure.met))
            .collect();
        let expected = [
            ("pause while nothing happens", 1.0, None),
            ("delivery pause: a worker joins", 8.0, Some(true)),
            ("delivery pause: a worker leaves in order", 50.0, Some(true)),
            ("delivery pause: a worker is killed", 20.0, Some(true)),
            ("projection pause: a projector joins", 40.0, Some(true)),
            (
                "projection pause: a projector leaves in order",
                600.0,
                Some(false),
            ),
        ];
        let expected = expected.map(|(name, value, met)| (name.to_owned(), value, met));
        assert_eq!(found, expected);
    }
}
