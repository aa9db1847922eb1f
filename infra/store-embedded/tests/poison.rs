//! A store whose disk fails once: what it answers until it is opened again, and what is there then.
//!
//! The test runs itself in a process that may not write long files: the journal hits that limit as
//! it would hit a broken disk.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

use std::path::{Path, PathBuf};
use std::process::Command;

use infra_ports::{Mutation, StoreError, TableStore};
use infra_store_embedded::{Config, EmbeddedStore};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Generation, Seq, Timestamp, Version};
use schemas::tables::{HiddenRow, Table};

const ONE: Generation = Generation(1);
const CONFINED: &str = "CURSUS_TEST_CONFINED_STORE";

fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn open(path: &Path) -> EmbeddedStore {
    let config = Config {
        path: path.to_owned(),
        min_free_bytes: 0,
        ..Config::default()
    };
    let store = EmbeddedStore::open(&config).unwrap();
    now(store.create_tables(&[HiddenRow::DEF], ONE)).unwrap();
    store
}

/// A hundred rows, about 5 KiB.
fn write(store: &EmbeddedStore, round: u64) -> Result<(), StoreError> {
    let row = |seq| HiddenRow {
        user: UserId::new("a").unwrap(),
        chat: ChatId::new("d.a.b").unwrap(),
        seq: Seq(seq),
        at: Timestamp(1),
    };
    let rows =
        (round * 100..(round + 1) * 100).map(|seq| Mutation::put(ONE, &row(seq), Version(1)));
    now(store.write(rows.collect()))
}

fn rows(store: &EmbeddedStore) -> usize {
    let rows = now(store.scan_table(HiddenRow::DEF, ONE, None, usize::MAX));
    rows.unwrap().len()
}

/// In the confined process.
fn until_the_disk_fails(path: &Path) {
    let store = open(path);
    let (round, first) = (1..1_000)
        .find_map(|round| Some((round, write(&store, round).err()?)))
        .unwrap();
    assert!(matches!(first, StoreError::Unavailable(_)), "{first}");
    for answer in [write(&store, round), now(store.sync())] {
        let error = answer.unwrap_err();
        assert!(matches!(error, StoreError::Poisoned(_)), "{error}");
        assert!(!error.is_retryable());
    }
    assert_eq!(rows(&store), usize::try_from(round).unwrap() * 100);
    std::fs::write(path.join("rounds"), round.to_string()).unwrap();
}

#[test]
fn after_a_failed_write_none_is_taken_until_the_store_is_opened_again() {
    if let Some(path) = std::env::var_os(CONFINED) {
        return until_the_disk_fails(&PathBuf::from(path));
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, 0).unwrap();
    now(store.close()).unwrap();

    let name = "after_a_failed_write_none_is_taken_until_the_store_is_opened_again";
    let confined = Command::new("sh")
        .args([
            "-c",
            r#"trap "" XFSZ; ulimit -f 64; exec "$0" --exact "$1" --nocapture"#,
        ])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(CONFINED, dir.path())
        .output()
        .unwrap();
    assert!(confined.status.success(), "{confined:?}");

    let rounds = std::fs::read_to_string(dir.path().join("rounds")).unwrap();
    let rounds: u64 = rounds.parse().unwrap();
    let store = open(dir.path());
    let there = rows(&store);
    let whole = usize::try_from(rounds).unwrap() * 100;
    // The write that failed may have happened, wholly or not at all.
    assert!([whole, whole + 100].contains(&there), "{there} of {whole}");
    write(&store, rounds).unwrap();
    now(store.sync()).unwrap();
    assert_eq!(rows(&store), whole + 100);
}
