//! Every single fault, one at a time: the calm run again, with one crash at one await, or one call
//! that fails, or fails and was done, or is torn. Small scripts, so that all of them fit.

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

use std::collections::BTreeMap;

use infra_ports::memory::Executor;
use infra_ports::memory::runtime::{ChoiceKey, Choices, Kind};
use schemas::topics::Topic;

use world::machine::{ENGINE, Machine};
use world::script::{Scripted, script};
use world::{LIVE, Rows, assert_same_rows, rows, straight};

/// Enough to touch every table, few enough to run for every fault.
const RECORDS: usize = 24;

fn small_script() -> Vec<Scripted> {
    let script = script(5, RECORDS);
    for topic in [Topic::Chats, Topic::Receipts, Topic::Accounts] {
        assert!(script.iter().any(|one| one.topic == topic));
    }
    script
}

/// Works through the script with these faults and no others.
fn run(script: &[Scripted], faults: BTreeMap<ChoiceKey, u32>, power_cuts: u64) -> Machine {
    let choices = Choices::replayed(1, faults);
    let mut machine = Machine::new(1, Executor::with_choices(choices));
    machine.power_cuts = power_cuts;
    machine.executor.choices().keep_asked();
    machine.work_through(script);
    assert_eq!(machine.executor.panics(), []);
    machine
}

fn check(
    script: &[Scripted],
    expected: &Rows,
    fault: ChoiceKey,
    value: u32,
    power_cuts: u64,
) -> u32 {
    let machine = run(script, BTreeMap::from([(fault, value)]), power_cuts);
    let about = format!("{fault:?} = {value}, power cuts one in {power_cuts}");
    assert_same_rows(&rows(&machine.store, LIVE), expected, &about);
    machine.crashes
}

#[test]
fn a_crash_at_any_await_changes_nothing() {
    let script = small_script();
    let (_, store) = straight(&script);
    let expected = rows(&store, LIVE);
    let calm = run(&script, BTreeMap::new(), 1);
    let asked = calm.executor.choices().asked().to_vec();
    let crashes = asked
        .iter()
        .filter(|(key, _)| key.kind == Kind::Crash && key.node == ENGINE);
    let mut crashed = 0;
    for (key, _) in crashes {
        // The process alone, then the power.
        crashed += check(&script, &expected, *key, 1, u64::MAX);
        crashed += check(&script, &expected, *key, 1, 1);
    }
    assert!(crashed > 200, "only {crashed} crashes: this tests nothing");
}

#[test]
fn any_call_that_fails_is_torn_or_was_done_after_all_changes_nothing() {
    let script = small_script();
    let (_, store) = straight(&script);
    let expected = rows(&store, LIVE);
    let calm = run(&script, BTreeMap::new(), 1);
    let asked = calm.executor.choices().asked().to_vec();
    let mut faults = 0;
    for (key, options) in asked.iter().filter(|(key, _)| key.kind == Kind::Effect) {
        for value in 1..(*options).min(4) {
            check(&script, &expected, *key, value, 1);
            faults += 1;
        }
    }
    assert!(faults > 100, "only {faults} faults: this tests nothing");
}
