//! The parts of the way of a message that a process runs, by its roles: how they are put together, and
//! in which order they go.
//!
//! With a registry of its own only (`memory`) a gateway is linked to the worker beside it by a call. With
//! one that processes share, a worker serves its link and says where, and a gateway is linked to every
//! worker that is found.

use std::sync::Arc;
use std::time::Duration;

use delivery::{Delivery, GatewayPorts, GatewayRole, Router, WorkerRole};
use infra_ports::registry::NodeName;
use infra_ports::watch;
use ingest::Ingest;
use projectors::Stop;

use crate::adapters::Adapters;
use crate::adapters::registry::Kind;
use crate::bridge::CommandsOf;
use crate::config::Config;
use crate::following::Tables;
use crate::links::{self, Linked, Served};

/// What runs of the way of a message.
pub(crate) struct Parts {
    pub(crate) worker: Option<WorkerRole>,
    pub(crate) gateway: Option<GatewayRole>,
    /// The gateway's link to the workers of many processes.
    pub(crate) router: Option<Router>,
    pub(crate) tables: Tables,
    pub(crate) served: Option<Served>,
    stop_looking: watch::Sender<bool>,
}

impl Parts {
    /// Starts what the roles name.
    ///
    /// # Errors
    /// When the log does not answer, or the link cannot be served.
    pub(crate) async fn start(
        config: &Config,
        adapters: &Adapters,
        ingest: &Ingest,
    ) -> anyhow::Result<Self> {
        let stop_looking = watch::Sender::new(false);
        let mut parts = Self {
            worker: None,
            gateway: None,
            router: None,
            tables: Tables::take_up(config, adapters, stop_looking.subscribe())?,
            served: None,
            stop_looking,
        };
        if config.registry.kind == Kind::Memory && config.roles.worker {
            let ports = parts.gateway_ports(config, adapters, ingest);
            let delivery = Delivery::start(ports).await?;
            (parts.worker, parts.gateway) = (Some(delivery.worker), Some(delivery.gateway));
            return Ok(parts);
        }
        let name = links::name(config)?;
        if config.roles.worker {
            parts.serve(config, adapters, name.clone()).await?;
        }
        if config.roles.serves_clients() {
            let linked = Linked {
                name,
                registry: Arc::clone(&adapters.registry),
                runtime: Arc::clone(&adapters.runtime),
                own: parts.served.as_ref().map(Served::own),
                partitions: adapters.log.partitions(),
            };
            let link = linked.prepare(config, parts.stop_looking.subscribe())?;
            let ports = parts.gateway_ports(config, adapters, ingest);
            let gateway = GatewayRole::start(ports, |deliveries| {
                let router = link(deliveries);
                parts.router = Some(router.clone());
                Arc::new(router)
            });
            parts.gateway = Some(gateway);
        }
        Ok(parts)
    }

    async fn serve(
        &mut self,
        config: &Config,
        adapters: &Adapters,
        name: NodeName,
    ) -> anyhow::Result<()> {
        let (log, runtime) = (Arc::clone(&adapters.log), Arc::clone(&adapters.runtime));
        let worker = WorkerRole::prepare(&*log, &config.delivery).await?;
        let (registry, tasks) = (Arc::clone(&adapters.registry), Arc::clone(&runtime));
        let served = Served::start(config, name, registry, tasks, worker.clone())?;
        worker.start(log, runtime);
        (self.worker, self.served) = (Some(worker), Some(served));
        Ok(())
    }

    fn gateway_ports(&self, config: &Config, adapters: &Adapters, ingest: &Ingest) -> GatewayPorts {
        GatewayPorts {
            config: config.delivery.clone(),
            log: Arc::clone(&adapters.log),
            store: Arc::clone(&adapters.store),
            runtime: Arc::clone(&adapters.runtime),
            commands: Arc::new(CommandsOf(ingest.clone())),
            applied: Arc::clone(&self.tables.applied),
            live: self.tables.live.clone(),
        }
    }

    /// Sends clients away, and ends the worker once the gateways of other processes have left it, or
    /// `within` is over.
    pub(crate) async fn end_delivery(&self, reconnect_to: Option<String>, within: Duration) {
        if let Some(gateway) = &self.gateway {
            gateway.shutdown(reconnect_to).await;
        }
        self.stop_looking.send_replace(true);
        if let Some(served) = &self.served {
            served
                .leave(within, usize::from(self.gateway.is_some()))
                .await;
        }
        if let Some(worker) = &self.worker {
            worker.stop();
        }
    }

    /// True for everybody who asks once delivery ends.
    pub(crate) fn ending(&self) -> watch::Receiver<bool> {
        self.stop_looking.subscribe()
    }

    /// Lets the workers of other processes go, when nobody is served any more.
    pub(crate) fn end_link(&self) {
        if let Some(router) = &self.router {
            router.close();
        }
    }

    /// Has the projections write what they folded, and ends them.
    ///
    /// # Errors
    /// Why one had stopped by itself.
    pub(crate) async fn end_projectors(&self) -> Result<(), Stop> {
        self.tables.folding.end().await
    }
}
