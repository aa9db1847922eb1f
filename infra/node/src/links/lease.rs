//! A worker's lease: taken, renewed each third of its time, given up when the worker leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use infra_ports::registry::{Lease, NodeName, RegistryError, SessionRegistry, Taken};
use infra_ports::{Runtime, watch};

/// How often a lease is asked for that another process of the same name still has.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Keeps a lease.
pub(super) struct Keeper {
    pub(super) registry: Arc<dyn SessionRegistry>,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) group: NodeName,
    pub(super) name: NodeName,
    /// Where the worker is.
    pub(super) detail: String,
    pub(super) time_to_live: Duration,
    /// True once the worker tells nobody anything any more: no gateway is to find it then.
    pub(super) has_ended: Box<dyn Fn() -> bool + Send + Sync>,
    /// Set while another process that lives has this name: gateways use that one.
    pub(super) doubled: Arc<AtomicBool>,
}

impl Keeper {
    /// Runs until it is told to stop or the worker has ended, and gives the lease up then. A registry that is gone changes
    /// nothing but what is logged: gateways keep the workers they know.
    pub(super) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut held: Option<Lease> = None;
        let mut well = true;
        let mut refused_since = None;
        while !(self.has_ended)() {
            let kept = self.keep(held.as_ref()).await;
            if well != kept.is_ok() {
                well = kept.is_ok();
                self.say(&kept);
            }
            self.look_for_a_double(matches!(kept, Ok(None)), &mut refused_since);
            held = kept.unwrap_or(held);
            let pause = match held {
                Some(_) => self.time_to_live / 3,
                None => ASK_AGAIN,
            };
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => break,
                () = self.runtime.sleep(pause) => {}
            }
        }
        if let Some(lease) = held
            && let Err(error) = self.registry.release_lease(&self.group, &lease).await
        {
            tracing::warn!(%error, "the worker's lease is not given up, it lapses");
        }
    }

    /// The lease that is held now, if any.
    async fn keep(&self, held: Option<&Lease>) -> Result<Option<Lease>, RegistryError> {
        let Self {
            registry,
            group,
            name,
            ..
        } = self;
        if let Some(lease) = held
            && registry
                .renew_lease(group, lease, self.time_to_live)
                .await?
        {
            return Ok(Some(lease.clone()));
        }
        let taken = registry.take_lease(group, name, &self.detail, self.time_to_live);
        Ok(match taken.await? {
            Taken::Yes(fence) => Some(Lease {
                name: name.clone(),
                fence,
                detail: self.detail.clone(),
            }),
            // Another process of this name: perhaps this one's former life.
            Taken::Held(_) => None,
        })
    }

    /// Says so when somebody else has kept the name for longer than one who is dead could.
    fn look_for_a_double(&self, refused: bool, since: &mut Option<Duration>) {
        let (now, name) = (self.runtime.elapsed(), &self.name);
        *since = refused.then(|| since.unwrap_or(now));
        let doubled = since.is_some_and(|since| now.saturating_sub(since) > self.time_to_live);
        if self.doubled.swap(doubled, Ordering::Relaxed) == doubled {
            return;
        }
        match doubled {
            true => tracing::warn!(%name,
                "another process has this name: no gateway finds this one's worker; give each a name of its own"),
            false => tracing::info!(%name, "no other process has this name any more"),
        }
    }

    fn say(&self, kept: &Result<Option<Lease>, RegistryError>) {
        match kept {
            Ok(_) => {
                tracing::info!(name = %self.name, "the registry takes the worker's lease again")
            }
            Err(error) => tracing::warn!(name = %self.name, %error,
                "the registry does not take the worker's lease; gateways keep the workers they know"),
        }
    }
}

#[cfg(test)]
mod tests {
    use infra_ports::memory::{Chances, Executor, Halt, MemoryRegistry, Node};
    use infra_ports::registry::Leases;

    use super::*;

