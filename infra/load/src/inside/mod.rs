//! Measures without sockets: the log, the projectors, reads and the start of a node, each beside the
//! raw loop of the same work, interleaved, in this process.
//!
//! One file a measure. What is measured is checked as well: a run whose tables are not what was
//! sent, or whose rebuild differs in a bit, gives no figure.

mod corpus;
mod ground;
mod recording;

mod append;
mod beside;
pub(crate) mod cassandra;
mod fan_out;
mod history;
mod memory;
mod open;
mod projection;
mod scan;
mod start;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;

use crate::figure::Figure;
use crate::report::{Circumstances, Plot, Results};
use ground::Ground;

/// What the inner measures take.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The long set: larger logs, more runs
    #[arg(long)]
    full: bool,
    /// How long memory is watched under load; without it, 2 minutes
    #[arg(long)]
    minutes: Option<u64>,
    /// Divide all sizes: to try it out, not to measure
    #[arg(long, default_value_t = 1)]
    divide: u64,
    /// Only these, separated by commas; without it all, memory in the long set only
    #[arg(long, value_delimiter = ',')]
    only: Vec<Area>,
    /// Where results are written
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
    /// Where data is kept while measuring; a file system like the one that a node would use
    #[arg(long, default_value = "target/load-data")]
    scratch: PathBuf,
    /// What the events are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// An area of measures, one results file each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Area {
    /// Appending to the log, scanning and opening it
    Log,
    /// Live projection and rebuild
    Projection,
    /// Pages of history
    Reads,
    /// The start of a node, by the size of its log
    Start,
    /// Memory of a node on a large log, under load
    Memory,
}

/// What the measures of an area found.
struct Found {
    figures: Vec<Figure>,
    plots: Vec<Plot>,
    settings: String,
}

/// Measures and writes a results file for each area.
///
/// # Errors
/// When something that was measured did not do what it should, or the disk refuses.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let ground = Ground {
        full: options.full,
        divide: options.divide,
        seed: options.seed,
        scratch: options.scratch.clone(),
        soak: Duration::from_secs(60 * options.minutes.unwrap_or(2)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    for area in areas(options) {
        let name = area.name();
        ground.say(&format!("{name}:"));
        let found = runtime.block_on(area.measure(&ground));
        let found = found.with_context(|| format!("the measures of {name} failed"))?;
        write(&name, found, &ground, &options.results)?;
    }
    Ok(())
}

fn areas(options: &Options) -> Vec<Area> {
    if !options.only.is_empty() {
        return options.only.clone();
    }
    let all = Area::value_variants().iter().copied();
    all.filter(|area| options.full || *area != Area::Memory)
        .collect()
}

impl Area {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    async fn measure(self, ground: &Ground) -> anyhow::Result<Found> {
        match self {
            Self::Log => {
                let mut appends = append::measure(ground).await?;
                appends.extend(beside::measure(ground).await?);
                let mut found = scan::measure(ground).await?;
                found.figures.splice(0..0, appends);
                Ok(found)
            }
            Self::Projection => {
                let mut found = projection::measure(ground).await?;
                found.figures.extend(fan_out::measure(ground).await?);
                Ok(found)
            }
            Self::Reads => history::measure(ground).await,
            Self::Start => start::measure(ground).await,
            Self::Memory => memory::measure(ground).await,
        }
    }
}

fn write(area: &str, found: Found, ground: &Ground, results: &Path) -> anyhow::Result<()> {
    let set = ground.either("short set", "full set");
    let part = match ground.divide {
        0 | 1 => String::new(),
        divide => format!(", divided by {divide}"),
    };
    let settings = format!("{set}{part}; {}", found.settings);
    Results {
        area: area.to_owned(),
        circumstances: Circumstances::here(&ground.scratch, settings),
        figures: found.figures,
        plots: found.plots,
    }
    .write(results)
}
