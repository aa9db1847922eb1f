//! A gateway's look at the workers: again and again, for as long as it runs.

use std::sync::Arc;
use std::time::Duration;

use delivery::{Router, Sharing, WorkerRole};
use infra_ports::link::Deliveries;
use infra_ports::registry::{Lease, NodeName, SessionRegistry, members};
use infra_ports::{Runtime, watch};

use super::dial::Dialler;
use crate::config::Config;

/// What the links of a gateway are made with.
pub(crate) struct Linked {
    pub(crate) name: NodeName,
    pub(crate) registry: Arc<dyn SessionRegistry>,
    pub(crate) runtime: Arc<dyn Runtime>,
    /// The worker of this process, if there is one.
    pub(crate) own: Option<(WorkerRole, Lease)>,
    pub(crate) partitions: u32,
}

impl Linked {
    /// The gateway's link to all workers that are found. They are looked for until `stopped`.
    ///
    /// # Errors
    /// When the secret cannot be read.
    pub(crate) fn prepare(
        self,
        config: &Config,
        stopped: watch::Receiver<bool>,
    ) -> anyhow::Result<impl FnOnce(Arc<dyn Deliveries>) -> Router> {
        let Self {
            name,
            registry,
            runtime,
            own,
            partitions,
        } = self;
        let (own, itself) = own.unzip();
        let dial = Box::new(Dialler {
            name,
            own,
            secret: config.link.secret()?,
            config: config.link.of_link(),
        });
        let every = config.registry.look_every;
        let sharing = Sharing {
            partitions,
            hot_standby: config.link.hot_standby,
        };
        Ok(move |deliveries| {
            let router = Router::new(sharing, Arc::clone(&runtime), dial, &deliveries);
            runtime.spawn("link-moves", Box::pin(router.clone().run()));
            let look = Look {
                registry,
                runtime: Arc::clone(&runtime),
                router: router.clone(),
                itself,
                every,
            };
            runtime.spawn("link-look", Box::pin(look.run(stopped)));
            router
        })
    }
}

/// Tells a router which workers there are.
struct Look {
    registry: Arc<dyn SessionRegistry>,
    runtime: Arc<dyn Runtime>,
    router: Router,
    /// The worker of this process, which is there whatever the registry says.
    itself: Option<Lease>,
    every: Duration,
}

impl Look {
    /// Looks until it is stopped. What cannot be seen changes nothing.
    async fn run(self, mut stopped: watch::Receiver<bool>) {
        let (group, mut known, mut well) = (super::workers(), Vec::<Lease>::new(), true);
        loop {
            let seen = self.registry.leases(&group).await;
            if well != seen.is_ok() {
                well = seen.is_ok();
                match &seen {
                    Ok(_) => tracing::info!("the registry answers again"),
                    Err(error) => {
                        tracing::warn!(%error, "the registry does not say which workers there are");
                    }
                }
            }
            if let Ok(seen) = seen {
                known = members(&known, &seen);
            }
            let itself = self.itself.iter();
            let missing = itself.filter(|own| known.iter().all(|lease| lease.name != own.name));
            let all: Vec<Lease> = known.iter().chain(missing).cloned().collect();
            self.router.workers(&all);
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = self.runtime.sleep(self.every) => {}
            }
        }
    }
}
