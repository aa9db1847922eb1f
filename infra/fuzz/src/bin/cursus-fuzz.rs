//! Fuzzes one target or all, one after the other; keeps what it finds in the corpus.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Parser;
use infra_fuzz::{Settings, Target, all, corpus, drive, named};
use rustix::process::{Resource, Rlimit, setrlimit};

/// The address space of this process: a reader that believes a length must not take the machine
/// with it.
const MEMORY_BYTES: u64 = 4 << 30;

/// Hands malicious bytes to everything that reads what others wrote.
#[derive(Parser)]
struct Args {
    /// One target; all, one after the other, where left out
    #[arg(long)]
    target: Option<String>,
    /// How long for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The same seed gives the same cases; one that no run had, where left out
    #[arg(long)]
    seed: Option<u64>,
}

#[expect(clippy::print_stdout, reason = "the report of a program")]
fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let memory = Rlimit {
        current: Some(MEMORY_BYTES),
        maximum: Some(MEMORY_BYTES),
    };
    setrlimit(Resource::As, memory).context("a limit for memory")?;
    let targets = match &args.target {
        None => all(),
        Some(name) => {
            let names: Vec<_> = all().iter().map(|target| target.name()).collect();
            let one = named(name);
            vec![one.with_context(|| format!("no target {name}; there are {}", names.join(", ")))?]
        }
    };
    let settings = Settings {
        within: Duration::from_secs(args.seconds),
        seed: args.seed.unwrap_or_else(fresh_seed),
    };
    println!("seed {}", settings.seed);
    let mut code = ExitCode::SUCCESS;
    for target in targets {
        if !fuzz(&*target, settings)? {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

#[expect(clippy::disallowed_methods, reason = "a fresh seed from the clock")]
fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |now| now.as_secs())
}

/// False when something was found.
#[expect(clippy::print_stdout, reason = "the report of a program")]
fn fuzz(target: &dyn Target, settings: Settings) -> anyhow::Result<bool> {
    let name = target.name();
    match drive(target, settings) {
        Ok(report) => {
            let (cases, peak) = (report.cases, report.peak_bytes);
            println!("{name:<10} {cases:>10} cases, at most {peak} bytes at once, nothing found");
            Ok(true)
        }
        Err(finding) => {
            let file = corpus::keep(name, &finding.bytes)?;
            println!(
                "{name:<10} {}\n           kept as {}",
                finding.why,
                file.display()
            );
            Ok(false)
        }
    }
}
