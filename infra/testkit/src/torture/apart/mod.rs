//! The same torture of a platform with a process a role, on real servers: in each round one process, or
//! one of the servers that they stand on, is killed, ended in order, or stalled, and comes back; and it is
//! measured for how long clients of one gateway hear nothing from clients of another who say something all
//! the time.
//!
//! ```text
//!   probe ─▶ ┌ gateways ── workers ─┐ ─▶ probe     Kafka ×3, Cassandra, Redis   ◀─ kill, stop, continue
//!   crowd ◀▶ └ ingest, projectors ──┘ ◀▶ crowd     (stage)                         (victims)
//! ```
//!
//! Whatever is hit: no other process ends, and no socket does at a gateway that was not hit.

mod probe;
mod rebuilds;
mod stage;
mod times;
mod victims;

use std::time::Duration;

use anyhow::Context;

use super::crowd::Crowd;
use super::{Cast, SETTLE_WITHIN, millis, outcome};
use crate::checker::{self, Violation};
use crate::later::Build;

use probe::Probe;
pub use stage::{PROCESSES, Stage, servers};
pub use times::{Times, table, times};
use victims::Target;
pub use victims::{Hit, kind};

/// Partitions of each topic.
pub const PARTITIONS: u32 = 8;
/// A silence that is longer than the time between two messages by no more than this is none.
const CALM: Duration = Duration::from_millis(100);
/// How long servers that have just been started are given until messages flow evenly, and a process.
const CALM_WITHIN: [Duration; 2] = [Duration::from_secs(40), Duration::from_secs(5)];

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How often something is hit.
    pub rounds: u32,
    /// Where chance comes from.
    pub seed: u64,
    /// Kinds of victims (`kafka`, `gateway` …); all, where none is named.
    pub only: Vec<String>,
    /// How often each of those says something whose silence is measured.
    pub say_every: Duration,
    /// A device of the crowd rests so long between two commands, at most.
    pub rest: Duration,
    /// Everything lives so long, at least and at most, between two rounds.
    pub life: (Duration, Duration),
    /// Who is stalled is so for that long: longer than others wait for it.
    pub stall: (Duration, Duration),
    /// How long tables may lag behind what was acknowledged before that counts as wrong.
    pub lag: Duration,
    /// Its going and its coming back are measured apart: so long everything is watched before a hit, after it,
    /// and after its return, before the next thing happens. Otherwise it comes back at once.
    pub watched: Option<Duration>,
}

impl Plan {
    /// A plan with lives of 0.2 to 0.8 s, stalls of 3.5 to 5 s, and all victims.
    pub fn new(rounds: u32, seed: u64) -> Self {
        let between = |least, most| (Duration::from_millis(least), Duration::from_millis(most));
        Self {
            rounds,
            seed,
            only: Vec::new(),
            say_every: Duration::from_millis(100),
            rest: Duration::from_millis(100),
            life: between(200, 800),
            stall: between(3_500, 5_000),
            lag: Duration::from_secs(60),
            watched: None,
        }
    }
}

/// One hit.
#[derive(Debug, Clone)]
pub struct Round {
    /// Which, from 1.
    pub number: u32,
    /// Who was hit.
    pub victim: String,
    /// How.
    pub hit: Hit,
    /// From the hit until it served again.
    pub gone: Duration,
    /// The longest time since the hit in which somebody heard nothing.
    pub silence: Duration,
    /// From its return until everybody heard what was said then.
    pub flows: Duration,
    /// The longest silences apart, where the plan has it so.
    pub apart: Option<Silences>,
}

/// The longest times of a round in which somebody heard nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silences {
    /// Before the hit.
    pub before: Duration,
    /// From the hit, while it was away.
    pub away: Duration,
    /// From its return.
    pub back: Duration,
}

