//! A node: every role in one process.
//!
//! Start: the log is opened (a torn tail is cut and reported, damage stops the start), topics are
//! created, sockets are served at once. The tables are opened beside: a command needs none, whoever
//! reads waits for them, and when they do not open the node goes down and says why. Projectors take
//! up their checkpoints then; `/readyz` turns green when they have caught up. Shutdown, within `shutdown_within`: no new connections,
//! clients are told where to go and closed with 1012, projectors write what they folded, log and
//! store are closed. Nothing depends on a shutdown being orderly: `kill -9` loses nothing either.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use delivery::Delivery;
use infra_log_embedded::EmbeddedLog;
use infra_ports::{EventLog, LogError, Runtime, TableStore};
use infra_runtime_tokio::TokioRuntime;
use infra_store_embedded::{EmbeddedStore, is_store};
use ingest::Ingest;
use projectors::Projectors;
use schemas::ids::{DeviceId, UserId};
use schemas::position::Generation;
use schemas::topics::TOPICS;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::bridge::{AppliedOf, CommandsOf, VerdictsOf};
use crate::config::Config;
use crate::health::{Health, Watched};
use crate::http::{Limits, Server, bind, connect_route, limited, operator_routes, with_fallbacks};
use crate::{keys, telemetry};

/// The build of the tables that a new node begins with.
pub const FIRST_GENERATION: Generation = Generation(1);
/// How often the log is asked to drop what is past its retention.
const RETENTION_EVERY: Duration = Duration::from_secs(60 * 60);
/// How often the store takes stock for the metrics.
const STOCK_EVERY: Duration = Duration::from_secs(5);
/// How long a token that the node mints is valid.
const TOKEN_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What the chats fold appends to `users` the worker hands out: one thread, no wake-up between.
const HAND_IN_HAND: [&str; 3] = ["chats", "delivery-worker", "delivery-answers"];

/// The adapters that a node runs on.
#[derive(Clone)]
pub struct Adapters {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The store.
    pub store: Arc<dyn TableStore>,
    /// The tables under it, which may still be being opened.
    pub tables: EmbeddedStore,
    /// Tasks, time and chance, as the domain sees them.
    pub runtime: Arc<dyn Runtime>,
    /// The same, to be waited for at the end.
    pub tasks: TokioRuntime,
    /// Told when the adapters are closed.
    pub ending: Arc<Notify>,
}

impl Adapters {
    /// The embedded log and store in the configuration's data folder. The tables are opened beside:
    /// see [`no_tables`](Self::no_tables).
    ///
    /// # Errors
    /// When they cannot be opened: another process has them, the log is damaged before its tail, or
    /// they are of another format or partition count. The message names the place.
    pub fn embedded(config: &Config) -> anyhow::Result<Self> {
        telemetry::start_metrics()?;
        let tasks = TokioRuntime::new(tokio::runtime::Handle::current()).sharing(&HAND_IN_HAND);
        let runtime: Arc<dyn Runtime> = Arc::new(tasks.clone());
        let log = open_log(config)?;
        let store = open_store(config)?;
        let ending = Arc::new(Notify::new());
        let retention = keep_retention(Arc::clone(&log), Arc::clone(&runtime), Arc::clone(&ending));
        runtime.spawn_dedicated("retention", Box::pin(retention));
        let stock = keep_stock(store.clone(), Arc::clone(&runtime));
        runtime.spawn("store-stock", Box::pin(stock));
        Ok(Self {
            log,
            store: Arc::new(store.clone()),
            tables: store,
            runtime,
            tasks,
            ending,
        })
    }

