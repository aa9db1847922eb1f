//! How a gateway is linked to a worker: by a call to the one in its own process, else over TCP.

use std::sync::Arc;

use delivery::{Dial, Reached, WorkerRole};
use infra_link_tcp::{Config, Secret, TcpLink};
use infra_ports::link::{Deliveries, Link};
use infra_ports::memory::LocalLink;
use infra_ports::registry::{Lease, NodeName};

/// Links to workers.
pub(super) struct Dialler {
    /// This process.
    pub(super) name: NodeName,
    /// The worker in it, if there is one.
    pub(super) own: Option<WorkerRole>,
    pub(super) secret: Secret,
    pub(super) config: Config,
}

impl Dial for Dialler {
    fn dial(
        &self,
        worker: &Lease,
        deliveries: Arc<dyn Deliveries>,
        reached: Reached,
    ) -> Option<Arc<dyn Link>> {
        if let Some(own) = &self.own
            && worker.name == self.name
        {
            // In this order: a worker that has ended says so while the gateway is attached.
            reached(true);
            return Some(Arc::new(LocalLink::new(own.feed(), deliveries)));
        }
        let (name, secret, config) = (self.name.clone(), self.secret.clone(), self.config.clone());
        let told = move |up| reached(up);
        let link = TcpLink::start_watched(&worker.detail, name, secret, config, deliveries, told);
        match link {
            Ok(link) => Some(Arc::new(link)),
            Err(error) => {
                tracing::error!(%error, "a worker cannot be linked to");
                None
            }
        }
    }
}
