//! Two workers behind a router: each reads the partitions that are its own, and while they move nothing
//! is missed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use infra_ports::link::{Deliveries, Link, SubscriberId, Told};
use infra_ports::log::NewRecord;
use infra_ports::memory::{Chances, Executor, Halt, LocalLink, MemoryLog, Node};
use infra_ports::registry::{Fence, Lease, NodeName};
use infra_ports::{EventLog, Runtime};
use parking_lot::Mutex;
use schemas::avro::LogEvent;
use schemas::events::{MarkKind, MarkTold, UserEvent};
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::{Offset, Ordinal, Partition, Seq, Timestamp};
use schemas::topics::{Topic, partition_of};

use crate::router::{Dial, Reached};
use crate::testing::counted::{Taken, counted};
use crate::{Config, Router, Sharing, WorkerRole};

pub(super) const NODE: Node = Node(1);
const PARTITIONS: u32 = 8;
pub(super) const USERS: u64 = 24;

/// What each subscriber heard, in its order.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) by: Mutex<BTreeMap<SubscriberId, Vec<u64>>>,
    pub(super) detached: Mutex<Vec<Partition>>,
}

impl Deliveries for Heard {
    fn deliver(&self, batch: Vec<Told>) {
        let mut by = self.by.lock();
        for told in batch {
            let UserEvent::MarkTold(event) = &*told.event else {
                panic!("not told by the test");
            };
            for to in told.to {
                by.entry(to).or_default().push(event.seq.0);
            }
        }
    }

    fn detached(&self, partitions: &[Partition]) {
        self.detached.lock().extend(partitions);
    }

    fn ended(&self) {}
}

