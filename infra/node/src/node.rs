//! A node: the roles of one process, all of them unless it is told otherwise.
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
use axum::Router;
use ingest::{Ingest, Keys};
use schemas::ids::{DeviceId, UserId};

pub use crate::adapters::Adapters;
use crate::adapters::log::log_folder;
use crate::bridge::VerdictsOf;
use crate::config::Config;
use crate::health::{Health, Watched};
use crate::http::{Doors, OpenDoors, connect_route, operator_routes};
use crate::parts::Parts;
use crate::troubles::Troubles;
use crate::{keys, schema_registry, telemetry};

/// How long a token that the node mints is valid.
const TOKEN_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A running node.
pub struct Node {
    shutdown_within: Duration,
    /// Where clients are sent at the end.
    reconnect_to: Option<String>,
    adapters: Adapters,
    doors: OpenDoors,
    ingest: Ingest,
    parts: Parts,
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
        let keys = match config.roles.serves_clients() {
            true => keys::node_keys(&config, doors.address()?)?,
            false => Keys::default(),
        };
        let has_development_key = keys.has_development_key();
        adapters.create_topics().await.context("topics")?;
        let (log, runtime) = (Arc::clone(&adapters.log), Arc::clone(&adapters.runtime));
        let ingest = Ingest::new(&config.ingest, keys, log, Arc::clone(&runtime));
        let parts = Box::pin(Parts::start(&config, &adapters, &ingest)).await?;
        let upkeep = telemetry::keep_up(
            metrics.clone(),
            parts.gateway.clone(),
            log_folder(&config),
            Arc::clone(&runtime),
            parts.ending(),
        );
        runtime.spawn("metrics-upkeep", Box::pin(upkeep));
        let health = Health::start(Watched::of(&config, &adapters, &parts, &ingest));
        let limits = doors.limits();
        // Of its own, so that starts without one stay small.
        let schemas = schema_registry::Served::start(&config, Arc::clone(&runtime), limits);
        let schemas = Box::pin(schemas).await?;
        let for_clients = client_routes(&config, &adapters, &parts, &ingest);
        let for_operators = operator_routes(Arc::clone(&health), metrics);
        let doors = doors.open(for_clients, for_operators, &ingest)?;
        tracing::info!(address = %doors.address, roles = %config.roles,
            data = %config.data.display(), "listening");
        Ok(Self {
            shutdown_within: config.shutdown_within,
            reconnect_to: config.reconnect_to,
            adapters,
            doors,
            ingest,
            parts,
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
        let within = self.shutdown_within;
        let down = tokio::time::timeout(within, Box::pin(self.take_down())).await;
        down.unwrap_or_else(|_| Err(anyhow!("it took longer than {within:?}")))
    }

    async fn take_down(&self) -> anyhow::Result<()> {
        let part = self.shutdown_within / 4;
        self.health.going_down();
        // The doors close at once; requests that run get their verdicts while sessions leave.
        tokio::join!(
            self.parts.end_delivery(self.reconnect_to.clone(), part),
            self.doors.close(part),
            async {
                if let Some(schemas) = &self.schemas {
                    schemas.close(part).await;
                }
            }
        );
        self.parts.end_link();
        let mut troubles = Troubles::default();
        let stopped = self.parts.end_projectors().await;
        troubles.note("a projection had stopped by itself", stopped);
        troubles.take_over(self.adapters.close(part).await);
        troubles.found()
    }
}

/// The routes of clients, as far as the roles go.
fn client_routes(config: &Config, adapters: &Adapters, parts: &Parts, ingest: &Ingest) -> Router {
    let Some(gateway) = &parts.gateway else {
        return Router::new();
    };
    let mut routes = Router::new();
    if config.roles.serves_clients() {
        let verdicts = Arc::new(VerdictsOf(gateway.clone()));
        routes = routes.merge(ingest::router(ingest.clone(), verdicts));
    }
    if config.roles.gateway {
        routes = routes.merge(gateway.router()).merge(connect_route(
            gateway.clone(),
            Arc::clone(&adapters.runtime),
            ingest.clone(),
            config.sockets_without_hello,
        ));
    }
    routes
}
