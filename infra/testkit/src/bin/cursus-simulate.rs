//! `cursus-simulate`: runs seeds through the whole-node simulation; shows the first that fails.

#![allow(
    clippy::print_stdout,
    reason = "a program of the command line speaks on standard output"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "how long it takes is told by the clock on the wall"
)]

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use infra_testkit::simulation::{Keep, Plan, shrink, simulate};

/// Runs the whole node on a simulated world, once for each seed.
#[derive(Parser)]
struct Flags {
    /// How many seeds
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first one; with --seeds 1 this one is repeated
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Tell everything that happens
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let begun = Instant::now();
    let keep = Keep {
        told: flags.trace,
        asked: false,
    };
    let (mut failed, mut steps) = (0, 0);
    for seed in flags.seed..flags.seed + flags.seeds {
        let outcome = simulate(seed, keep);
        steps += outcome.steps;
        for line in &outcome.told {
            println!("{line}");
        }
        if let Some(failure) = &outcome.failure {
            failed += 1;
            println!("seed {seed}: {failure}");
            println!("{}", shrink(&Plan::of(seed), outcome.made));
        }
        if flags.seeds == 1 {
            println!(
                "trace {:016x}, {} steps, {:?} lived, {} crashes, {} acknowledged, {} delivered",
                outcome.trace,
                outcome.steps,
                outcome.lived,
                outcome.crashes,
                outcome.acknowledged,
                outcome.delivered
            );
        }
    }
    println!(
        "{} seeds, {failed} failed, {steps} steps, {:?}",
        flags.seeds,
        begun.elapsed()
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
