//! One of several processes: connects its share, says so, waits for the word, and tells what it found.

use std::io::Write;

use super::{GO, LIVE};
use crate::scenarios::measure::Span;
use crate::scenarios::one_to_one::{at_rate, pairs};
use crate::scenarios::stage::{Place, Stage};

/// A part's share.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The node and its data
    #[command(flatten)]
    pub place: Place,
    /// Sockets, in pairs
    #[arg(long)]
    pub sockets: usize,
    /// Messages a second
    #[arg(long)]
    pub rate: u64,
    /// Unmeasured, in seconds
    #[arg(long)]
    pub warm_up: f64,
    /// Measured, in seconds
    #[arg(long)]
    pub seconds: f64,
}

/// Is a part.
///
/// # Errors
/// When a socket does not become live, the whole is gone, or a message is lost, repeated, swapped or
/// refused.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let stage = Stage::set_up(&options.place)?;
    let mut fleet = pairs(&stage, options.sockets)?;
    let mut out = std::io::stdout();
    writeln!(out, "{LIVE}")?;
    // Heartbeats are answered while the others connect.
    let word = std::thread::spawn(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    while !word.is_finished() {
        fleet.attend(std::time::Duration::from_millis(5))?;
    }
    let word = word.join().unwrap_or_else(|_| Ok(String::new()))?;
    anyhow::ensure!(word.trim() == GO, "the others did not become live");
    let span = Span {
        warm_up: options.warm_up,
        seconds: options.seconds,
    };
    let found = at_rate(&mut fleet, "", options.rate, span, None)?;
    writeln!(out, "{}", serde_json::to_string(&found)?)?;
    Ok(())
}
