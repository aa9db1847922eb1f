//! A machine with disks on which engines come and go, crash, and lose what they did not sync.

use std::sync::Arc;
use std::time::Duration;

use infra_ports::memory::{Executor, Halt, MemoryLog, MemoryStore, Node};
use projectors::{Projectors, Share};

use super::script::{Dice, Scripted};
use super::{LIVE, append, calm, empty_log, is_done, ports, settle, tight};

pub const ENGINE: Node = Node(1);
pub const ZOMBIE: Node = Node(2);

/// A machine with a log and a store on its disks, and engines that come and go.
pub struct Machine {
    pub executor: Executor,
    pub log: MemoryLog,
    pub store: MemoryStore,
    pub dice: Dice,
    pub seed: u64,
    pub engines: [Option<Projectors>; 2],
    pub crashes: u32,
    /// One crash in so many is a power cut.
    pub power_cuts: u64,
}

impl Machine {
    pub fn new(seed: u64, mut executor: Executor) -> Self {
        executor.set_step_budget(4_000_000);
        Self {
            executor,
            log: empty_log(),
            store: MemoryStore::new(),
            dice: Dice(seed),
            seed,
            engines: [None, None],
            crashes: 0,
            power_cuts: 3,
        }
    }

    /// Starts an engine, with handles of its own.
    pub fn boot(&mut self, node: Node) {
        let faults = Arc::new(self.executor.faults(node));
        let (log, store) = (self.log.reopen(faults.clone()), self.store.reopen(faults));
        let ports = ports(&log, &store, self.executor.runtime(node));
        let sizes = tight(self.seed.wrapping_add(self.dice.next()));
        self.engines[usize::from(node == ZOMBIE)] = Some(projectors::start(
            &ports,
            &sizes,
            LIVE,
            &Share::everything(),
        ));
    }

    pub fn kill(&mut self, node: Node) {
        self.executor.kill(node);
        self.engines[usize::from(node == ZOMBIE)] = None;
    }

    /// The power fails: both engines go, and what was not synced may be lost.
    pub fn power_cut(&mut self) {
        self.kill(ENGINE);
        self.kill(ZOMBIE);
        let faults = Arc::new(self.executor.faults(ENGINE));
        self.log.reopen(faults.clone()).crash();
        self.store.reopen(faults).crash();
        (self.log, self.store) = calm(&self.log, &self.store);
    }

    /// Lets time pass, with crashes as they come.
    pub fn run(&mut self, duration: Duration) {
        let until = self.executor.elapsed() + duration;
        while self.executor.elapsed() < until {
            let left = until.saturating_sub(self.executor.elapsed());
            match self.executor.run_for(left) {
                Halt::Done | Halt::Idle => {}
                Halt::Crashed(node, _) => {
                    self.crashes += 1;
                    if self.dice.roll(self.power_cuts) == 0 {
                        self.power_cut();
                        self.boot(ENGINE);
                    } else {
                        self.kill(node);
                        self.boot(node);
                    }
                }
                Halt::BudgetSpent => panic!("seed {}: steps used up", self.seed),
            }
        }
    }

    /// A script in portions, with whatever happens in between.
    pub fn live_through(&mut self, script: &[Scripted]) {
        self.boot(ENGINE);
        let mut rest = script;
        while !rest.is_empty() {
            append(&self.log, self.dice.portion(25, &mut rest));
            let pause = self.dice.roll(60);
            self.run(Duration::from_millis(pause));
            match self.dice.roll(12) {
                0 => self.boot(ZOMBIE),
                1 => self.kill(ZOMBIE),
                2 => {
                    self.power_cut();
                    self.boot(ENGINE);
                }
                _ => {}
            }
        }
    }

    /// No more faults: an engine that runs comes to rest.
    pub fn come_to_rest(&mut self) {
        self.executor.choices().set_calm(true);
        if self.engines[0].is_none() || self.dice.roll(2) == 0 {
            self.kill(ENGINE);
            self.boot(ENGINE);
        }
        let engine = self.engines[0].take().unwrap();
        settle(&mut self.executor, &self.log, &engine);
        self.engines[0] = Some(engine);
    }

    /// Everything at once, then until it is applied, booting again after every crash.
    pub fn work_through(&mut self, script: &[Scripted]) {
        append(&self.log, script);
        self.boot(ENGINE);
        for _ in 0..500 {
            self.run(Duration::from_millis(10));
            let engine = self.engines[0].take().unwrap();
            let done = is_done(&self.log, &engine);
            self.engines[0] = Some(engine);
            if done {
                return;
            }
        }
        panic!("it does not come to rest");
    }
}
