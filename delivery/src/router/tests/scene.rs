//! Workers that a test plays, and a router over them with a hundred users.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use infra_ports::Runtime;
use infra_ports::link::{Deliveries, Link, Subscribed, SubscriberId, Subscribing, Told};
use infra_ports::memory::{Chances, Executor, Halt, Node};
use infra_ports::registry::{Fence, Lease, NodeName};
use parking_lot::Mutex;
use schemas::ids::UserId;
use schemas::position::{Offset, Partition};
use schemas::topics::partition_of;
use tokio::sync::oneshot;

use super::{PARTITIONS, SHARING};
use crate::router::{Dial, Reached, Router, Sharing};

#[derive(Default)]
pub(super) struct State {
    pub(super) users: BTreeMap<UserId, SubscriberId>,
    pub(super) next: u64,
    /// Questions are not answered while it is held.
    pub(super) held: Option<Vec<(Subscribed, oneshot::Sender<Subscribed>)>>,
}

/// A worker as its link shows it.
pub(super) struct Worker {
    pub(super) state: Mutex<State>,
    pub(super) deliveries: Arc<dyn Deliveries>,
    pub(super) reached: Reached,
}

impl Link for Worker {
    fn subscribe(&self, user: &UserId, subscriber: SubscriberId) -> Subscribing {
        let mut state = self.state.lock();
        state.users.insert(user.clone(), subscriber);
        let subscribed = Subscribed {
            partition: home(user),
            from: Offset(state.next),
        };
        let Some(held) = &mut state.held else {
            return Subscribing::done(subscribed);
        };
        let (tell, told) = oneshot::channel();
        held.push((subscribed, tell));
        Subscribing::later(told)
    }

    fn unsubscribe(&self, user: &UserId) {
        self.state.lock().users.remove(user);
    }

    fn subscribers(&self) -> usize {
        self.state.lock().users.len()
    }
}

/// Their workers, by name. One whose name begins with `over` has ended, and says so when it is linked to.
#[derive(Clone, Default)]
pub(super) struct Workers(pub(super) Arc<Mutex<BTreeMap<String, Arc<Worker>>>>);

impl Dial for Workers {
    fn dial(
        &self,
        worker: &Lease,
        deliveries: Arc<dyn Deliveries>,
        reached: Reached,
    ) -> Option<Arc<dyn Link>> {
        let link = Arc::new(Worker {
            state: Mutex::default(),
            deliveries,
            reached,
        });
        let name = worker.name.to_string();
        if name.starts_with("over") {
            (link.reached)(true);
            link.deliveries.ended();
        }
        self.0.lock().insert(name, Arc::clone(&link));
        Some(link)
    }
}

impl Workers {
    pub(super) fn one(&self, name: &str) -> Arc<Worker> {
        Arc::clone(&self.0.lock()[name])
    }

    pub(super) fn reach(&self, name: &str, up: bool) {
        (self.one(name).reached)(up);
    }

    pub(super) fn hold(&self, name: &str) {
        self.one(name).state.lock().held = Some(Vec::new());
    }

    pub(super) fn answer(&self, name: &str) {
        let held = self.one(name).state.lock().held.take();
        for (subscribed, tell) in held.unwrap_or_default() {
            tell.send(subscribed).ok();
        }
    }

    pub(super) fn users(&self, name: &str) -> usize {
        self.one(name).subscribers()
    }

    pub(super) fn is_at(&self, name: &str, next: u64) {
        self.one(name).state.lock().next = next;
    }
}

/// A gateway that notes what is detached.
#[derive(Default)]
pub(super) struct Gateway {
    pub(super) detached: Mutex<Vec<Partition>>,
    pub(super) ended: Mutex<bool>,
}

impl Deliveries for Gateway {
    fn deliver(&self, _batch: Vec<Told>) {}

    fn detached(&self, partitions: &[Partition]) {
        self.detached.lock().extend(partitions);
    }

    fn ended(&self) {
        *self.ended.lock() = true;
    }
}

pub(super) struct Scene {
    pub(super) executor: Executor,
    pub(super) workers: Workers,
    pub(super) gateway: Arc<Gateway>,
    pub(super) router: Router,
}

pub(super) fn home(user: &UserId) -> Partition {
    partition_of(user.as_str().as_bytes(), PARTITIONS)
}

pub(super) fn user(n: u64) -> UserId {
    UserId::new(format!("u{n}")).unwrap()
}

pub(super) fn lease(name: &str) -> Lease {
    Lease {
        name: NodeName::new(name).unwrap(),
        fence: Fence(1),
        detail: "here".to_owned(),
    }
}

impl Scene {
    /// A router with these workers reached and a hundred users.
    pub(super) fn new(names: &[&str]) -> Self {
        Self::with(SHARING, names)
    }

    pub(super) fn with(sharing: Sharing, names: &[&str]) -> Self {
        let executor = Executor::seeded(1, Chances::CALM);
        let runtime: Arc<dyn Runtime> = Arc::new(executor.runtime(Node(1)));
        let (workers, gateway) = (Workers::default(), Arc::new(Gateway::default()));
        let dial = Box::new(workers.clone());
        let deliveries: Arc<dyn Deliveries> = gateway.clone();
        let router = Router::new(sharing, Arc::clone(&runtime), dial, &deliveries);
        drop(deliveries);
        runtime.spawn("router", Box::pin(router.clone().run()));
        let mut scene = Self {
            executor,
            workers,
            gateway,
            router,
        };
        scene.know(names);
        names
            .iter()
            .for_each(|name| scene.workers.reach(name, true));
        for n in 0..100 {
            drop(scene.router.subscribe(&user(n), SubscriberId(n)));
        }
        scene.settle();
        // What moved at the start has been left long since.
        (0..2).for_each(|_| scene.know(names));
        scene
    }

    pub(super) fn know(&mut self, names: &[&str]) {
        let members: Vec<_> = names.iter().map(|name| lease(name)).collect();
        self.router.workers(&members);
    }

    pub(super) fn settle(&mut self) {
        assert_eq!(self.executor.run_until(|| false), Halt::Idle);
    }

    /// Lets so many milliseconds pass.
    pub(super) fn wait(&mut self, ms: u64) {
        let halt = self.executor.run_for(Duration::from_millis(ms));
        assert_eq!(halt, Halt::Done);
    }

    pub(super) fn detached(&self) -> Vec<Partition> {
        let mut detached = self.gateway.detached.lock().clone();
        detached.sort_unstable();
        detached.dedup();
        detached
    }

    pub(super) fn homes(&self, name: &str) -> Vec<Partition> {
        let worker = self.workers.one(name);
        let mut homes: Vec<_> = worker.state.lock().users.keys().map(home).collect();
        homes.sort_unstable();
        homes.dedup();
        homes
    }
}
