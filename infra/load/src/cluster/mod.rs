//! Measures on real servers of this machine: appending to Kafka, rows into Cassandra, messages from
//! client to client over Kafka, and the link between worker and gateway. Each beside the bare loop of
//! the same work, in the same run. And how long messages stand still when a process goes, and how many
//! sockets all of it holds.
//!
//! One file a measure. Servers are started for each of them and gone after it. A run that loses or
//! doubles something gives no figure.

mod append;
mod bare_kafka;
mod held;
mod link;
mod messages;
mod pauses;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use infra_testkit::process::beside;

use crate::figure::Figure;
use crate::inside::cassandra;
use crate::report::{Circumstances, Results};

/// What the measures on servers take.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// How often each is measured
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these, separated by commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<Area>,
    /// Where results are written
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
    /// Sockets that are held
    #[arg(long, default_value_t = 100_000)]
    sockets: usize,
    /// The program of the node; without it, the `cursus` built beside this one
    #[arg(long)]
    program: Option<PathBuf>,
    /// Where data is kept while measuring: a folder on a real disk
    #[arg(long, default_value = "target/load-data")]
    scratch: PathBuf,
}

impl Options {
    fn program(&self) -> anyhow::Result<PathBuf> {
        self.program.clone().map_or_else(|| beside("cursus"), Ok)
    }
}

/// An area of measures, one results file each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Area {
    /// Records appended to Kafka
    Kafka,
    /// Rows written to Cassandra
    Cassandra,
    /// Messages from client to client over Kafka
    OverKafka,
    /// Records from worker to gateway
    Link,
    /// How long messages stand still when a process goes and comes back
    Pauses,
    /// Many sockets, each of which is reached
    Held,
}

/// What the measures of an area found.
pub(crate) struct Found {
    pub(crate) figures: Vec<Figure>,
    /// Sizes and settings, in words.
    pub(crate) sizes: String,
}

/// Measures and writes a results file for each area.
///
/// # Errors
/// When servers do not start, or something that was measured did not do what it should.
pub fn run(options: &Options) -> anyhow::Result<()> {
    std::fs::create_dir_all(&options.scratch)?;
    let areas = if options.only.is_empty() {
        Area::value_variants()
    } else {
        &options.only
    };
    for area in areas {
        let name = area.name();
        // Nobody may be reading.
        drop(writeln!(std::io::stderr(), "  {name}"));
        let found = area.measure(options);
        let found = found.with_context(|| format!("the measures of {name} failed"))?;
        Results {
            area: name,
            circumstances: Circumstances::here(&options.scratch, found.sizes),
            figures: found.figures,
            plots: Vec::new(),
        }
        .write(&options.results)?;
    }
    Ok(())
}

impl Area {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn measure(self, options: &Options) -> anyhow::Result<Found> {
        match self {
            Self::Kafka => on_a_runtime(append::measure(options.runs)),
            Self::Cassandra => on_a_runtime(cassandra::measure(options.runs, &options.scratch)),
            Self::OverKafka => messages::measure(options),
            Self::Link => link::measure(options.runs),
            Self::Pauses => on_a_runtime(pauses::measure(options)),
            Self::Held => held::measure(options),
        }
    }
}

fn on_a_runtime(measure: impl Future<Output = anyhow::Result<Found>>) -> anyhow::Result<Found> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().build()?.block_on(measure)
}
