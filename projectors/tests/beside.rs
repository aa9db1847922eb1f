//! A generation that is built beside one that is folded meanwhile: it goes no further than that one
//! has told, and once it is folded itself tables and `users` are as if there had always been one.

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

use std::sync::Arc;
use std::time::Duration;

use infra_ports::memory::{Chances, Executor, Halt, MemoryLog, MemoryStore, Node};
use infra_ports::{EventLog, Runtime};
use projectors::rebuild::{self, Beside};
use projectors::{Ports, Projectors, Share};
use schemas::position::{Generation, Offset, Partition};
use schemas::topics::Topic;

use world::script::{Dice, Scripted, script};
use world::told::told;
use world::{
    LIVE, PARTITIONS, append, assert_same_rows, empty_log, now, ports, rows, settle, straight,
    tight,
};

/// The one that is built beside.
const NEXT: Generation = Generation(2);
const FOLDS_LIVE: Node = Node(1);
const FOLDS_NEXT: Node = Node(2);
const BUILDS: Node = Node(7);

/// One log, one store, and who folds what into it.
struct Scene {
    executor: Executor,
    log: MemoryLog,
    store: MemoryStore,
    dice: Dice,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut executor = Executor::seeded(seed, Chances::SHUFFLED);
        executor.set_step_budget(8_000_000);
        Self {
            executor,
            log: empty_log(),
            store: MemoryStore::new(),
            dice: Dice(seed),
        }
    }

    fn ports(&self, node: Node) -> Ports {
        let faults = Arc::new(self.executor.faults(node));
        let (log, store) = (self.log.reopen(faults.clone()), self.store.reopen(faults));
        ports(&log, &store, self.executor.runtime(node))
    }

    fn fold(&mut self, node: Node, generation: Generation) -> Projectors {
        let (ports, sizes) = (self.ports(node), tight(self.dice.next()));
        projectors::start(&ports, &sizes, generation, &Share::everything())
    }

    fn run(&mut self, within_ms: u64) {
        let pause = self.dice.roll(within_ms);
        let halt = self.executor.run_for(Duration::from_millis(pause));
        assert!(matches!(halt, Halt::Done | Halt::Idle), "halted: {halt:?}");
    }

    /// A script in portions, with time between them.
    fn write(&mut self, script: &[Scripted]) {
        let mut rest = script;
        while !rest.is_empty() {
            append(&self.log, self.dice.portion(12, &mut rest));
            self.run(25);
        }
    }

    /// Builds the next generation in so many rounds, and answers where the last one ended.
    fn build(&mut self, rounds: u64) -> rebuild::Positions {
        let (ports, sizes) = (self.ports(BUILDS), tight(self.dice.next()));
        let built = self.executor.block_on(BUILDS, async move {
            let mut beside = Beside::new(&ports, &sizes, NEXT, LIVE).await.unwrap();
            let mut reached = Vec::new();
            for _ in 0..rounds {
                reached = beside.round().await.unwrap();
            }
            reached
        });
        built.unwrap()
    }

    fn adopt(&mut self) {
        let ports = self.ports(BUILDS);
        let adopted = self
            .executor
            .block_on(BUILDS, async move { rebuild::adopt(&ports, NEXT).await });
        adopted.unwrap().unwrap();
    }

    fn assert_as_straight(&self, generation: Generation, script: &[Scripted], about: &str) {
        let (log, store) = straight(script);
        let expected = rows(&store, LIVE);
        assert_same_rows(&rows(&self.store, generation), &expected, about);
        assert_eq!(told(&self.log), told(&log), "{about}");
    }
}

#[test]
fn build_goes_no_further_than_the_live_generation_has_told() {
    let script = script(3, 300);
    let mut scene = Scene::new(3);
    let live = scene.fold(FOLDS_LIVE, LIVE);
    append(&scene.log, &script[..150]);
    settle(&mut scene.executor, &scene.log, &live);
    scene.executor.kill(FOLDS_LIVE);
    append(&scene.log, &script[150..]);
    let told_then = told(&scene.log);
    for (topic, partition, reached) in scene.build(2) {
        let live_is_at = live.status(
            world::ORIGINS
                .iter()
                .find(|(_, of)| *of == topic)
                .unwrap()
                .0,
        );
        let live_is_at = live_is_at.unwrap().applied(partition);
        assert_eq!(Some(reached), live_is_at, "{topic} {partition}");
    }
    assert_eq!(told(&scene.log), told_then, "it tells nobody");
    scene.adopt();
    let next = scene.fold(FOLDS_NEXT, NEXT);
    settle(&mut scene.executor, &scene.log, &next);
    scene.assert_as_straight(NEXT, &script, "the rest is told by the next one");
}

#[test]
fn build_beside_a_generation_without_any_checkpoint_goes_to_the_ends() {
    let script = script(4, 200);
    let mut scene = Scene::new(4);
    append(&scene.log, &script);
    for (topic, partition, reached) in scene.build(1) {
        let ends = now(scene.log.positions(topic, partition)).unwrap();
        assert_eq!(reached, ends.durable_end, "{topic} {partition}");
    }
    let expected = rows(&straight(&script).1, LIVE);
    assert_same_rows(&rows(&scene.store, NEXT), &expected, "from the log alone");
    let told_to = (0..PARTITIONS).map(|p| {
        let ends = now(scene.log.positions(Topic::Users, Partition(p)));
        ends.unwrap().end
    });
    assert!(
        told_to.into_iter().all(|end| end == Offset(0)),
        "nobody is told"
    );
}

#[test]
fn tables_and_what_is_told_are_as_if_there_had_been_one_generation() {
    for seed in 0..30 {
        let script = script(seed, 260);
        let about = format!("seed {seed}");
        let mut scene = Scene::new(seed);
        let live = scene.fold(FOLDS_LIVE, LIVE);
        let (before, after) = script.split_at(120);
        let (during, after) = after.split_at(50);
        scene.write(before);
        // Killed in the middle of a round, and gone on with by another one.
        if scene.dice.roll(2) == 0 {
            let (ports, sizes) = (scene.ports(BUILDS), tight(scene.dice.next()));
            let round = async move {
                let mut beside = Beside::new(&ports, &sizes, NEXT, LIVE).await.unwrap();
                drop(beside.round().await);
            };
            let runtime = scene.executor.runtime(BUILDS);
            runtime.spawn("build", Box::pin(round));
            scene.run(30);
            scene.executor.kill(BUILDS);
        }
        let rounds = 1 + scene.dice.roll(3);
        scene.build(rounds);
        scene.write(during);
        scene.build(1);
        scene.adopt();
        let next = scene.fold(FOLDS_NEXT, NEXT);
        scene.write(&after[..20]);
        // It ends where it stands; what it told and did not checkpoint is told again by the other.
        scene.executor.kill(FOLDS_LIVE);
        drop(live);
        scene.write(&after[20..60]);
        settle(&mut scene.executor, &scene.log, &next);
        // And back: the old one goes on from where it was killed.
        let live = scene.fold(FOLDS_LIVE, LIVE);
        scene.write(&after[60..]);
        // What each tells again, the other one reads.
        for projectors in [&next, &live, &next] {
            settle(&mut scene.executor, &scene.log, projectors);
        }
        for generation in [NEXT, LIVE] {
            scene.assert_as_straight(generation, &script, &format!("{about}, {generation}"));
        }
    }
}
