//! Embedded tables: the old ones are set aside, not removed, and new ones made in their place. The node
//! must be stopped: log or tables are one process's at a time.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use infra_ports::EventLog;
use infra_store_embedded::hold;
use projectors::generations::FIRST;
use projectors::rebuild;

use crate::adapters::Adapters;
use crate::adapters::log::{Kind, open_embedded};
use crate::adapters::store::tables_folder;
use crate::config::Config;

/// Sets the tables aside, makes new ones, and says where the old ones are. Cut off in the middle it
/// is to be run again: what it has made by then is set aside like any other tables.
pub(super) async fn rebuild(
    config: &Config,
    adapters: impl AsyncFnOnce(&Config) -> anyhow::Result<Adapters>,
) -> anyhow::Result<()> {
    let aside = set_aside(config).await?;
    let adapters = adapters(config).await?;
    let made = make(&adapters, config).await;
    let closed = adapters.close(config.shutdown_within).await;
    let events = made.context("the tables are not whole: run this again")?;
    closed?;
    say(events, aside).context("standard output")
}

/// Renames the folder of the tables, while no node has the embedded log, or the tables of a log that
/// stands elsewhere.
async fn set_aside(config: &Config) -> anyhow::Result<Option<PathBuf>> {
    match config.log.kind {
        Kind::Embedded => {
            let log = open_embedded(config)?;
            let aside = rename(config)?;
            log.close().await?;
            Ok(aside)
        }
        Kind::Kafka => {
            let _held = hold(&tables_folder(config))?;
            rename(config)
        }
    }
}

fn rename(config: &Config) -> anyhow::Result<Option<PathBuf>> {
    let (tables, mut free) = (tables_folder(config), None);
    if tables.exists() {
        let mut names = (1..).map(|n| tables.with_extension(format!("old-{n}")));
        free = names.find(|name| !name.exists());
    }
    if let Some(free) = &free {
        let renamed = std::fs::rename(&tables, free);
        renamed.with_context(|| format!("cannot set {} aside", tables.display()))?;
    }
    Ok(free)
}

/// Answers how many events the tables were made from.
async fn make(adapters: &Adapters, config: &Config) -> anyhow::Result<u64> {
    adapters.create_topics().await?;
    let ports = adapters.ports();
    let positions = rebuild::rebuild(&ports, &config.projectors, FIRST).await?;
    rebuild::adopt(&ports, FIRST).await?;
    Ok(positions.iter().map(|(_, _, end)| end.0).sum())
}

fn say(events: u64, aside: Option<PathBuf>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "made every table from {events} events of the log")?;
    if let Some(aside) = aside {
        let aside = aside.display();
        writeln!(
            out,
            "the old ones are in {aside}: remove them once all is well"
        )?;
    }
    out.flush()
}
