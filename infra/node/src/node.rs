//! A node: every role in one process.
//!
//! Start: the log is opened (a torn tail is cut and reported, damage stops the start), topics are
//! created, sockets are served at once. The tables are opened beside: a command needs none, whoever
//! reads waits for them, and when they do not open the node goes down and says why. Projectors take
//! up their checkpoints then; `/readyz` turns green when they have caught up.
//!
//! Shutdown, within `shutdown_within`: no new connections, clients are told where to go and closed
//! with 1012, projectors write what they folded, log and store are closed; what fails on the way is
//! told at the end. Nothing depends on a shutdown being orderly: `kill -9` loses nothing either.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use delivery::Delivery;
use ingest::Ingest;
use projectors::{Projectors, Share};
use schemas::ids::{DeviceId, UserId};
use schemas::position::Generation;
use schemas::topics::TOPICS;

pub use crate::adapters::Adapters;
use crate::adapters::log::log_folder;
use crate::bridge::{AppliedOf, CommandsOf, VerdictsOf};
use crate::config::Config;
use crate::health::{Health, Watched};
use crate::http::{Doors, OpenDoors, connect_route, operator_routes};
use crate::troubles::Troubles;
use crate::{keys, schema_registry, telemetry};

/// The build of the tables that a new node begins with.
pub const FIRST_GENERATION: Generation = Generation(1);
/// How long a token that the node mints is valid.
const TOKEN_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A running node.
pub struct Node {
    /// Apart: a node is moved about, and all that can be configured is large.
    config: Box<Config>,
    adapters: Adapters,
    doors: OpenDoors,
    ingest: Ingest,
    delivery: Delivery,
    projectors: Projectors,
    health: Arc<Health>,
    schemas: Option<schema_registry::Served>,
    has_development_key: bool,
}

impl Node {
    /// Starts a node on these adapters.
    ///
    /// # Errors
    /// When settings contradict each other, the port is taken, no token could be valid, or log or store do not answer.
    pub async fn start(config: Config, adapters: Adapters) -> anyhow::Result<Self> {
        config.check()?;
        let metrics = telemetry::start_metrics()?;
        let doors = Doors::bind(&config)?;
        let keys = keys::node_keys(&config, doors.address()?)?;
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
        let groups = adapters.groups.clone();
        let share = groups.map_or_else(Share::everything, Share::of);
        let projectors = projectors::start(&ports, &config.projectors, FIRST_GENERATION, &share);
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
        let limits = doors.limits();
        // Of its own, so that starts without one stay small.
        let schemas = schema_registry::Served::start(&config, Arc::clone(&runtime), limits);
        let schemas = Box::pin(schemas).await?;
        let verdicts = Arc::new(VerdictsOf(delivery.clone()));
        let for_clients = ingest::router(ingest.clone(), verdicts)
            .merge(delivery.router())
            .merge(connect_route(
                delivery.clone(),
                runtime,
                ingest.clone(),
                config.sockets_without_hello,
            ));
        let for_operators = operator_routes(Arc::clone(&health), metrics);
        let doors = doors.open(for_clients, for_operators, &ingest)?;
        tracing::info!(address = %doors.address, data = %config.data.display(), "listening");
        Ok(Self {
            config: Box::new(config),
            adapters,
            doors,
            ingest,
            delivery,
            projectors,
            health,
            schemas,
            has_development_key,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.doors.address
    }

    /// Where operators ask.
    pub fn operators_address(&self) -> SocketAddr {
        self.doors.operators_address
    }

    /// Where the schema registry is served, if it is.
    pub fn schemas_address(&self) -> Option<SocketAddr> {
        self.schemas.as_ref().map(|served| served.address)
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
        // The doors close at once; requests that run get their verdicts while sessions leave.
        tokio::join!(
            self.delivery.shutdown(self.config.reconnect_to.clone()),
            self.doors.close(part),
            async {
                if let Some(schemas) = &self.schemas {
                    schemas.close(part).await;
                }
            }
        );
        let mut troubles = Troubles::default();
        let stopped = self.projectors.stop().await;
        troubles.note("a projection had stopped by itself", stopped);
        troubles.take_over(self.adapters.close(part).await);
        troubles.found()
    }
}
