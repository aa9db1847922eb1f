//! `cursus verify`: rebuilds every table from the log, beside the live ones, and compares them bit
//! for bit. The node must be stopped: the log and the store are one process's at a time.

use std::io::Write;

use anyhow::{Context, ensure};
use projectors::generations::Generations;
use projectors::rebuild::{self, Compared};
use projectors::{Ports, Share};
use schemas::position::Generation;

use crate::adapters::Adapters;
use crate::adapters::log::must_have_log;
use crate::adapters::store::must_have_tables;
use crate::config::Config;

/// The generation in which the rebuilt tables stand while they are compared: no rebuild comes to it.
const BESIDE: Generation = Generation(u32::MAX);

/// What is to be verified.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyOptions {
    /// Read every segment of the log for damage instead, and name each damaged place
    #[arg(long)]
    pub(super) log: bool,
}

/// Rebuilds, compares, prints a line a table, and removes what was rebuilt.
pub(super) async fn verify(
    config: &Config,
    adapters: impl AsyncFnOnce(&Config) -> anyhow::Result<Adapters>,
) -> anyhow::Result<()> {
    must_have_log(config)?;
    must_have_tables(config)?;
    let adapters = adapters(config).await?;
    let ports = adapters.ports_that_answer().await?;
    let live = Generations::read(ports.store.as_ref()).await?.live();
    apply_the_rest(&ports, config, live).await?;
    rebuild::discard(ports.store.as_ref(), BESIDE).await?;
    let positions = rebuild::rebuild(&ports, &config.projectors, BESIDE).await?;
    let compared = rebuild::compare(ports.store.as_ref(), live, BESIDE).await?;
    rebuild::discard(ports.store.as_ref(), BESIDE).await?;
    adapters.close(config.shutdown_within).await?;
    let events: u64 = positions.iter().map(|(_, _, end)| end.0).sum();
    say(events, &compared).context("standard output")?;
    let differ = compared.iter().filter(|table| !table.is_equal()).count();
    ensure!(differ == 0, "{differ} tables differ from what the log says");
    Ok(())
}

/// A node that was killed has records in its log that are not in its tables yet.
async fn apply_the_rest(ports: &Ports, config: &Config, live: Generation) -> anyhow::Result<()> {
    let all = Share::everything();
    let projectors = projectors::start(ports, &config.projectors, live, &all);
    projectors.apply_all(ports.log.as_ref()).await?;
    projectors.stop().await?;
    Ok(())
}

fn say(events: u64, compared: &[Compared]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "rebuilt every table from {events} events of the log:")?;
    for table in compared {
        let verdict = if table.is_equal() {
            "equal"
        } else {
            "DIFFERENT"
        };
        let (name, digest) = (table.table, table.one.to_string());
        let digest = digest.get(..16).unwrap_or(&digest);
        writeln!(
            out,
            "  {:<10} {name:<14} {verdict:<10} {digest}",
            table.projection
        )?;
    }
    out.flush()
}
