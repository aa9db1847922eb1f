//! `make torture ROUNDS=200`: kills a node under load as often as told, and says what the checker
//! found. The seed is printed, and can be given again. `make torture-cluster` does it with a process a role
//! on three brokers, Cassandra and Redis, and hits those too.

#![allow(
    clippy::disallowed_methods,
    reason = "a program of its own, beside the node"
)]

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use infra_testkit::checker::Violation;
use infra_testkit::process::beside;
use infra_testkit::torture::apart::{self, PROCESSES, Stage};
use infra_testkit::torture::{self, Plan, Round};

/// Kills a node under load, again and again, and checks that nothing is lost, doubled, reordered or
/// counted wrongly.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often the node is killed
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Repeats a run's plan; drawn from the clock where left out
    #[arg(long)]
    seed: Option<u64>,
    /// The longest time between two kills, in milliseconds
    #[arg(long, default_value_t = 1_500)]
    life_ms: u64,
    /// A process a role on real servers, and these are hit as well
    #[arg(long)]
    cluster: bool,
    /// Which kinds of them: kafka, cassandra, redis, gateway, worker, projectors, ingest; all where left out
    #[arg(long, requires = "cluster", value_delimiter = ',')]
    only: Vec<String>,
    /// Says the result of a cluster's torture as JSON
    #[arg(long, requires = "cluster")]
    json: bool,
}

/// Rounds that are told of together.
const STRETCH: u32 = 10;

/// Some rounds in a row: their pace and their starts.
#[derive(Default)]
struct Stretch {
    begun: Duration,
    serving_after: Duration,
    ready_after: Duration,
}

impl Stretch {
    /// Adds a round; tells of the stretch with its last one, and begins the next.
    fn add(&mut self, round: Round, now: Duration) -> Option<String> {
        self.serving_after += round.serving_after;
        self.ready_after += round.ready_after;
        if !round.number.is_multiple_of(STRETCH) {
            return None;
        }
        let pace = f64::from(STRETCH) * 60.0 / (now - self.begun).as_secs_f64();
        let said = format!(
            "{} kills, {pace:.0} a minute; serves after {:.0?}, ready after {:.0?}",
            round.number,
            self.serving_after / STRETCH,
            self.ready_after / STRETCH,
        );
        *self = Self {
            begun: now,
            ..Self::default()
        };
        Some(said)
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut plan = Plan::of_chance(&beside("cursus-under-test")?, arguments.rounds);
    plan.seed = arguments.seed.unwrap_or(plan.seed);
    plan.life.1 = Duration::from_millis(arguments.life_ms).max(plan.life.0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    if arguments.cluster {
        return runtime.block_on(cluster(&arguments, &plan.program, plan.seed));
    }
    let (mut out, seed) = (std::io::stdout(), plan.seed);
    writeln!(out, "seed {seed}, {} rounds", plan.rounds)?;
    let (begun, mut stretch) = (Instant::now(), Stretch::default());
    let outcome = runtime.block_on(torture::run(&plan, |round| {
        if let Some(said) = stretch.add(round, begun.elapsed()) {
            // Progress only: a closed terminal does not end the run.
            drop(writeln!(std::io::stdout(), "  {said}"));
        }
    }))?;
    writeln!(
        out,
        "{} kills, {} commands acknowledged, {} entries delivered, longest start {:.0?}",
        outcome.rounds, outcome.acknowledged, outcome.delivered, outcome.longest_start,
    )?;
    verdict(&outcome.violations, seed)
}

/// Says which promises were broken; an error when any was.
fn verdict(violations: &[Violation], seed: u64) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    for violation in violations.iter().take(20) {
        writeln!(out, "  {violation}")?;
    }
    writeln!(out, "{} broken promises", violations.len())?;
    anyhow::ensure!(violations.is_empty(), "repeat with --seed {seed}");
    Ok(())
}

/// The torture of a cluster. With `--json` progress goes to standard error.
async fn cluster(arguments: &Arguments, program: &Path, seed: u64) -> anyhow::Result<()> {
    let mut plan = apart::Plan::new(arguments.rounds, seed);
    plan.only.clone_from(&arguments.only);
    let mut progress: Box<dyn Write> = match arguments.json {
        true => Box::new(std::io::stderr()),
        false => Box::new(std::io::stdout()),
    };
    writeln!(progress, "seed {seed}, {} rounds", plan.rounds)?;
    let servers = apart::servers()?;
    let mut stage = Stage::set_up(servers, program, "torture", &PROCESSES, &[])?;
    let outcome = apart::run(&mut stage, &plan, |round| {
        drop(writeln!(progress, "  {round}"));
    });
    let outcome = outcome.await?;
    stage.end()?;
    let mut out = std::io::stdout();
    let times = apart::times(&outcome.rounds);
    if arguments.json {
        let said = serde_json::json!({
            "seed": seed,
            "rounds": outcome.rounds.len(),
            "acknowledged": outcome.acknowledged,
            "delivered": outcome.delivered,
            "times": times,
            "unasked": outcome.unasked,
            "violations": outcome.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        writeln!(out, "{said:#}")?;
    } else {
        write!(out, "{}", apart::table(&times))?;
        writeln!(
            out,
            "{} commands acknowledged, {} entries delivered; every table is what the log makes of it",
            outcome.acknowledged, outcome.delivered
        )?;
        outcome
            .unasked
            .iter()
            .try_for_each(|what| writeln!(out, "  {what}"))?;
        verdict(&outcome.violations, seed)?;
    }
    let well = outcome.violations.is_empty() && outcome.unasked.is_empty();
    anyhow::ensure!(well, "repeat with --seed {seed}");
    Ok(())
}
