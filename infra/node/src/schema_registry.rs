//! The schema registry of this node, or another one that it asks once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use infra_log_embedded::FileJournal;
use infra_log_kafka::KafkaJournal;
use infra_ports::Runtime;
use infra_ports::journal::Journal;
use infra_schema_registry::{Other, Registry, Writers, router};
use schemas::avro::SchemaIds;
use serde::{Deserialize, Serialize};

use crate::adapters::log::Kind;
use crate::config::Config as NodeConfig;
use crate::http::{Limits, Server, bind};

/// The topic of the journal on Kafka, behind the platform's prefix.
const TOPIC: &str = "schema-registry";

/// Settings of the schema registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the schema registry is served, as `127.0.0.1:8081`; without it, it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// File that names who may change what the registry holds, one a line: `basic user:password` or
    /// `bearer token`; without it, whoever is on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writers: Option<PathBuf>,
    /// Another registry, as `http://10.0.0.1:8081`: the ids of schemas on Kafka are those that it gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// File with what the other registry asks for, a line as in the file of writers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<PathBuf>,
    /// How long the other registry may take for an answer.
    #[serde(with = "humantime_serde")]
    pub answer_within: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: None,
            writers: None,
            url: None,
            credentials: None,
            answer_within: Duration::from_secs(10),
        }
    }
}

/// The ids that stand on Kafka: our own, or those that another registry gave.
///
/// # Errors
/// When another registry is named and does not take our schemas.
pub(crate) async fn ids(config: &Config) -> anyhow::Result<Arc<SchemaIds>> {
    let Some(url) = &config.url else {
        return Ok(SchemaIds::fixed());
    };
    let credentials = match &config.credentials {
        None => None,
        Some(path) => {
            let read = std::fs::read_to_string(path);
            Some(read.with_context(|| format!("cannot read {}", path.display()))?)
        }
    };
    let other = Other::new(url, credentials.as_deref(), config.answer_within)?;
    let learnt = tokio::task::spawn_blocking(move || other.learn()).await??;
    tracing::info!(%url, "ids of schemas learnt");
    Ok(learnt)
}

/// A registry that is served.
#[derive(Debug)]
pub(crate) struct Served {
    /// Where.
    pub(crate) address: SocketAddr,
    server: Server,
}

impl Served {
    /// Serves the registry, if the configuration says where.
    ///
    /// # Errors
    /// When the address is taken, the writers cannot be read, or the journal does not answer.
    pub(crate) async fn start(
        config: &NodeConfig,
        runtime: Arc<dyn Runtime>,
        limits: Limits,
    ) -> anyhow::Result<Option<Self>> {
        let Some(listen) = config.schema_registry.listen else {
            return Ok(None);
        };
        let listener = bind(listen)?;
        let writers = match &config.schema_registry.writers {
            Some(path) => Writers::of_file(path)?,
            None => Writers::this_machine(),
        };
        let journal = journal(config).await?;
        let registry = Registry::open(journal, runtime).await;
        let registry = Arc::new(registry.context("the schema registry")?);
        let address = listener.local_addr()?;
        let server = Server::start(listener, router(registry, writers), limits);
        tracing::info!(%address, "schema registry");
        Ok(Some(Self { address, server }))
    }

    /// Closes the door and waits until running requests are answered, or the time is over.
    pub(crate) async fn close(&self, within: Duration) {
        self.server.stop(within).await;
    }
}

/// Where the registry keeps what it holds: beside the log.
async fn journal(config: &NodeConfig) -> anyhow::Result<Arc<dyn Journal>> {
    match config.log.kind {
        Kind::Embedded => {
            let path = config.data.join("schemas").join("journal");
            Ok(Arc::new(FileJournal::open(&path)?))
        }
        Kind::Kafka => {
            let journal = KafkaJournal::connect(config.log.kafka.clone(), TOPIC).await;
            Ok(Arc::new(journal.context("the schema registry's journal")?))
        }
    }
}
