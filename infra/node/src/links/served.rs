//! A worker whose link is served to gateways of other processes, and that says where.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use delivery::WorkerRole;
use infra_link_tcp::LinkServer;
use infra_ports::registry::{Fence, Lease, NodeName, SessionRegistry};
use infra_ports::{Runtime, watch};

use super::lease::Keeper;
use crate::config::Config;

/// How often a worker that leaves looks whether all have left it.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The served link of a worker, and its lease.
pub(crate) struct Served {
    worker: WorkerRole,
    runtime: Arc<dyn Runtime>,
    stop: watch::Sender<bool>,
    lease: Lease,
    doubled: Arc<AtomicBool>,
    _server: LinkServer,
}

impl Served {
    /// Serves the link, and has it known.
    ///
    /// # Errors
    /// When the address is taken or the secret cannot be read.
    pub(crate) fn start(
        config: &Config,
        name: NodeName,
        registry: Arc<dyn SessionRegistry>,
        runtime: Arc<dyn Runtime>,
        worker: WorkerRole,
    ) -> anyhow::Result<Self> {
        let link = &config.link;
        let listener = TcpListener::bind(link.listen);
        let listener = listener.with_context(|| format!("cannot listen on {}", link.listen))?;
        let server = LinkServer::start(listener, worker.feed(), link.secret()?, link.of_link())?;
        let address = server.address();
        let detail = link
            .advertise
            .clone()
            .unwrap_or_else(|| address.to_string());
        tracing::info!(%address, advertised = detail, %name, "links of gateways are taken");
        let lease = Lease {
            name: name.clone(),
            fence: Fence(0),
            detail: detail.clone(),
        };
        let doubled = Arc::<AtomicBool>::default();
        let keeper = Keeper {
            registry,
            runtime: Arc::clone(&runtime),
            group: super::workers(),
            name,
            detail,
            time_to_live: config.registry.lease,
            has_ended: Box::new({
                let worker = worker.clone();
                move || worker.has_ended()
            }),
            doubled: Arc::clone(&doubled),
        };
        let (stop, stopped) = watch::channel(false);
        runtime.spawn("worker-lease", Box::pin(keeper.run(stopped)));
        Ok(Self {
            worker,
            runtime,
            stop,
            lease,
            doubled,
            _server: server,
        })
    }

    /// The worker and what it says of itself, for the gateway of the same process: that one knows it
    /// whatever becomes of the registry.
    pub(crate) fn own(&self) -> (WorkerRole, Lease) {
        (self.worker.clone(), self.lease.clone())
    }

    /// Set while another process that lives has this name, so that no gateway finds this worker.
    pub(crate) fn doubled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.doubled)
    }

    /// Gives the lease up and waits until all gateways have moved their subscriptions elsewhere and let
    /// the link go, as long as that may take; `own` of them are in this process and stay. The worker
    /// goes on meanwhile.
    pub(crate) async fn leave(&self, within: Duration, own: usize) {
        self.stop.send_replace(true);
        let mut bell = self.runtime.sleep(within);
        while self.worker.users() > 0 || self.worker.gateways() > own {
            tokio::select! {
                biased;
                () = &mut bell => {
                    let users = self.worker.users();
                    tracing::info!(users, "the worker ends before all gateways have left it");
                    return;
                }
                () = self.runtime.sleep(LOOK_AGAIN) => {}
            }
        }
    }
}
