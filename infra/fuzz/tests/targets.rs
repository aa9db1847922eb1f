//! Every target for a few seconds (`CURSUS_FUZZ_SECONDS`), on cases of the seed that every run has
//! and on those of a seed that no run had (`CURSUS_FUZZ_SEED` gives it again), and every case that
//! was ever found.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test may fail loudly, and takes a fresh seed from the clock"
)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use infra_fuzz::drive::{check, warm_up};
use infra_fuzz::{Settings, all, corpus, drive, named};

/// Seconds for each target; `make test` has other work, too.
const SECONDS: u64 = 5;

fn seconds() -> u64 {
    let given = std::env::var("CURSUS_FUZZ_SECONDS").ok();
    given.map_or(SECONDS, |given| {
        given.parse().expect("CURSUS_FUZZ_SECONDS: a number")
    })
}

/// The seed of every run.
const FIXED_SEED: u64 = 1;

/// A seed of this run alone, or the one that is given to repeat a run.
fn fresh_seed() -> u64 {
    if let Ok(given) = std::env::var("CURSUS_FUZZ_SEED") {
        return given.parse().expect("CURSUS_FUZZ_SEED: a number");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(2, |now| now.as_secs())
}

/// A target under mutated samples and noise: half of the time on the fixed seed's cases, half on a
/// fresh one's.
fn withstands(name: &str) {
    let target = named(name).expect("a target of this name");
    let fresh = fresh_seed();
    println!("{name}: seeds {FIXED_SEED} and {fresh}");
    for seed in [FIXED_SEED, fresh] {
        let within = Duration::from_secs(seconds()) / 2;
        match drive(&*target, Settings { within, seed }) {
            Ok(report) => assert!(report.cases > 0, "no time for a single case"),
            Err(finding) => {
                let file = corpus::keep(name, &finding.bytes).expect("a place for the case");
                let (why, file) = (finding.why, file.display());
                panic!("{name}: {why}\nkept as {file}; again by CURSUS_FUZZ_SEED={seed}");
            }
        }
    }
}

macro_rules! withstand {
    ($($test:ident: $target:literal)*) => {
        $(#[test] fn $test() { withstands($target); })*

        #[test]
        fn every_target_has_its_test() {
            let tested = [$($target),*];
            let names: Vec<_> = all().iter().map(|target| target.name()).collect();
            assert_eq!(names, tested);
        }
    };
}

withstand! {
    frames_of_clients_are_taken_or_refused: "commands"
    bytes_in_the_log_are_events_or_refused: "events"
    heads_of_requests_are_handshakes_or_refused: "handshake"
    requests_are_answered_or_refused: "http"
    frames_of_servers_never_confuse_a_client: "news"
    a_spoilt_segment_is_opened_cut_or_refused: "recovery"
    bytes_in_a_store_are_rows_or_refused: "rows"
    a_forged_segment_is_opened_or_refused: "segments"
    tokens_and_keys_are_good_or_refused: "tokens"
    bytes_on_a_socket_are_frames_or_end_the_session: "websocket"
}

#[test]
fn valid_samples_and_every_case_that_was_found_are_withstood() {
    let mut broken = Vec::new();
    for target in all() {
        warm_up(&*target);
        let samples = target.samples();
        assert!(!samples.is_empty(), "{} has no samples", target.name());
        let found = corpus::of(target.name()).into_iter();
        let cases = samples.into_iter().chain(found.map(|case| case.bytes));
        for (number, case) in cases.enumerate() {
            if let Err(why) = check(&*target, &case) {
                broken.push(format!("{} {number}: {why}", target.name()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn no_folder_of_the_corpus_is_without_its_target() {
    for folder in std::fs::read_dir(corpus::folder())
        .expect("the corpus")
        .flatten()
    {
        let name = folder.file_name().to_string_lossy().into_owned();
        let is_folder = folder.path().is_dir();
        assert!(!is_folder || named(&name).is_some(), "{name} is no target");
    }
}
