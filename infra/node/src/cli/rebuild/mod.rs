//! `cursus rebuild`: makes all tables anew from the log, for a projection that cannot go on from its
//! checkpoint, or tables that are damaged or lost.

mod aside;
mod beside;

use anyhow::ensure;
use schemas::position::Generation;

use crate::adapters::Adapters;
use crate::adapters::log::must_have_log;
use crate::adapters::store::Kind;
use crate::config::Config;

/// What is to be done.
#[derive(Debug, clap::Args)]
pub(super) struct RebuildOptions {
    /// Go back to the tables that were live before the last rebuild; only on Cassandra
    #[arg(long, conflicts_with = "discard")]
    roll_back: bool,
    /// Drop the tables of a generation that is not live, to go back to or on with; only on Cassandra
    #[arg(long, value_name = "GENERATION")]
    discard: Option<u32>,
}

/// Does it, on the tables that the configuration names.
pub(super) async fn rebuild(
    config: &Config,
    options: RebuildOptions,
    adapters: impl AsyncFnOnce(&Config) -> anyhow::Result<Adapters>,
) -> anyhow::Result<()> {
    must_have_log(config)?;
    let RebuildOptions { roll_back, discard } = options;
    if config.store.kind == Kind::Embedded {
        let plain = !roll_back && discard.is_none();
        ensure!(
            plain,
            "embedded tables have no generations: the old ones are folders beside the new"
        );
        return aside::rebuild(config, adapters).await;
    }
    let adapters = adapters(config).await?;
    let done = match discard.map(Generation) {
        Some(generation) => beside::discard(&adapters, generation).await,
        None if roll_back => beside::roll_back(config, &adapters).await,
        None => beside::rebuild(config, &adapters).await,
    };
    let closed = adapters.close(config.shutdown_within).await;
    done.and(closed)
}
