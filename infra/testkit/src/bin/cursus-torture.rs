//! `make torture ROUNDS=200`: kills a node under load as often as told, and says what the checker
//! found. The seed is printed, and can be given again.

#![allow(
    clippy::disallowed_methods,
    reason = "a program of its own, beside the node"
)]

use std::io::Write;
use std::time::{Duration, Instant};

use clap::Parser;
use infra_testkit::process::beside;
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
    let (mut out, seed) = (std::io::stdout(), plan.seed);
    writeln!(out, "seed {seed}, {} rounds", plan.rounds)?;
    plan.life.1 = Duration::from_millis(arguments.life_ms).max(plan.life.0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
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
    for violation in outcome.violations.iter().take(20) {
        writeln!(out, "  {violation}")?;
    }
    writeln!(out, "{} broken promises", outcome.violations.len())?;
    anyhow::ensure!(outcome.violations.is_empty(), "repeat with --seed {seed}");
    Ok(())
}