    const LEASE: Duration = Duration::from_secs(3);
    /// Where the one is that looks whether it is doubled.
    const SECOND: &str = "here:2";

    struct Scene {
        executor: Executor,
        registry: MemoryRegistry,
        doubled: Arc<AtomicBool>,
    }

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    impl Scene {
        fn new() -> Self {
            let executor = Executor::seeded(1, Chances::CALM);
            let registry = MemoryRegistry::new(Arc::new(executor.runtime(Node(1))));
            let doubled = Arc::default();
            Self {
                executor,
                registry,
                doubled,
            }
        }

        fn keeper(&self, detail: &str) -> watch::Sender<bool> {
            self.keeper_of(detail, Box::new(|| false))
        }

        fn keeper_of(
            &self,
            detail: &str,
            has_ended: Box<dyn Fn() -> bool + Send + Sync>,
        ) -> watch::Sender<bool> {
            let (stop, stopped) = watch::channel(false);
            let runtime: Arc<dyn Runtime> = Arc::new(self.executor.runtime(Node(1)));
            let keeper = Keeper {
                registry: Arc::new(self.registry.clone()),
                runtime: Arc::clone(&runtime),
                group: name("workers"),
                name: name("w"),
                detail: detail.to_owned(),
                time_to_live: LEASE,
                has_ended,
                doubled: match detail {
                    SECOND => Arc::clone(&self.doubled),
                    _ => Arc::default(),
                },
            };
            runtime.spawn("keeper", Box::pin(keeper.run(stopped)));
            stop
        }

        fn wait(&mut self, seconds: u64) {
            let halt = self.executor.run_for(Duration::from_secs(seconds));
            assert_eq!(halt, Halt::Done);
        }

        fn details(&mut self) -> Vec<String> {
            let registry = self.registry.clone();
            let look = async move { registry.leases(&name("workers")).await.unwrap() };
            let Leases { live, .. } = self.executor.block_on(Node(1), look).unwrap();
            live.into_iter().map(|lease| lease.detail).collect()
        }
    }

    #[test]
    fn a_lease_is_kept_over_a_loss_of_the_registry_and_given_up_at_the_end() {
        let mut scene = Scene::new();
        let stop = scene.keeper("here:1");
        scene.wait(10);
        assert_eq!(scene.details(), ["here:1"]);
        scene.registry.set_gone(true);
        scene.wait(10);
        scene.registry.set_gone(false);
        scene.registry.lose_everything();
        scene.wait(2);
        assert_eq!(scene.details(), ["here:1"]);
        stop.send_replace(true);
        scene.wait(1);
        assert!(scene.details().is_empty());
    }

    #[test]
    fn a_worker_that_has_ended_gives_its_lease_up_though_nobody_told_it_to_stop() {
        let mut scene = Scene::new();
        let ended = Arc::new(AtomicBool::new(false));
        let of_worker = Arc::clone(&ended);
        let has_ended = Box::new(move || of_worker.load(Ordering::Relaxed));
        let _stop = scene.keeper_of("here:1", has_ended);
        scene.wait(10);
        assert_eq!(scene.details(), ["here:1"]);
        ended.store(true, Ordering::Relaxed);
        scene.wait(1);
        assert!(scene.details().is_empty());
    }

    #[test]
    fn who_comes_under_the_same_name_has_the_lease_once_the_first_one_is_gone() {
        let mut scene = Scene::new();
        let first = scene.keeper("here:1");
        scene.wait(1);
        let _second = scene.keeper(SECOND);
        let doubled = Arc::clone(&scene.doubled);
        scene.wait(2);
        assert!(!doubled.load(Ordering::Relaxed), "the first may be dead");
        scene.wait(8);
        assert_eq!(scene.details(), ["here:1"]);
        assert!(doubled.load(Ordering::Relaxed), "it lives");
        first.send_replace(true);
        scene.wait(1);
        assert_eq!(scene.details(), [SECOND]);
        assert!(!doubled.load(Ordering::Relaxed));
    }
}
