//! The whole set of measures over sockets, as results files: scenarios beside their raw limits,
//! interleaved, several times.
//!
//! One file for each area, which says what is a figure and what should be reached. Each area has a
//! node of its own on a fresh folder. What fails gives no figure, the rest is measured all the same,
//! and then the program says what failed and ends as failed.

mod away;
mod day;
mod groups;
mod highest;
mod idle;
mod one_to_one;

use std::path::PathBuf;

use clap::ValueEnum;

use crate::figure::Figure;
use crate::report::{Circumstances, Plot, Results};
use crate::scenarios::stage::{Place, Stage, settings};

/// What the measures over sockets take.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The long set: more sockets, more runs
    #[arg(long)]
    full: bool,
    /// Only these, separated by commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<Area>,
    /// Where results are written
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
    /// The program of the node; without it, the `cursus` built beside this one
    #[arg(long)]
    program: Option<PathBuf>,
    /// Where nodes keep their data: a folder on a real disk
    #[arg(long, default_value = "target/load-data")]
    scratch: PathBuf,
}

/// An area of measures, one results file each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Area {
    /// One-to-one messages at fixed rates
    OneToOne,
    /// The highest rates of one-to-one messages
    Highest,
    /// Groups, and other people's messages meanwhile
    Groups,
    /// Idle sockets
    Idle,
    /// Ten thousand reconnects
    Storm,
    /// Catching up very much
    CatchUp,
    /// A hot chat, a mixed day, history
    Day,
}

/// What an area found.
#[derive(Default)]
struct Found {
    figures: Vec<Figure>,
    plots: Vec<Plot>,
    sizes: String,
}

impl Found {
    fn add(&mut self, figure: Option<Figure>) {
        self.figures.extend(figure);
    }
}

/// Measures and writes a results file for each area.
///
/// # Errors
/// When a run lost, repeated or swapped a message, something did not start, or a file cannot be
/// written.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let areas = if options.only.is_empty() {
        Area::value_variants()
    } else {
        &options.only
    };
    let mut failures = Vec::new();
    for area in areas {
        if let Err(error) = area.record(options) {
            failures.push(format!("{}: {error:#}", area.name()));
        }
    }
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

impl Area {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn record(self, options: &Options) -> anyhow::Result<()> {
        let place = Place {
            node: Vec::new(),
            data: None,
            program: options.program.clone(),
            scratch: options.scratch.clone(),
        };
        let stage = Stage::set_up(&place)?;
        let full = options.full;
        let found = match self {
            Self::OneToOne => one_to_one::measure(&stage, full),
            Self::Highest => highest::measure(&stage, full),
            Self::Groups => groups::measure(&stage, full),
            Self::Idle => idle::measure(&stage, full),
            Self::Storm => away::storms(&stage, full),
            Self::CatchUp => away::catching_up(&stage, full),
            Self::Day => day::measure(&stage, full),
        }?;
        let settings = format!("{}; node: {}", found.sizes, settings());
        Results {
            area: self.name(),
            circumstances: Circumstances::here(stage.folder(), settings),
            figures: found.figures,
            plots: found.plots,
        }
        .write(&options.results)
    }
}
