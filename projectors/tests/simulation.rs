//! Rule 5 under a seeded scheduler: whatever crashes wherever, whatever is lost that was not synced,
//! torn between partitions, done but timed out, or done by two engines at once: the rows are those
//! of the straight run, and a rebuild's are too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::wildcard_enum_match_arm,
    clippy::panic,
    reason = "tests may fail loudly"
)]

mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use infra_ports::log::EventLog;
use infra_ports::memory::{Chances, Executor, Halt, MemoryLog, MemoryStore, Node};
use projectors::{Projectors, rebuild};
use schemas::avro::LogEvent;
use schemas::events::UserEvent;
use schemas::ids::{ChatId, UserId};
use schemas::position::{Generation, Offset, Partition, Seq};
use schemas::topics::Topic;

use world::script::{Dice, Scripted, script};
use world::{
    LIVE, PARTITIONS, assert_same_rows, calm, empty_log, now, ports, records, rows, settle,
    straight, tight,
};

const ENGINE: Node = Node(1);
const ZOMBIE: Node = Node(2);

/// A machine with a log and a store on its disks, and engines that come and go.
struct Machine {
    executor: Executor,
    log: MemoryLog,
    store: MemoryStore,
    dice: Dice,
    seed: u64,
    engines: [Option<Projectors>; 2],
    crashes: u32,
}

impl Machine {
    fn new(seed: u64, chances: Chances) -> Self {
        let mut executor = Executor::seeded(seed, chances);
        executor.set_step_budget(4_000_000);
        Self {
            executor,
            log: empty_log(),
            store: MemoryStore::new(),
            dice: Dice(seed),
            seed,
            engines: [None, None],
            crashes: 0,
        }
    }

    /// Starts an engine, with handles of its own.
    fn boot(&mut self, node: Node) {
        let faults = Arc::new(self.executor.faults(node));
        let (log, store) = (self.log.reopen(faults.clone()), self.store.reopen(faults));
        let ports = ports(&log, &store, self.executor.runtime(node));
        let sizes = tight(self.seed.wrapping_add(self.dice.next()));
        self.engines[usize::from(node == ZOMBIE)] = Some(projectors::start(&ports, &sizes, LIVE));
    }

    fn kill(&mut self, node: Node) {
        self.executor.kill(node);
        self.engines[usize::from(node == ZOMBIE)] = None;
    }

    /// The power fails: both engines go, and what was not synced may be lost.
    fn power_cut(&mut self) {
        self.kill(ENGINE);
        self.kill(ZOMBIE);
        let faults = Arc::new(self.executor.faults(ENGINE));
        self.log.reopen(faults.clone()).crash();
        self.store.reopen(faults).crash();
        (self.log, self.store) = calm(&self.log, &self.store);
    }

    /// Lets time pass, with crashes as they come.
    fn run(&mut self, duration: Duration) {
        let until = self.executor.elapsed() + duration;
        while self.executor.elapsed() < until {
            let left = until.saturating_sub(self.executor.elapsed());
            match self.executor.run_for(left) {
                Halt::Done | Halt::Idle => {}
                Halt::Crashed(node, _) => {
                    self.crashes += 1;
                    if self.dice.roll(3) == 0 {
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
    fn live_through(&mut self, script: &[Scripted]) {
        self.boot(ENGINE);
        let mut rest = script;
        while !rest.is_empty() {
            let portion = (1 + self.dice.roll(25) as usize).min(rest.len());
            let (now, later) = rest.split_at(portion);
            world::append(&self.log, now);
            rest = later;
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
    fn come_to_rest(&mut self) {
        self.executor.choices().set_calm(true);
        if self.engines[0].is_none() || self.dice.roll(2) == 0 {
            self.kill(ENGINE);
            self.boot(ENGINE);
        }
        let engine = self.engines[0].take().unwrap();
        settle(&mut self.executor, &self.log, &engine);
        self.engines[0] = Some(engine);
    }
}

/// Who was told of which record, and its seq or refusal.
type Told = (UserId, ChatId, Offset, Option<Seq>, Option<String>);

/// What users were told of chats: each once, whatever was told twice.
fn told(log: &MemoryLog) -> BTreeSet<Told> {
    let mut all = BTreeSet::new();
    for partition in (0..PARTITIONS).map(Partition) {
        for record in records(log, Topic::Users, partition) {
            let (chat, origin, seq, code, recipients) =
                match UserEvent::decode(&record.value).unwrap() {
                    UserEvent::EntryTold(e) => (e.chat, e.origin, Some(e.seq), None, e.recipients),
                    UserEvent::VerdictTold(e) => {
                        let code = Some(e.code.map_or("resent".into(), |code| code.to_string()));
                        (e.chat, e.origin, e.seq, code, e.recipients)
                    }
                    _ => continue,
                };
            for user in recipients {
                all.insert((user, chat.clone(), origin, seq, code.clone()));
            }
        }
    }
    all
}

/// Lives through a script and compares with the straight run. Returns how often a node crashed.
fn compare_with_straight_run(seed: u64, chances: Chances) -> u32 {
    let script = script(seed, 250);
    let (straight_log, straight_store) = straight(&script);
    let mut machine = Machine::new(seed, chances);
    machine.live_through(&script);
    machine.come_to_rest();
    let about = format!("seed {seed}");
    assert_eq!(machine.executor.panics(), [], "{about}");
    let expected = rows(&straight_store, LIVE);
    assert_same_rows(&rows(&machine.store, LIVE), &expected, &about);
    assert_eq!(told(&machine.log), told(&straight_log), "{about}");
    let built = Generation(2);
    let (log, store) = (machine.log.clone(), machine.store.clone());
    let ports = ports(&log, &store, machine.executor.runtime(ENGINE));
    now(rebuild::rebuild(&ports, &tight(seed), built)).unwrap();
    assert_same_rows(&rows(&store, built), &expected, &about);
    machine.crashes
}

#[test]
fn any_order_and_delay_ends_in_the_rows_of_the_straight_run() {
    for seed in 0..5 {
        compare_with_straight_run(seed, Chances::SHUFFLED);
    }
}

#[test]
fn whatever_crashes_wherever_the_rows_are_those_of_the_straight_run() {
    let crashes: u32 = (100..120)
        .map(|seed| compare_with_straight_run(seed, Chances::ROUGH))
        .sum();
    assert!(crashes > 50, "only {crashes} crashes: this tests nothing");
}

#[test]
fn a_graceful_stop_leaves_nothing_to_do_again() {
    let script = script(7, 200);
    let mut machine = Machine::new(7, Chances::SHUFFLED);
    machine.boot(ENGINE);
    world::append(&machine.log, &script);
    machine.run(Duration::from_millis(40));
    let engine = Arc::new(machine.engines[0].take().unwrap());
    let stopping = Arc::clone(&engine);
    let stopped = machine
        .executor
        .block_on(Node(9), async move { stopping.stop().await });
    stopped.unwrap().unwrap();
    for status in engine.statuses() {
        for at in status.progress() {
            assert_eq!(at.applied, at.folded, "{} {}", status.name(), at.partition);
        }
    }
    let ends = |p| now(machine.log.positions(Topic::Users, Partition(p))).unwrap();
    for partition in 0..PARTITIONS {
        assert_eq!(
            ends(partition).durable_end,
            ends(partition).end,
            "all was synced"
        );
    }
}
