//! The log that a node runs on: embedded, or on Kafka.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use infra_log_embedded::EmbeddedLog;
use infra_log_kafka::KafkaLog;
use serde::{Deserialize, Serialize};

use crate::config::Config as NodeConfig;
use crate::schema_registry;

/// Which log, and the settings of each kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where events are kept: `embedded` in the data folder, or on a cluster of `kafka`.
    pub kind: Kind,
    /// The embedded log.
    pub embedded: infra_log_embedded::Config,
    /// The log on Kafka.
    pub kafka: infra_log_kafka::Config,
}

/// The kinds of log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// In the data folder, of this process only.
    #[default]
    Embedded,
    /// On Apache Kafka.
    Kafka,
}

pub(crate) fn log_folder(config: &NodeConfig) -> PathBuf {
    config.data.join("log")
}

/// Refuses a data folder without an embedded log: opening would make one, and where nothing is
/// nothing can be wrong. Connecting to a cluster makes nothing.
pub(crate) fn must_have_log(config: &NodeConfig) -> anyhow::Result<()> {
    let folder = log_folder(config);
    let found = config.log.kind == Kind::Kafka || EmbeddedLog::is_in(&folder);
    ensure!(found, "there is no log in {}", folder.display());
    Ok(())
}

pub(crate) fn open_embedded(config: &NodeConfig) -> anyhow::Result<Arc<EmbeddedLog>> {
    let settings = infra_log_embedded::Config {
        directory: log_folder(config),
        ..config.log.embedded.clone()
    };
    let folder = settings.directory.display().to_string();
    let log = EmbeddedLog::open(settings);
    Ok(Arc::new(
        log.with_context(|| format!("the log in {folder}"))?,
    ))
}

pub(super) async fn connect_kafka(config: &NodeConfig) -> anyhow::Result<Arc<KafkaLog>> {
    let settings = infra_log_kafka::Config {
        schema_ids: schema_registry::ids(&config.schema_registry).await?,
        ..config.log.kafka.clone()
    };
    let log = KafkaLog::connect(settings).await;
    Ok(Arc::new(log.context("the log on Kafka")?))
}
