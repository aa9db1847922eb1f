//! The adapters that a node runs on: opened before it, closed after it. Where log, tables and registry
//! are.

pub mod log;
pub mod registry;
pub mod store;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use infra_log_embedded::EmbeddedLog;
use infra_ports::groups::ConsumerGroups;
use infra_ports::registry::SessionRegistry;
use infra_ports::{EventLog, LogError, Runtime, TableStore};
use infra_runtime_tokio::TokioRuntime;
use infra_store_embedded::EmbeddedStore;
use schemas::topics::TOPICS;
use tokio::sync::Notify;

use crate::config::Config;
use crate::telemetry;
use crate::troubles::Troubles;

/// How often the log is asked to drop what is past its retention.
const RETENTION_EVERY: Duration = Duration::from_secs(60 * 60);
/// How often the store takes stock for the metrics.
const STOCK_EVERY: Duration = Duration::from_secs(5);

/// What the chats fold appends to `users` the worker hands out: one thread, no wake-up between.
const HAND_IN_HAND: [&str; 3] = ["chats", "delivery-worker", "delivery-answers"];

/// The adapters that a node runs on.
#[derive(Clone)]
pub struct Adapters {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Groups in which processes share the log's partitions; none where log or tables are one
    /// process's, which then has them all.
    pub groups: Option<Arc<dyn ConsumerGroups>>,
    /// The store.
    pub store: Arc<dyn TableStore>,
    /// What is under it, which the node may still wait for.
    pub tables: store::Behind,
    /// Where processes find each other.
    pub registry: Arc<dyn SessionRegistry>,
    /// Tasks, time and chance, as the domain sees them.
    pub runtime: Arc<dyn Runtime>,
    /// The same, to be waited for at the end.
    pub tasks: TokioRuntime,
    /// Told when the adapters are closed.
    pub ending: Arc<Notify>,
}

impl Adapters {
    /// The log and the store that the configuration names. Embedded tables are opened beside, a
    /// cluster for them is connected to beside: see [`no_tables`](Self::no_tables).
    ///
    /// # Errors
    /// When they cannot be opened: another process has them, the log is damaged before its tail, no
    /// broker answers, or they are of another format or partition count. The message names the place.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        telemetry::start_metrics()?;
        let tasks = TokioRuntime::new(tokio::runtime::Handle::current()).sharing(&HAND_IN_HAND);
        let runtime: Arc<dyn Runtime> = Arc::new(tasks.clone());
        let ending = Arc::new(Notify::new());
        let (log, groups): (Arc<dyn EventLog>, Option<Arc<dyn ConsumerGroups>>) =
            match config.log.kind {
                log::Kind::Embedded => {
                    let log = log::open_embedded(config)?;
                    let kept = (Arc::clone(&log), Arc::clone(&runtime), Arc::clone(&ending));
                    let retention = keep_retention(kept.0, kept.1, kept.2);
                    runtime.spawn_dedicated("retention", Box::pin(retention));
                    (log, None)
                }
                log::Kind::Kafka => {
                    let log = log::connect_kafka(config).await?;
                    let groups = Arc::clone(&log);
                    (log, Some(groups as _))
                }
            };
        let (store, tables): (Arc<dyn TableStore>, _) = match config.store.kind {
            store::Kind::Embedded => {
                let store = store::open_embedded(config)?;
                let stock = keep_stock(store.clone(), Arc::clone(&runtime));
                runtime.spawn("store-stock", Box::pin(stock));
                (Arc::new(store.clone()), store::Behind::Embedded(store))
            }
            store::Kind::Cassandra => {
                let store = store::connect_cassandra(config)?;
                (Arc::clone(&store) as _, store::Behind::Cassandra(store))
            }
        };
        let groups = groups.filter(|_| config.store.kind == store::Kind::Cassandra);
        let registry = registry::open(&config.registry, &runtime)?;
        Ok(Self {
            log,
            groups,
            store,
            tables,
            registry,
            runtime,
            tasks,
            ending,
        })
    }

    /// What projections need of them.
    pub(crate) fn ports(&self) -> projectors::Ports {
        projectors::Ports {
            log: Arc::clone(&self.log),
            store: Arc::clone(&self.store),
            runtime: Arc::clone(&self.runtime),
        }
    }

    /// The same, once tables and log have answered and every topic is there. A node waits for tables that
    /// do not answer; whoever runs a tool wants to be told.
    ///
    /// # Errors
    /// When one does not answer.
    pub(crate) async fn ports_that_answer(&self) -> anyhow::Result<projectors::Ports> {
        self.store.sync().await.context("the tables")?;
        self.create_topics().await?;
        Ok(self.ports())
    }

    /// Creates every topic that is not there yet.
    ///
    /// # Errors
    /// Those of the log.
    pub(crate) async fn create_topics(&self) -> Result<(), LogError> {
        let topics = TOPICS.map(|spec| spec.topic);
        self.log.create_topics(&topics).await
    }

    /// Waits until it turns out that the tables do not open, and says why; for ever when they do.
    pub async fn no_tables(&self) -> anyhow::Error {
        self.tables.never().await
    }

    /// Closes log and store, and waits for the dedicated tasks. Each is tried, whatever became of
    /// the one before.
    ///
    /// # Errors
    /// What failed, all of it. Nothing that was acknowledged is lost by it.
    pub async fn close(&self, within: Duration) -> anyhow::Result<()> {
        let mut troubles = Troubles::default();
        troubles.note("closing the log", self.log.close().await);
        troubles.note("closing the tables", self.store.close().await);
        self.ending.notify_one();
        for task in self.tasks.shutdown(within).await {
            troubles.note(task, Err("did not end in time"));
        }
        troubles.found()
    }
}

/// Drops whole segments whose time is over, now and then. On a thread of its own: deleting a file
/// takes its time.
async fn keep_retention(log: Arc<EmbeddedLog>, runtime: Arc<dyn Runtime>, ending: Arc<Notify>) {
    loop {
        match log.enforce_retention(runtime.now()) {
            Ok(0) => {}
            Ok(segments) => tracing::info!(segments, "segments past their retention dropped"),
            Err(LogError::Closed) => return,
            Err(error) => tracing::warn!(%error, "retention is not enforced"),
        }
        tokio::select! {
            biased;
            () = ending.notified() => return,
            () = runtime.sleep(RETENTION_EVERY) => {}
        }
    }
}

/// Has the store take stock for the metrics, until it is closed.
async fn keep_stock(store: EmbeddedStore, runtime: Arc<dyn Runtime>) {
    if store.opened().await.is_err() {
        return;
    }
    while store.take_stock() {
        runtime.sleep(STOCK_EVERY).await;
    }
}
