//! Torture: people write, read, edit and join over real sockets while their node is killed with
//! `kill -9`, again and again; in the end the checker decides whether anything went wrong.
//!
//! ```text
//!  cast (who, chats)  ─▶  crowd (clients under load), guests  ◀─ kill -9, start ─ driver
//!                                │ recorders                         │ after the last round
//!                                ▼                                   ▼
//!                             history ◀──────── audit (timelines, chat lists) ─▶ checker
//! ```
//!
//! A run is drawn from a seed: who writes what to whom, and when the node dies. The machine's own
//! scheduling is not, so a seed repeats the plan and not every interleaving.

pub mod apart;
pub(crate) mod audit;
mod cast;
mod crowd;
mod guests;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::checker::{self, History, Violation};
use crate::process::{NodeProcess, RunningNode};

pub use cast::Cast;
use crowd::Crowd;

/// A device of the crowd rests so long between two commands, at most.
const REST: Duration = Duration::from_millis(12);
/// How long commands may take to settle after the last kill, on a busy machine.
const SETTLE_WITHIN: Duration = Duration::from_secs(120);
/// How long a node may take to be ready, on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long tables may lag on a busy machine.
const LAG: Duration = Duration::from_secs(120);

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The node program.
    pub program: PathBuf,
    /// Its further arguments.
    pub arguments: Vec<String>,
    /// Its environment beside this process's own.
    pub environment: Vec<(String, String)>,
    /// How often the node is killed.
    pub rounds: u32,
    /// Where chance comes from.
    pub seed: u64,
    /// The node lives so long, at least and at most, between two kills.
    pub life: (Duration, Duration),
    /// How long tables may lag behind what was acknowledged before that counts as wrong.
    pub lag: Duration,
}

impl Plan {
    /// A plan with lives of 0.2 to 1.5 s.
    pub fn new(program: PathBuf, rounds: u32, seed: u64) -> Self {
        let life = (Duration::from_millis(200), Duration::from_millis(1_500));
        let (arguments, environment) = (Vec::new(), Vec::new());
        Self {
            program,
            arguments,
            environment,
            rounds,
            seed,
            life,
            lag: LAG,
        }
    }

    /// The same with a seed that nobody chose.
    pub fn of_chance(program: &Path, rounds: u32) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seed = now.map_or(0, |now| now.subsec_nanos().into());
        Self::new(program.to_owned(), rounds, seed)
    }
}

/// One kill, and how the node came back.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Which, from 1.
    pub number: u32,
    /// From the start to sockets that are served.
    pub serving_after: Duration,
    /// From the start to readiness: tables open, all that was acknowledged folded and handed out.
    pub ready_after: Duration,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Kills.
    pub rounds: u32,
    /// Commands acknowledged.
    pub acknowledged: usize,
    /// Entries handed to devices.
    pub delivered: usize,
    /// The longest time from a start to readiness.
    pub longest_start: Duration,
    /// Broken promises; none in a good run.
    pub violations: Vec<Violation>,
}

/// Runs a plan on a data folder of its own.
///
/// # Errors
/// When the node does not come back or does not end in order, what was begun does not settle, or
/// the tables in the end are not those that the log makes.
pub async fn run(plan: &Plan, mut progress: impl FnMut(Round)) -> anyhow::Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let arguments: Vec<&str> = plan.arguments.iter().map(String::as_str).collect();
    let mut process = NodeProcess::new(&plan.program, &folder.path().join("data"), &arguments)?;
    process.environment.clone_from(&plan.environment);
    let mut chance = fastrand::Rng::with_seed(plan.seed);
    let (
        mut node,
        Round {
            ready_after: mut longest_start,
            ..
        },
    ) = start(&process, 0).await?;
    let cast = Cast::new();
    let crowd = Crowd::gather(&cast, &process.entrance(), REST, &mut chance).await?;
    for round in 1..=plan.rounds {
        let life = chance.u64(millis(plan.life.0)..=millis(plan.life.1));
        tokio::time::sleep(Duration::from_millis(life)).await;
        tokio::task::spawn_blocking(move || node.kill()).await??;
        let (again, round) = start(&process, round).await?;
        (node, longest_start) = (again, longest_start.max(round.ready_after));
        progress(round);
    }
    let entrance = process.entrance();
    let history = crowd.settle(&entrance, SETTLE_WITHIN, plan.lag).await?;
    let violations = checker::check(&history);
    if violations.is_empty() {
        let process = process.clone();
        tokio::task::spawn_blocking(move || rebuilt(&process, node)).await??;
    }
    Ok(outcome(plan.rounds, longest_start, &history, violations))
}

fn outcome(
    rounds: u32,
    longest_start: Duration,
    history: &History,
    violations: Vec<Violation>,
) -> Outcome {
    let count = |wanted: fn(&checker::Observation) -> bool| {
        let all = history.devices.values().flatten();
        all.filter(|o| wanted(o)).count()
    };
    Outcome {
        rounds,
        acknowledged: count(|o| matches!(o, checker::Observation::Acknowledged { .. })),
        delivered: count(|o| matches!(o, checker::Observation::Received(_))),
        longest_start,
        violations,
    }
}

/// A history without a fault says nothing of rows that nobody has read: those are compared with
/// what the log makes of them.
fn rebuilt(process: &NodeProcess, node: RunningNode) -> anyhow::Result<()> {
    let (took, in_order) = node.terminate()?;
    anyhow::ensure!(in_order, "the node did not end in order, after {took:?}");
    let verified = process.verify()?;
    anyhow::ensure!(
        verified.equal,
        "the tables are not what the log says:\n{}",
        verified.said
    );
    Ok(())
}

async fn start(process: &NodeProcess, number: u32) -> anyhow::Result<(RunningNode, Round)> {
    let process = process.clone();
    let starting = move || {
        let begun = Instant::now();
        let node = process.start_serving()?;
        let serving_after = begun.elapsed();
        node.wait_ready(READY_WITHIN)?;
        let round = Round {
            number,
            serving_after,
            ready_after: begun.elapsed(),
        };
        Ok((node, round))
    };
    tokio::task::spawn_blocking(starting).await?
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
