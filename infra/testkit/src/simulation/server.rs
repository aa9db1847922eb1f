//! Servers: the real roles, put together on ports in memory as the node does it.

use std::sync::Arc;
use std::time::Duration;

use delivery::{Applied, Delivery, GatewayPorts, LiveGeneration};
use infra_node::applied::AppliedInStore;
use infra_node::bridge::{AppliedOf, CommandsOf};
use infra_ports::memory::SimRuntime;
use infra_ports::memory::runtime::Node;
use infra_ports::{EventLog, Runtime, TableStore};
use ingest::Ingest;
use parking_lot::Mutex;
use projectors::{Projectors, Share, generations};
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

/// Starts the projectors, over their share of the partitions.
pub(super) fn start_projectors(ports: &Ports, shape: &Shape, share: &Share) -> Projectors {
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
    projectors::start(&given, &config, generations::FIRST, share)
}

/// Starts ingest and delivery, which ask the projectors of their process how far they are, and the
/// store where others have the partition.
///
/// # Errors
/// When a port does not answer: the process ends and is started again.
pub(super) async fn start_edge(
    ports: &Ports,
    shape: &Shape,
    projectors: Option<&Projectors>,
) -> anyhow::Result<Delivery> {
    let runtime: Arc<dyn Runtime> = Arc::new(ports.runtime.clone());
    let config = ingest::Config::default();
    let ingest = Ingest::new(
        &config,
        keys(),
        Arc::clone(&ports.log),
        Arc::clone(&runtime),
    );
    let applied = applied(ports, shape, projectors);
    let ports = GatewayPorts {
        config: shape.delivery.clone(),
        log: Arc::clone(&ports.log),
        store: Arc::clone(&ports.store),
        runtime,
        commands: Arc::new(CommandsOf(ingest)),
        applied,
        live: LiveGeneration::new(generations::FIRST),
    };
    Ok(Delivery::start(ports).await?)
}

fn applied(ports: &Ports, shape: &Shape, projectors: Option<&Projectors>) -> Arc<dyn Applied> {
    let runtime: Arc<dyn Runtime> = Arc::new(ports.runtime.clone());
    let (store, tasks) = (Arc::clone(&ports.store), Arc::clone(&runtime));
    let in_store = || AppliedInStore::start(store, tasks, generations::FIRST);
    match projectors.map(|own| AppliedOf::new(own.statuses(), runtime)) {
        Some(own) if shape.is_shared() => Arc::new(own.or_else(in_store())),
        Some(own) => Arc::new(own),
        None => in_store(),
    }
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
            Composition::Shared { whole, folds } => {
                let serves = [true]
                    .repeat(whole)
                    .into_iter()
                    .chain([false].repeat(folds));
                let numbered = (1..).zip(serves);
                numbered
                    .map(|(node, serves)| server(node, true, serves))
                    .collect()
            }
        }
    }
}
