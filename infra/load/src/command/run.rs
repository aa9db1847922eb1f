//! `cursus-load run <scenario>`: one scenario, told in words or as JSON.

use std::io::Write;

use anyhow::Context;
use serde_json::json;

use crate::scenarios::one_to_one::{self, Found, Load, Quantiles, Round};
use crate::scenarios::stage::{Place, Stage};

/// One scenario.
#[derive(Debug, clap::Args)]
pub struct RunOptions {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, clap::Subcommand)]
enum Scenario {
    /// Pairs write to each other at a fixed rate, beside fdatasync and a bare echo
    OneToOne {
        #[command(flatten)]
        place: Place,
        /// Messages a second, of all together
        #[arg(long, default_value_t = 1_000)]
        rate: u64,
        /// Sockets, in pairs
        #[arg(long, default_value_t = 100)]
        sockets: usize,
        /// How long it is measured
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        /// Before that, so long unmeasured
        #[arg(long, default_value_t = 1.0)]
        warm_up: f64,
        /// The node alone, without the raw limits
        #[arg(long)]
        only: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs it.
///
/// # Errors
/// When something does not start, or the run loses, repeats or swaps a message.
pub fn run(options: &RunOptions) -> anyhow::Result<()> {
    let Scenario::OneToOne {
        place,
        rate,
        sockets,
        seconds,
        warm_up,
        only,
        json,
    } = &options.scenario;
    let load = Load {
        sockets: *sockets,
        rate: *rate,
        seconds: *seconds,
        warm_up: *warm_up,
    };
    let stage = Stage::set_up(place)?;
    let name = format!("p{}", std::process::id());
    let told = if *only {
        let marking = crate::fleet::marks::Marking::Delivered;
        let mut fleet = one_to_one::pairs(&stage, &name, load.sockets, marking)?;
        let found = one_to_one::run(&mut fleet, load, stage.id(), "one-to-one")?;
        json!({"load": load, "node": told(&found)})
    } else {
        round_told(load, &one_to_one::round(&stage, &name, load)?)
    };
    tell(&told, *json)
}

fn round_told(load: Load, round: &Round) -> serde_json::Value {
    json!({
        "load": load,
        "node": told(&round.node),
        "echo": told(&round.echo),
        "fdatasync_us": Quantiles::from(&round.fsync),
        "ratio_p50": round.ratio(0.5),
        "ratio_p99": round.ratio(0.99),
    })
}

fn told(found: &Found) -> serde_json::Value {
    json!({
        "delivered_us": Quantiles::from(&found.class.delivered),
        "sent_us": Quantiles::from(&found.class.sent),
        "per_second": found.per_second,
        "server_cpu_us": found.server_cpu_micros,
        "load_cpu_us": found.load_cpu_micros,
        "marks": found.marks,
    })
}

/// One line of JSON, or the same as lines of `name value` for people.
fn tell(value: &serde_json::Value, as_json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{value}")
    } else {
        writeln!(out, "{value:#}")
    }
    .context("standard output")
}
