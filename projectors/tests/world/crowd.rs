//! Engines that share the partitions of one log in groups: they come, leave, die, are given up for
//! dead while they live, and some never hear of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use infra_ports::groups::ConsumerGroups;
use infra_ports::memory::log::{Around, AroundLog};
use infra_ports::memory::store::Stale;
use infra_ports::memory::{
    Chances, Deaf, Executor, Halt, MemoryGroups, MemoryLog, MemoryStore, Node,
};
use infra_ports::{EventLog, LogError, LogTail, Visibility};
use projectors::share::group_name;
use projectors::{Health, Projectors, Share};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use super::script::{Dice, Scripted};
use super::{LIVE, ORIGINS, PARTITIONS, append, are_done, empty_log, ports, tight};

/// Engines over one log and one store.
pub struct Crowd {
    pub executor: Executor,
    pub log: MemoryLog,
    pub store: MemoryStore,
    pub groups: Arc<MemoryGroups>,
    /// By node.
    pub engines: Vec<Option<Projectors>>,
    pub dice: Dice,
    pub moves: u32,
    /// Engines see fold states as they saw them first.
    pub is_stale: bool,
    /// How many tails were opened by engines that were booted while it was set.
    pub tails: Option<Arc<AtomicUsize>>,
}

/// Counts tails.
struct CountedTails {
    log: MemoryLog,
    tails: Arc<AtomicUsize>,
}

#[async_trait]
impl Around for CountedTails {
    fn inner(&self) -> &dyn EventLog {
        &self.log
    }

    async fn tail(
        &self,
        topic: Topic,
        from: Vec<(Partition, Offset)>,
        visibility: Visibility,
    ) -> Result<Box<dyn LogTail>, LogError> {
        self.tails.fetch_add(1, Ordering::Relaxed);
        self.log.tail(topic, from, visibility).await
    }
}

impl Crowd {
    pub fn new(seed: u64, chances: Chances) -> Self {
        let mut executor = Executor::seeded(seed, chances);
        executor.set_step_budget(8_000_000);
        Self {
            executor,
            log: empty_log(),
            store: MemoryStore::new(),
            groups: Arc::new(MemoryGroups::new(PARTITIONS)),
            engines: Vec::new(),
            dice: Dice(seed),
            moves: 0,
            is_stale: false,
            tails: None,
        }
    }

    /// Starts one more engine, a member that hears what its groups say or one that does not.
    pub fn boot(&mut self, hears: bool) -> usize {
        let at = self.engines.len();
        let node = Node(u8::try_from(at + 1).unwrap());
        let faults = Arc::new(self.executor.faults(node));
        let (log, store) = (self.log.reopen(faults.clone()), self.store.reopen(faults));
        let mut ports = ports(&log, &store, self.executor.runtime(node));
        if self.is_stale {
            ports.store = Arc::new(Stale::new(Arc::new(store)));
        }
        if let Some(tails) = self.tails.clone() {
            ports.log = Arc::new(AroundLog(CountedTails { log, tails }));
        }
        let groups = Arc::clone(&self.groups);
        let groups: Arc<dyn ConsumerGroups> = match hears {
            true => groups,
            false => Arc::new(Deaf(groups)),
        };
        let mut sizes = tight(self.dice.next());
        if self.dice.roll(2) == 0 {
            // States stay at hand for as long as they may.
            sizes.chats.cache_weight = 1_000_000;
            sizes.inbox.cache_weight = 1_000_000;
            sizes.receipts.cache_weight = 1_000_000;
            sizes.settings.cache_weight = 1_000_000;
        }
        let engine = projectors::start(&ports, &sizes, LIVE, &Share::of(groups));
        self.engines.push(Some(engine));
        self.moves += 1;
        at
    }

    /// Ends an engine where it stands.
    pub fn kill(&mut self, at: usize) {
        self.executor.kill(Node(u8::try_from(at + 1).unwrap()));
        self.engines[at] = None;
        self.moves += 1;
    }

    /// Tells an engine to stop: it writes what it folded, and leaves.
    pub fn dismiss(&mut self, at: usize) {
        self.engines[at] = None;
        self.moves += 1;
    }

    /// Every member of every group counts as dead. They hear of it, but for those that are deaf.
    pub fn cut_off(&mut self) {
        for (name, topic) in ORIGINS {
            self.groups.cut_off(&group_name(name, LIVE), topic);
        }
        self.moves += 1;
    }

    pub fn alive(&self) -> Vec<usize> {
        let all = self.engines.iter().enumerate();
        all.filter_map(|(at, engine)| engine.as_ref().map(|_| at))
            .collect()
    }

    /// Lets time pass; who crashes is gone.
    pub fn run(&mut self, duration: Duration) {
        let until = self.executor.elapsed() + duration;
        while self.executor.elapsed() < until {
            let left = until.saturating_sub(self.executor.elapsed());
            match self.executor.run_for(left) {
                Halt::Done | Halt::Idle => {}
                Halt::Crashed(node, _) => self.kill(usize::from(node.0) - 1),
                Halt::BudgetSpent => panic!("steps used up"),
            }
        }
    }

    /// A script in portions while engines come and go.
    pub fn live_through(&mut self, script: &[Scripted]) {
        self.boot(true);
        let mut rest = script;
        while !rest.is_empty() {
            append(&self.log, self.dice.portion(25, &mut rest));
            let pause = self.dice.roll(60);
            self.run(Duration::from_millis(pause));
            let alive = self.alive();
            let one = self.dice.next() as usize % alive.len().max(1);
            match (self.dice.roll(8), alive.get(one)) {
                (0, Some(at)) => self.dismiss(*at),
                (1, Some(at)) => self.kill(*at),
                (2, Some(_)) => self.cut_off(),
                (3, _) => drop(self.boot(false)),
                (4 | 5, _) if alive.len() < 4 => drop(self.boot(true)),
                (_, None) => drop(self.boot(true)),
                _ => {}
            }
        }
    }

    /// No more faults, and one who hears is there: those who are there come to rest.
    pub fn come_to_rest(&mut self) {
        self.calm_down();
        self.settle();
    }

    /// No more faults, and one who hears is there.
    pub fn calm_down(&mut self) {
        self.executor.choices().set_calm(true);
        self.boot(true);
    }

    pub fn settle(&mut self) {
        assert!(self.settles(), "{:?}", self.healths());
    }

    /// Whether those who are there come to rest.
    pub fn settles(&mut self) -> bool {
        for _ in 0..3_000 {
            if self.is_done() {
                return true;
            }
            self.run(Duration::from_millis(20));
        }
        false
    }

    pub fn healths(&self) -> Vec<Health> {
        let engines = self.engines.iter().flatten();
        let all = engines.flat_map(|engine| ORIGINS.map(|(name, _)| engine.status(name)));
        all.flatten().map(|status| status.health()).collect()
    }

    pub fn is_done(&self) -> bool {
        let engines: Vec<&Projectors> = self.engines.iter().flatten().collect();
        are_done(&self.log, &engines)
    }
}