impl std::fmt::Display for Round {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (number, victim) = (self.number, &self.victim);
        let hit = format!("{:?}", self.hit).to_lowercase();
        let (gone, silence, flows) = (self.gone, self.silence, self.flows);
        write!(
            f,
            "{number}: {victim} {hit}, gone {gone:.1?}, silence {silence:.1?}, flows {flows:.1?} after its return"
        )?;
        match self.apart {
            Some(apart) => write!(f, ", {apart:.1?}"),
            None => Ok(()),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// All rounds.
    pub rounds: Vec<Round>,
    /// Commands acknowledged.
    pub acknowledged: usize,
    /// Entries handed to devices.
    pub delivered: usize,
    /// Processes that ended and sockets that closed though nobody had hit them; none in a good run.
    pub unasked: Vec<String>,
    /// Broken promises; none in a good run.
    pub violations: Vec<Violation>,
}

/// Runs a plan on a platform, and leaves it running.
///
/// # Errors
/// When something does not come back, messages do not flow again, or what was begun does not settle.
pub async fn run(
    stage: &mut Stage,
    plan: &Plan,
    progress: impl FnMut(&Round),
) -> anyhow::Result<Outcome> {
    let mut chance = fastrand::Rng::with_seed(plan.seed);
    let one_of = |names: Vec<String>| -> Vec<String> {
        let wanted =
            |name: &String| plan.only.is_empty() || plan.only.iter().any(|k| k == kind(name));
        names.into_iter().filter(wanted).collect()
    };
    let (processes, servers) = (one_of(stage.cluster.names()), one_of(stage.server_names()));
    let targets = victims::targets(&processes, &servers, plan.rounds, &mut chance);
    run_through(stage, plan, &targets, chance, progress).await
}

/// The same with processes that are rolled, in this order, each to the build beside it.
///
/// # Errors
/// As [`run`].
pub async fn roll(
    stage: &mut Stage,
    plan: &Plan,
    steps: &[(&str, Build)],
    progress: impl FnMut(&Round),
) -> anyhow::Result<Outcome> {
    let hits = steps
        .iter()
        .map(|(victim, build)| (*victim, Hit::Rolled(*build)));
    run_these(stage, plan, hits, progress).await
}

/// The same with these victims, hit like that in this order.
///
/// # Errors
/// As [`run`].
pub async fn run_these<'a>(
    stage: &mut Stage,
    plan: &Plan,
    hits: impl IntoIterator<Item = (&'a str, Hit)>,
    progress: impl FnMut(&Round),
) -> anyhow::Result<Outcome> {
    let target = |(victim, hit): (&str, Hit)| Target {
        victim: victim.to_owned(),
        hit,
    };
    let targets: Vec<Target> = hits.into_iter().map(target).collect();
    let chance = fastrand::Rng::with_seed(plan.seed);
    run_through(stage, plan, &targets, chance, progress).await
}

/// The same with tables that are rebuilt, or gone back to, one time after the other.
///
/// # Errors
/// As [`run`]; when it is refused.
pub async fn rebuild(
    stage: &mut Stage,
    plan: &Plan,
    hits: &[Hit],
    progress: impl FnMut(&Round),
) -> anyhow::Result<Outcome> {
    let hits = hits.iter().map(|hit| ("tables", *hit));
    run_these(stage, plan, hits, progress).await
}

async fn run_through(
    stage: &mut Stage,
    plan: &Plan,
    targets: &[Target],
    mut chance: fastrand::Rng,
    mut progress: impl FnMut(&Round),
) -> anyhow::Result<Outcome> {
    let entrance = stage.cluster.entrance();
    let probe = Probe::start(&entrance, plan.say_every)?;
    probe.flows().await.context("before the first round")?;
    let crowd = Crowd::gather(&Cast::new(), &entrance, plan.rest, &mut chance).await?;
    let (mut rounds, mut unasked) = (Vec::new(), Vec::new());
    for (number, target) in (1..).zip(targets) {
        let life = draw(plan.life, &mut chance);
        let stalled = draw(plan.stall, &mut chance);
        tokio::time::sleep(life).await;
        let round = match plan.watched {
            None => hit(stage, &probe, number, target, stalled).await,
            Some(watched) => hit_watched(stage, &probe, number, target, (plan, watched)).await,
        };
        let who = || format!("round {number}, {} {:?}", target.victim, target.hit);
        let (round, closed) = match round {
            Ok(round) => round,
            Err(error) => {
                return Err(error.context(format!("{}\n{}", who(), stage.cluster.said())));
            }
        };
        progress(&round);
        let ended = tokio::task::block_in_place(|| stage.cluster.restart_ended())?;
        unasked.extend(
            ended
                .into_iter()
                .chain(closed)
                .map(|what| format!("{}: {what}", who())),
        );
        rounds.push(round);
    }
    tokio::task::block_in_place(|| stage.cluster.wait_ready())?;
    let history = crowd.settle(&entrance, SETTLE_WITHIN, plan.lag).await?;
    unasked.extend(tokio::task::block_in_place(|| stage.servers.ended())?);
    let violations = checker::check(&history);
    let hits = u32::try_from(targets.len())?;
    let seen = outcome(hits, Duration::ZERO, &history, violations);
    Ok(Outcome {
        rounds,
        acknowledged: seen.acknowledged,
        delivered: seen.delivered,
        unasked,
        violations: seen.violations,
    })
}

/// One round, and how sockets ended in it that had no reason to.
async fn hit(
    stage: &mut Stage,
    probe: &Probe,
    number: u32,
    target: &Target,
    stalled: Duration,
) -> anyhow::Result<(Round, Vec<String>)> {
    probe.begin();
    let gone = stage.strike(target, stalled).await?;
    let back = std::time::Instant::now();
    let silence = probe.flows().await?;
    let round = Round {
        number,
        victim: target.victim.clone(),
        hit: target.hit,
        gone,
        silence,
        flows: back.elapsed(),
        apart: None,
    };
    Ok((round, unasked(probe, target)))
}

/// How sockets ended since it was begun to measure that had no reason to.
fn unasked(probe: &Probe, target: &Target) -> Vec<String> {
    match kind(&target.victim) {
        "gateway" => Vec::new(),
        _ => probe.closed(),
    }
}

/// One round in which it stays away until messages flow, and for so long that nothing of it is left.
async fn hit_watched(
    stage: &mut Stage,
    probe: &Probe,
    number: u32,
    target: &Target,
    (plan, watched): (&Plan, Duration),
) -> anyhow::Result<(Round, Vec<String>)> {
    let [servers, process] = CALM_WITHIN;
    let within = if number == 1 { servers } else { process };
    let deadline = std::time::Instant::now() + within;
    let before = loop {
        probe.begin();
        tokio::time::sleep(watched).await;
        let before = probe.flows().await?;
        if before <= plan.say_every + CALM || std::time::Instant::now() > deadline {
            break before;
        }
    };
    let mut closed = unasked(probe, target);
    probe.begin();
    let begun = std::time::Instant::now();
    tokio::task::block_in_place(|| stage.hit(target))?;
    tokio::time::sleep(watched).await;
    let away = probe.flows().await?;
    closed.extend(unasked(probe, target));
    probe.begin();
    tokio::task::block_in_place(|| {
        stage.bring_back(target)?;
        stage.cluster.wait_ready()
    })?;
    let (gone, returned) = (begun.elapsed(), std::time::Instant::now());
    probe.flows().await?;
    let flows = returned.elapsed();
    tokio::time::sleep(watched.saturating_sub(flows)).await;
    let back = probe.flows().await?;
    closed.extend(unasked(probe, target));
    let round = Round {
        number,
        victim: target.victim.clone(),
        hit: target.hit,
        gone,
        silence: away.max(back),
        flows,
        apart: Some(Silences { before, away, back }),
    };
    Ok((round, closed))
}

fn draw((least, most): (Duration, Duration), chance: &mut fastrand::Rng) -> Duration {
    Duration::from_millis(chance.u64(millis(least)..=millis(most)))
}
