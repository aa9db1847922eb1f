//! Servers: the real roles, put together on ports in memory as the node does it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use delivery::{Applied, Delivery, GatewayPorts, LiveGeneration};
use infra_node::bridge::{AppliedOf, CommandsOf};
use infra_node::node::FIRST_GENERATION;
use infra_ports::memory::SimRuntime;
use infra_ports::memory::runtime::Node;
use infra_ports::{EventLog, Runtime, TableStore};
use ingest::Ingest;
use parking_lot::Mutex;
use projectors::{Projectors, Share};
use schemas::position::{Offset, Partition};
use schemas::topics::TOPICS;

use super::network::keys;
use super::plan::{Composition, Shape};

/// The ports of one boot of one node.
#[derive(Clone)]
pub(super) struct Ports {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) store: Arc<dyn TableStore>,
    pub(super) runtime: SimRuntime,
}

/// The projectors that are at work now, wherever they run: who serves asks them how far they are.
#[derive(Default)]
pub(super) struct AtWork(Mutex<Option<Arc<AppliedOf>>>);

impl AtWork {
    pub(super) fn set(&self, projectors: &Projectors, runtime: &SimRuntime) {
        let runtime: Arc<dyn Runtime> = Arc::new(runtime.clone());
        let applied = AppliedOf::new(projectors.statuses(), runtime);
        *self.0.lock() = Some(Arc::new(applied));
    }

    fn now(&self) -> Option<Arc<AppliedOf>> {
        self.0.lock().clone()
    }
}

/// What a gateway knows of the projectors, over their lives.
struct Asked {
    at_work: Arc<AtWork>,
    runtime: SimRuntime,
}

#[async_trait]
impl Applied for Asked {
    fn applied(&self, projection: &'static str, partition: Partition) -> Offset {
        let now = self.at_work.now();
        now.map_or(Offset(0), |now| now.applied(projection, partition))
    }

    async fn wait_applied(
        &self,
        projection: &'static str,
        partition: Partition,
        offset: Offset,
        timeout: Duration,
    ) -> bool {
        if let Some(now) = self.at_work.now() {
            return now
                .wait_applied(projection, partition, offset, timeout)
                .await;
        }
        self.runtime.sleep(timeout).await;
        false
    }
}

/// Starts the projectors.
pub(super) fn start_projectors(ports: &Ports, shape: &Shape) -> Projectors {
    let given = projectors::Ports {
        log: Arc::clone(&ports.log),
        store: Arc::clone(&ports.store),
        runtime: Arc::new(ports.runtime.clone()),
    };
    let engine = &shape.engine;
    let config = projectors::Config {
        chats: engine.clone(),
        inbox: engine.clone(),
        receipts: engine.clone(),
        settings: engine.clone(),
    };
    projectors::start(&given, &config, FIRST_GENERATION, &Share::everything())
}

/// Starts ingest and delivery.
///
/// # Errors
/// When a port does not answer: the process ends and is started again.
pub(super) async fn start_edge(
    ports: &Ports,
    shape: &Shape,
    at_work: Arc<AtWork>,
) -> anyhow::Result<Delivery> {
    let runtime: Arc<dyn Runtime> = Arc::new(ports.runtime.clone());
    let config = ingest::Config::default();
    let ingest = Ingest::new(
        &config,
        keys(),
        Arc::clone(&ports.log),
        Arc::clone(&runtime),
    );
    let applied = Asked {
        at_work,
        runtime: ports.runtime.clone(),
    };
    let ports = GatewayPorts {
        config: shape.delivery.clone(),
        log: Arc::clone(&ports.log),
        store: Arc::clone(&ports.store),
        runtime,
        commands: Arc::new(CommandsOf(ingest)),
        applied: Arc::new(applied),
        live: LiveGeneration::new(FIRST_GENERATION),
    };
    Ok(Delivery::start(ports).await?)
}

/// Creates the topics.
///
/// # Errors
/// When the log does not answer.
pub(super) async fn prepare(ports: &Ports) -> anyhow::Result<()> {
    let topics: Vec<_> = TOPICS.iter().map(|spec| spec.topic).collect();
    Ok(ports.log.create_topics(&topics).await?)
}

/// What runs on a node, for those who supervise it.
pub(super) struct Running {
    pub(super) projectors: Option<Projectors>,
    pub(super) delivery: Option<Delivery>,
}

/// A node's place.
pub(super) struct Server {
    pub(super) node: Node,
    pub(super) runs_projectors: bool,
    pub(super) runs_edge: bool,
    /// What runs there; none while it is down or boots.
    pub(super) running: Arc<Mutex<Option<Running>>>,
    /// The process ended by itself.
    pub(super) failed: Arc<std::sync::atomic::AtomicBool>,
    /// When it is started again.
    pub(super) boots_at: Option<Duration>,
    /// Since when it is not well.
    pub(super) unwell_since: Option<Duration>,
}

impl Server {
    /// The nodes of a world, all down.
    pub(super) fn all(shape: &Shape) -> Vec<Self> {
        let server = |node, runs_projectors, runs_edge| Self {
            node: Node(node),
            runs_projectors,
            runs_edge,
            running: Arc::default(),
            failed: Arc::default(),
            boots_at: None,
            unwell_since: None,
        };
        match shape.composition {
            Composition::Together => vec![server(1, true, true)],
            Composition::Apart { edges } => {
                let edges = (2..).take(edges).map(|node| server(node, false, true));
                std::iter::once(server(1, true, false))
                    .chain(edges)
                    .collect()
            }
        }
    }
}
