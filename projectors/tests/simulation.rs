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

use std::sync::Arc;
use std::time::Duration;

use infra_ports::log::EventLog;
use infra_ports::memory::{Chances, Executor, Halt, MemoryStore, Node};
use projectors::rebuild;
use schemas::position::{Generation, Partition};
use schemas::topics::Topic;

use world::machine::{ENGINE, Machine};
use world::script::script;
use world::told::told;
use world::{LIVE, PARTITIONS, assert_same_rows, build, calm, now, ports, rows, straight, tight};

/// Lives through a script and compares with the straight run. Returns how often a node crashed.
fn compare_with_straight_run(seed: u64, chances: Chances) -> u32 {
    let script = script(seed, 250);
    let (straight_log, straight_store) = straight(&script);
    let mut machine = Machine::new(seed, Executor::seeded(seed, chances));
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
    build(&mut machine.executor, &ports, &tight(seed), built);
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
    let mut machine = Machine::new(7, Executor::seeded(7, Chances::SHUFFLED));
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

/// Rebuilds until it is done, again after each crash, with the power cut at every third. Returns how
/// often it crashed.
fn rebuild_through_crashes(seed: u64) -> u32 {
    let script = script(seed, 200);
    let (log, straight_store) = straight(&script);
    let mut executor = Executor::seeded(seed, Chances::ROUGH);
    executor.set_step_budget(4_000_000);
    let store = MemoryStore::new();
    let built = Generation(2);
    let mut crashes = 0;
    loop {
        let faults = Arc::new(executor.faults(ENGINE));
        let (log, store) = (log.reopen(faults.clone()), store.reopen(faults));
        let ports = ports(&log, &store, executor.runtime(ENGINE));
        // Other sizes each time: where it crashed is not where it stops for itself.
        let sizes = tight(seed.wrapping_mul(31).wrapping_add(u64::from(crashes)));
        let round = executor.block_on(ENGINE, async move {
            rebuild::rebuild(&ports, &sizes, built).await.map(|_| ())
        });
        match round {
            Ok(done) => break done.unwrap(),
            Err(Halt::Crashed(node, _)) => executor.kill(node),
            Err(halt) => panic!("seed {seed}: {halt:?}"),
        }
        crashes += 1;
        if crashes % 3 == 0 {
            store.crash();
        }
    }
    assert_eq!(executor.panics(), []);
    let (_, store) = calm(&log, &store);
    let (got, expected) = (rows(&store, built), rows(&straight_store, LIVE));
    assert_same_rows(&got, &expected, &format!("seed {seed}"));
    crashes
}

#[test]
fn a_rebuild_that_crashes_anywhere_goes_on_to_the_rows_of_the_live_build() {
    let crashes: u32 = (300..312).map(rebuild_through_crashes).sum();
    assert!(crashes > 10, "only {crashes} crashes: this tests nothing");
}