    /// Waits until it turns out that the tables do not open, and says why; for ever when they do.
    pub async fn no_tables(&self) -> anyhow::Error {
        match self.tables.opened().await {
            Ok(()) => std::future::pending().await,
            Err(error) => anyhow::Error::new(error).context("the tables"),
        }
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

/// A running node.
pub struct Node {
    config: Config,
    adapters: Adapters,
    address: SocketAddr,
    ingest: Ingest,
    delivery: Delivery,
    projectors: Projectors,
    server: Server,
    /// Serves operators, where they are served apart.
    apart: Option<Server>,
    operators_address: SocketAddr,
    health: Arc<Health>,
    has_development_key: bool,
}

impl Node {
    /// Starts a node on these adapters.
    ///
    /// # Errors
    /// When the port is taken, no token could be valid, or log or store do not answer.
    pub async fn start(config: Config, adapters: Adapters) -> anyhow::Result<Self> {
        let metrics = telemetry::start_metrics()?;
        let listener = bind(config.listen)?;
        let address = listener.local_addr()?;
        let apart = config.operators_listen.map(bind).transpose()?;
        let operators_address = apart
            .as_ref()
            .map_or(Ok(address), TcpListener::local_addr)?;
        let keys = keys::node_keys(&config, address)?;
        let has_development_key = keys.has_development_key();
        let topics: Vec<_> = TOPICS.iter().map(|spec| spec.topic).collect();
        adapters
            .log
            .create_topics(&topics)
            .await
            .context("topics")?;
        let (log, store) = (Arc::clone(&adapters.log), Arc::clone(&adapters.store));
        let runtime = Arc::clone(&adapters.runtime);
        let ports = projectors::Ports {
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            runtime: Arc::clone(&runtime),
        };
        let projectors = projectors::start(&ports, &config.projectors, FIRST_GENERATION);
        let ingest = Ingest::new(&config.ingest, keys, Arc::clone(&log), Arc::clone(&runtime));
        let delivery = Delivery::start(
            config.delivery.clone(),
            log,
            store,
            Arc::clone(&runtime),
            Arc::new(CommandsOf(ingest.clone())),
            Arc::new(AppliedOf::new(projectors.statuses(), Arc::clone(&runtime))),
            delivery::LiveGeneration::new(FIRST_GENERATION),
        )
        .await?;
        let upkeep = telemetry::keep_up(
            metrics.clone(),
            delivery.clone(),
            log_folder(&config),
            Arc::clone(&runtime),
        );
        runtime.spawn("metrics-upkeep", Box::pin(upkeep));
        let health = Health::start(Watched {
            runtime: Arc::clone(&runtime),
            log: Arc::clone(&adapters.log),
            tables: adapters.tables.clone(),
            ingest: ingest.clone(),
            projections: projectors.statuses(),
            delivery: delivery.clone(),
            ready_lag: config.ready_lag,
        });
        let verdicts = Arc::new(VerdictsOf(delivery.clone()));
        let mut routes = ingest::router(ingest.clone(), verdicts)
            .merge(delivery.router())
            .merge(connect_route(delivery.clone(), runtime, ingest.clone()));
        let for_operators = operator_routes(Arc::clone(&health), metrics);
        let limits = Limits {
            verdict_within: config.ingest.verdict_within,
            connections: config.connections,
            per_address: config.connections_per_address,
        };
        let apart = match apart {
            Some(listener) => Some(Server::start(listener, for_operators, limits)),
            None => {
                routes = routes.merge(limited(for_operators, ingest.clone()));
                None
            }
        };
        let server = Server::start(listener, with_fallbacks(routes, &ingest), limits);
        tracing::info!(%address, data = %config.data.display(), "listening");
        Ok(Self {
            config,
            adapters,
            address,
            ingest,
            delivery,
            projectors,
            server,
            apart,
            operators_address,
            health,
            has_development_key,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where operators ask.
    pub fn operators_address(&self) -> SocketAddr {
        self.operators_address
    }

    /// True when tokens can be minted from the development key.
    pub fn has_development_key(&self) -> bool {
        self.has_development_key
    }

    /// A token from the development key, valid for a day.
    ///
    /// # Errors
    /// When the node does not use a development key.
    pub fn mint(&self, user: &UserId, device: &DeviceId) -> anyhow::Result<String> {
        Ok(self.ingest.mint(user, device, TOKEN_FOR)?)
    }

    /// Takes the node down in order, within the time configured.
    ///
    /// # Errors
    /// What did not go in order: a projection had stopped by itself, something could not be closed,
    /// or the time was over. Nothing that was acknowledged is lost by it.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        let within = self.config.shutdown_within;
        let down = tokio::time::timeout(within, self.take_down()).await;
        down.unwrap_or_else(|_| Err(anyhow!("it took longer than {within:?}")))
    }

    async fn take_down(&self) -> anyhow::Result<()> {
        let part = self.config.shutdown_within / 4;
        self.health.going_down();
        // The listener closes at once; requests that run get their verdicts while sessions leave.
        tokio::join!(
            self.delivery.shutdown(self.config.reconnect_to.clone()),
            self.server.stop(part)
        );
        let mut troubles = Troubles::default();
        if let Some(server) = &self.apart {
            server.stop(part).await;
        }
        let stopped = self.projectors.stop().await;
        troubles.note("a projection had stopped by itself", stopped);
        troubles.take_over(self.adapters.close(part).await);
        troubles.found()
    }
}

/// What went wrong on the way down, which goes on all the same.
#[derive(Default)]
struct Troubles(Vec<String>);

impl Troubles {
    fn note(&mut self, what: &str, outcome: Result<(), impl Display>) {
        if let Err(error) = outcome {
            self.0.push(format!("{what}: {error}"));
        }
    }

    fn take_over(&mut self, outcome: anyhow::Result<()>) {
        self.0
            .extend(outcome.err().map(|error| format!("{error:#}")));
    }

    fn found(self) -> anyhow::Result<()> {
        if !self.0.is_empty() {
            bail!("{}", self.0.join("; "));
        }
        Ok(())
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

/// Refuses a data folder without a log: opening would make one, and where nothing is nothing can be
/// wrong.
pub(crate) fn must_have_log(config: &Config) -> anyhow::Result<()> {
    let folder = log_folder(config);
    let found = EmbeddedLog::is_in(&folder);
    ensure!(found, "there is no log in {}", folder.display());
    Ok(())
}

/// Refuses a data folder without tables, for the same reason.
pub(crate) fn must_have_tables(config: &Config) -> anyhow::Result<()> {
    let folder = tables_folder(config);
    let found = is_store(&folder);
    ensure!(found, "there are no tables in {}", folder.display());
    Ok(())
}

fn log_folder(config: &Config) -> PathBuf {
    config.data.join("log")
}

pub(crate) fn tables_folder(config: &Config) -> PathBuf {
    config.data.join("tables")
}

pub(crate) fn open_log(config: &Config) -> anyhow::Result<Arc<EmbeddedLog>> {
    let settings = infra_log_embedded::Config {
        directory: log_folder(config),
        ..config.log.clone()
    };
    let folder = settings.directory.display().to_string();
    let log = EmbeddedLog::open(settings);
    Ok(Arc::new(
        log.with_context(|| format!("the log in {folder}"))?,
    ))
}

fn open_store(config: &Config) -> anyhow::Result<EmbeddedStore> {
    let settings = infra_store_embedded::Config {
        path: tables_folder(config),
        ..config.store.clone()
    };
    let store = EmbeddedStore::open_behind(&settings);
    store.with_context(|| format!("the tables in {}", settings.path.display()))
}
