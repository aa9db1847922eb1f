//! `make torture ROUNDS=200`: kills a node under load as often as told, and says what the checker
//! found. The seed is printed, and can be given again.

#![allow(
    clippy::disallowed_methods,
    reason = "a program of its own, beside the node"
)]

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use infra_testkit::process::beside;
use infra_testkit::torture::{self, Plan};

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

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = arguments.seed.unwrap_or(u64::from(now.subsec_nanos()));
    let mut out = std::io::stdout();
    writeln!(out, "seed {seed}, {} rounds", arguments.rounds)?;
    let mut plan = Plan::new(beside("cursus-under-test")?, arguments.rounds, seed);
    plan.life.1 = Duration::from_millis(arguments.life_ms).max(plan.life.0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(torture::run(&plan, |round| {
        if round % 10 == 0 {
            // Progress only: a closed terminal does not end the run.
            drop(writeln!(std::io::stdout(), "  {round} kills"));
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
