//! The table store that a node runs on: embedded, or on Cassandra.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use infra_store_embedded::{EmbeddedStore, is_store};
use infra_store_scylla::ScyllaStore;
use serde::{Deserialize, Serialize};

use crate::config::Config as NodeConfig;

/// Which store, and the settings of each kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where tables are kept: `embedded` in the data folder, or on a cluster of `cassandra` (or
    /// ScyllaDB).
    pub kind: Kind,
    /// The embedded store.
    pub embedded: infra_store_embedded::Config,
    /// The store on Cassandra.
    pub cassandra: infra_store_scylla::Config,
}

/// The kinds of store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// In the data folder, of this process only.
    #[default]
    Embedded,
    /// On Apache Cassandra or ScyllaDB.
    Cassandra,
}

/// Refuses a data folder without embedded tables: opening would make some, and where nothing is
/// nothing can be wrong.
pub(crate) fn must_have_tables(config: &NodeConfig) -> anyhow::Result<()> {
    let folder = tables_folder(config);
    let found = config.store.kind == Kind::Cassandra || is_store(&folder);
    ensure!(found, "there are no tables in {}", folder.display());
    Ok(())
}

pub(crate) fn tables_folder(config: &NodeConfig) -> PathBuf {
    config.data.join("tables")
}

pub(super) fn open_embedded(config: &NodeConfig) -> anyhow::Result<EmbeddedStore> {
    let settings = infra_store_embedded::Config {
        path: tables_folder(config),
        ..config.store.embedded.clone()
    };
    let store = EmbeddedStore::open_behind(&settings);
    store.with_context(|| format!("the tables in {}", settings.path.display()))
}

pub(super) fn connect_cassandra(config: &NodeConfig) -> anyhow::Result<Arc<ScyllaStore>> {
    let store = ScyllaStore::connect_behind(config.store.cassandra.clone());
    Ok(Arc::new(store.context("the tables on Cassandra")?))
}

/// Tables that are made accessible beside, while the node takes commands already.
#[derive(Clone)]
pub enum Behind {
    /// Embedded ones, whose journals are read.
    Embedded(EmbeddedStore),
    /// A cluster, which may not answer yet.
    Cassandra(Arc<ScyllaStore>),
}

impl Behind {
    /// What they wait for, in a word, and why, when that is known; none when they are there.
    pub(crate) fn awaits(&self) -> Option<(&'static str, Option<String>)> {
        match self {
            Self::Embedded(store) => (!store.is_open()).then_some(("opening", None)),
            Self::Cassandra(store) => store.awaits().map(|reason| ("connecting", reason)),
        }
    }

    /// Waits until it turns out that they will never be there, and says why; for ever when they
    /// are or may be.
    pub(crate) async fn never(&self) -> anyhow::Error {
        if let Self::Embedded(store) = self
            && let Err(error) = store.opened().await
        {
            return anyhow::Error::new(error).context("the tables");
        }
        std::future::pending().await
    }
}
