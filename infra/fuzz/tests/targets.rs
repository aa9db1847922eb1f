//! Every target for a few seconds (`CURSUS_FUZZ_SECONDS`) on the cases of one seed, the same in
//! every run (`CURSUS_FUZZ_SEED` gives another), and every case that was ever found. Fresh seeds are
//! `make fuzz`'s: what they find is no fault of the change that happens to be tested.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail loudly, and says which seed it had"
)]

use std::time::Duration;

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
const SEED: u64 = 1;

fn seed() -> u64 {
    let given = std::env::var("CURSUS_FUZZ_SEED").ok();
    given.map_or(SEED, |given| {
        given.parse().expect("CURSUS_FUZZ_SEED: a number")
    })
}

/// A target under mutated samples and noise.
fn withstands(name: &str) {
    let target = named(name).expect("a target of this name");
    let (within, seed) = (Duration::from_secs(seconds()), seed());
    println!("{name}: seed {seed}");
    match drive(&*target, Settings { within, seed }) {
        Ok(report) => assert!(report.cases > 0, "no time for a single case"),
        Err(finding) => {
            let file = corpus::keep(name, &finding.bytes).expect("a place for the case");
            let (why, file) = (finding.why, file.display());
            panic!("{name}: {why}\nkept as {file}; again by CURSUS_FUZZ_SEED={seed}");
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