/// The workers, by name, and how the gateway is linked to each.
#[derive(Clone)]
struct Workers(Arc<BTreeMap<&'static str, WorkerRole>>, Arc<Mutex<Cuts>>);

type Cuts = BTreeMap<String, (Arc<AtomicBool>, Reached)>;

/// A gateway that hears nothing any more once the worker was killed.
struct Cut(Arc<dyn Deliveries>, Arc<AtomicBool>);

impl Cut {
    fn hears(&self) -> bool {
        !self.1.load(Ordering::Relaxed)
    }
}

impl Deliveries for Cut {
    fn deliver(&self, batch: Vec<Told>) {
        if self.hears() {
            self.0.deliver(batch);
        }
    }

    fn detached(&self, partitions: &[Partition]) {
        if self.hears() {
            self.0.detached(partitions);
        }
    }

    fn ended(&self) {
        if self.hears() {
            self.0.ended();
        }
    }
}

impl Dial for Workers {
    fn dial(
        &self,
        worker: &Lease,
        deliveries: Arc<dyn Deliveries>,
        reached: Reached,
    ) -> Option<Arc<dyn Link>> {
        reached(true);
        let feed = self.0.get(worker.name.as_str())?.feed();
        let cut = Arc::<AtomicBool>::default();
        let name = worker.name.to_string();
        self.1.lock().insert(name, (Arc::clone(&cut), reached));
        let deliveries = Arc::new(Cut(deliveries, cut));
        Some(Arc::new(LocalLink::new(feed, deliveries)))
    }
}

pub(super) struct Scene {
    pub(super) executor: Executor,
    pub(super) log: MemoryLog,
    workers: Workers,
    taken: [Taken; 3],
    pub(super) heard: Arc<Heard>,
    pub(super) router: Router,
    /// How often each user was told something.
    pub(super) told: u64,
}

pub(super) fn user(n: u64) -> UserId {
    UserId::new(format!("u{n}")).unwrap()
}

pub(super) fn home(n: u64) -> Partition {
    partition_of(user(n).as_str().as_bytes(), PARTITIONS)
}

impl Scene {
    fn new(seed: u64, chances: Chances) -> Self {
        Self::with(seed, chances, false)
    }

    /// The same, with hot standbys or without.
    pub(super) fn with(seed: u64, chances: Chances, hot_standby: bool) -> Self {
        let mut executor = Executor::seeded(seed, chances);
        let runtime: Arc<dyn Runtime> = Arc::new(executor.runtime(NODE));
        let log = MemoryLog::new(PARTITIONS);
        let making = log.clone();
        let made = async move { making.create_topics(&[Topic::Users]).await };
        executor.block_on(NODE, made).unwrap().unwrap();
        let taken = [(); 3].map(|()| Taken::default());
        let mut workers = BTreeMap::new();
        for (name, taken) in ["a", "b", "c"].into_iter().zip(&taken) {
            let log = log.reopen(Arc::new(executor.faults(NODE)));
            let counted = Arc::new(counted(log, taken.clone()));
            let prepared = {
                let log = Arc::clone(&counted);
                async move { WorkerRole::prepare(&*log, &Config::default()).await }
            };
            let worker = executor.block_on(NODE, prepared).unwrap().unwrap();
            worker.start(counted, Arc::clone(&runtime));
            workers.insert(name, worker);
        }
        let workers = Workers(Arc::new(workers), Arc::default());
        let heard = Arc::<Heard>::default();
        let deliveries: Arc<dyn Deliveries> = heard.clone();
        let dial = Box::new(workers.clone());
        let sharing = Sharing {
            partitions: PARTITIONS,
            hot_standby,
        };
        let router = Router::new(sharing, Arc::clone(&runtime), dial, &deliveries);
        drop(deliveries);
        runtime.spawn("router", Box::pin(router.clone().run()));
        Self {
            executor,
            log,
            workers,
            taken,
            heard,
            router,
            told: 0,
        }
    }

    pub(super) fn know(&mut self, names: &[&str]) {
        let lease = |name: &&str| Lease {
            name: NodeName::new(name).unwrap(),
            fence: Fence(1),
            detail: "here".to_owned(),
        };
        let members: Vec<_> = names.iter().map(lease).collect();
        self.router.workers(&members);
    }

    pub(super) fn subscribe(&self, users: impl Iterator<Item = u64>) {
        for n in users {
            drop(self.router.subscribe(&user(n), SubscriberId(n)));
        }
    }

    pub(super) fn wait(&mut self, ms: u64) {
        let halt = self.executor.run_for(Duration::from_millis(ms));
        assert_eq!(halt, Halt::Done);
    }

    /// A worker is killed: what it has not told yet it never tells.
    pub(super) fn kill(&self, name: &str) {
        let (cut, reached) = self.workers.1.lock().remove(name).unwrap();
        cut.store(true, Ordering::Relaxed);
        reached(false);
    }

    /// In which partitions each worker has subscribers.
    pub(super) fn reads(&self) -> [BTreeSet<Partition>; 3] {
        ["a", "b", "c"].map(|name| {
            let next = self.workers.0[name].handed_out();
            let numbered = (0..).map(Partition).zip(next);
            numbered
                .filter_map(|(one, next)| next.map(|_| one))
                .collect()
        })
    }

    /// Each user is told the next number.
    pub(super) fn tell_all(&mut self) {
        let seq = self.told + 1;
        self.told = seq;
        let log = self.log.clone();
        let append = async move {
            for n in 0..USERS {
                let event = UserEvent::MarkTold(MarkTold {
                    recipients: vec![user(n)],
                    chat: ChatId::new("d.ada.bob").unwrap(),
                    device: DeviceId::new("phone").unwrap(),
                    kind: MarkKind::Read,
                    seq: Seq(seq),
                    ordinal: Ordinal(0),
                    origin: Offset(0),
                });
                let record = NewRecord {
                    key: Bytes::new(),
                    value: event.encode().unwrap(),
                    at: Timestamp(0),
                };
                log.append(Topic::Users, home(n), vec![record])
                    .await
                    .unwrap();
            }
        };
        self.executor.block_on(NODE, append).unwrap();
    }

    /// These are the workers, one turn after the other; in each, everybody is told something six times, with so
    /// many milliseconds after each time.
    pub(super) fn come_and_go(&mut self, turns: &[(&[&str], u64)]) {
        for (names, pause) in turns {
            self.know(names);
            for _ in 0..6 {
                self.tell_all();
                self.wait(*pause);
                self.know(names);
            }
        }
    }

    /// What each worker read since it was asked last: in which partitions, and how many records.
    fn read(&self) -> [(BTreeSet<Partition>, usize); 2] {
        let sum = |taken: &Taken| {
            let taken = taken.since();
            (taken.keys().copied().collect(), taken.values().sum())
        };
        [sum(&self.taken[0]), sum(&self.taken[1])]
    }

    /// Every user heard all numbers, none before the one before it.
    pub(super) fn check_all_heard(&self, seed: u64) {
        let by = self.heard.by.lock();
        for n in 0..USERS {
            let heard = by.get(&SubscriberId(n)).cloned().unwrap_or_default();
            let mut last = 0;
            for seq in heard {
                assert!(
                    seq <= last + 1,
                    "seed {seed}: u{n} heard {seq} after {last}"
                );
                last = last.max(seq);
            }
            assert_eq!(last, self.told, "seed {seed}: u{n}");
        }
        let detached = self.heard.detached.lock();
        assert!(detached.is_empty(), "seed {seed}: {detached:?}");
    }
}

#[test]
fn two_workers_read_the_topic_once_between_them_and_only_where_somebody_is() {
    let mut scene = Scene::new(1, Chances::CALM);
    scene.know(&["a", "b"]);
    scene.wait(10);
    scene.tell_all();
    scene.wait(3_000);
    let [(_, by_a), (_, by_b)] = scene.read();
    assert_eq!(by_a + by_b, 0, "nobody is subscribed");
    scene.told = 0;
    let quiet = home(0);
    scene.subscribe((0..USERS).filter(|n| home(*n) != quiet));
    scene.wait(10);
    for _ in 0..50 {
        scene.tell_all();
    }
    scene.wait(10);
    let due = 50 * (0..USERS).filter(|n| home(*n) != quiet).count();
    let [(at_a, by_a), (at_b, by_b)] = scene.read();
    assert!(at_a.is_disjoint(&at_b), "{at_a:?} {at_b:?}");
    assert!(!at_a.is_empty() && !at_b.is_empty());
    assert!(!at_a.contains(&quiet) && !at_b.contains(&quiet));
    assert_eq!(by_a + by_b, due, "each record once, none of the quiet one");
    scene.subscribe((0..USERS).filter(|n| home(*n) == quiet));
    let seen = scene.workers.0.values().map(WorkerRole::handed_out);
    let read: usize = seen.map(|next| next.iter().flatten().count()).sum();
    assert_eq!(read, at_a.len() + at_b.len(), "it is gained in a moment");
    scene.wait(10);
    let quiet_ones = (0..USERS).filter(|n| home(*n) == quiet).count();
    let [(_, by_a), (_, by_b)] = scene.read();
    let stale = 50 * quiet_ones;
    assert_eq!(by_a + by_b, stale, "from the end that was seen last");
    scene.tell_all();
    scene.wait(10);
    let heard = scene.heard.by.lock();
    assert!(heard.values().all(|heard| heard.len() == 51));
}

#[test]
fn whoever_has_a_partition_everybody_hears_everything_while_workers_come_and_go() {
    for seed in 0..25 {
        let mut scene = Scene::new(seed, Chances::SHUFFLED);
        scene.know(&["a"]);
        scene.subscribe(0..USERS);
        scene.wait(1_500);
        scene.come_and_go(&[
            (&["a"], 7),
            (&["a", "b"], 30),
            (&["b"], 3),
            (&["a", "b"], 400),
            (&["a"], 2_500),
            (&["a", "b"], 1),
        ]);
        scene.wait(5_000);
        scene.check_all_heard(seed);
        // Whoever lost a partition has let go of it.
        scene.read();
        scene.tell_all();
        scene.wait(500);
        scene.check_all_heard(seed);
        let [(at_a, by_a), (at_b, by_b)] = scene.read();
        assert!(at_a.is_disjoint(&at_b), "seed {seed}: {at_a:?} {at_b:?}");
        assert_eq!(by_a + by_b, usize::try_from(USERS).unwrap(), "seed {seed}");
        assert!(scene.executor.panics().is_empty());
    }
}
