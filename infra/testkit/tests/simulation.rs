//! The whole-node simulation: many seeds hold, and a seed is one run, bit for bit.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may fail loudly")]

use std::process::Command;

use infra_testkit::simulation::{Keep, simulate};

fn hold(seeds: std::ops::Range<u64>) {
    let (mut failed, mut crashes, mut delivered) = (Vec::new(), 0, 0);
    for seed in seeds {
        let outcome = simulate(seed, Keep::default());
        crashes += outcome.crashes;
        delivered += outcome.delivered;
        failed.extend(
            outcome
                .failure
                .map(|failure| format!("seed {seed}: {failure}")),
        );
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(crashes > 100 && delivered > 1_000, "this tests nothing");
}

#[test]
fn a_hundred_seeds_keep_every_promise() {
    hold(0..100);
}

#[test]
fn another_hundred_seeds_keep_every_promise() {
    hold(100..200);
}

#[test]
fn a_seed_is_one_run_in_every_process() {
    for seed in [3, 38, 77] {
        let trace = format!("trace {:016x}", simulate(seed, Keep::default()).trace);
        let mut program = Command::new(env!("CARGO_BIN_EXE_cursus-simulate"));
        let flags = ["--seeds", "1", "--seed", &seed.to_string()];
        let said = program.args(flags).output().unwrap().stdout;
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains(&trace), "seed {seed}: {trace}, but {said}");
    }
}
