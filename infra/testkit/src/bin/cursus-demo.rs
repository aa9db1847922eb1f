//! `make demo`: a conversation that survives a `kill -9`, shown line by line, and the proof that
//! nothing was lost. Ends with an error when anything is not as promised.

#![allow(
    clippy::disallowed_methods,
    reason = "a test runs on real threads and a real clock"
)]

use std::io::IsTerminal;
use std::time::Duration;

use clap::Parser;
use infra_testkit::demo::{self, Stage};
use infra_testkit::process::beside;

/// Shows two people and a group, a kill -9 in mid conversation, and that nothing is lost.
#[derive(Debug, Parser)]
struct Arguments {
    /// A rest after each line, in milliseconds; 150 on a terminal, else none
    #[arg(long)]
    pace_ms: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let out = std::io::stdout();
    let terminal = out.is_terminal();
    let colours = terminal && std::env::var_os("NO_COLOR").is_none();
    let pace = arguments.pace_ms.unwrap_or(if terminal { 150 } else { 0 });
    let mut stage = Stage::new(Box::new(out), colours, Duration::from_millis(pace));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(demo::run(&beside("cursus-under-test")?, &mut stage))
}
