//! What the embedded store does beyond the port: one process, room on the disk, bulk loading, and
//! many threads at once.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may fail loudly; threads on purpose"
)]

use std::sync::atomic::{AtomicBool, Ordering};

use infra_ports::{Mutation, ScanRange, StoreError, StoredRow, TableStore};
use infra_store_embedded::{Config, EmbeddedStore, OpenError};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Generation, Seq, Timestamp, Version};
use schemas::tables::{Digest, HiddenRow, Table, encode_row};
use tempfile::TempDir;

const ONE: Generation = Generation(1);
const TWO: Generation = Generation(2);

/// Batches of each of three writers.
const ROUNDS: u64 = 500;

fn config(dir: &TempDir) -> Config {
    Config {
        path: dir.path().to_owned(),
        min_free_bytes: 0,
        ..Config::default()
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn opened(dir: &TempDir) -> EmbeddedStore {
    let store = EmbeddedStore::open(&config(dir)).unwrap();
    for build in [ONE, TWO] {
        now(store.create_tables(&[HiddenRow::DEF], build)).unwrap();
    }
    store
}

fn row(user: &str, seq: u64, at: i64) -> HiddenRow {
    let (user, chat) = (UserId::new(user).unwrap(), ChatId::new("d.a.b").unwrap());
    HiddenRow {
        user,
        chat,
        seq: Seq(seq),
        at: Timestamp(at),
    }
}

fn put(row: &HiddenRow, version: u64) -> Mutation {
    Mutation::put(ONE, row, Version(version))
}

fn all(store: &EmbeddedStore, build: Generation) -> Vec<StoredRow> {
    now(store.scan_table(HiddenRow::DEF, build, None, usize::MAX)).unwrap()
}

#[test]
fn a_second_opening_is_refused_while_the_first_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(&dir);
    let second = EmbeddedStore::open(&config(&dir)).unwrap_err();
    assert!(matches!(second, OpenError::Locked(_)), "{second}");
    now(store.close()).unwrap();
    EmbeddedStore::open(&config(&dir)).unwrap();
}

#[test]
fn tables_opened_behind_answer_as_soon_as_they_are_open() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(&dir);
    now(store.write(vec![put(&row("a", 1, 1), 1)])).unwrap();
    now(store.close()).unwrap();
    let store = EmbeddedStore::open_behind(&config(&dir)).unwrap();
    let second = EmbeddedStore::open_behind(&config(&dir)).unwrap_err();
    assert!(matches!(second, OpenError::Locked(_)), "{second}");
    assert_eq!(all(&store, ONE).len(), 1);
    assert!(store.is_open());
    now(store.close()).unwrap();
    assert!(!store.is_open());
}

#[test]
fn tables_that_do_not_open_behind_say_why_and_give_the_directory_back() {
    let dir = tempfile::tempdir().unwrap();
    now(opened(&dir).close()).unwrap();
    let version = dir.path().join("tables/version");
    let whole = std::fs::read(&version).unwrap();
    std::fs::write(&version, "nothing").unwrap();
    let store = EmbeddedStore::open_behind(&config(&dir)).unwrap();
    let why = now(store.opened()).unwrap_err();
    assert!(matches!(*why, OpenError::Tables { .. }), "{why}");
    let write = now(store.write(vec![put(&row("a", 1, 1), 1)]));
    assert!(matches!(write, Err(StoreError::Closed)));
    now(store.close()).unwrap();
    std::fs::write(&version, whole).unwrap();
    EmbeddedStore::open(&config(&dir)).unwrap();
}

#[test]
fn without_room_writes_are_refused_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(&dir);
    now(store.write(vec![put(&row("a", 1, 1), 1)])).unwrap();
    now(store.close()).unwrap();
    let full = Config {
        min_free_bytes: u64::MAX,
        ..config(&dir)
    };
    let store = EmbeddedStore::open(&full).unwrap();
    let refused = now(store.write(vec![put(&row("a", 2, 1), 2)])).unwrap_err();
    assert!(refused.is_retryable(), "{refused}");
    assert_eq!(all(&store, ONE).len(), 1);
    now(store.close()).unwrap();
    let store = EmbeddedStore::open(&config(&dir)).unwrap();
    now(store.write(vec![put(&row("a", 2, 1), 2)])).unwrap();
    assert_eq!(all(&store, ONE).len(), 2);
}

#[test]
fn a_key_too_long_is_refused_and_nothing_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(&dir);
    let mut long = put(&row("b", 1, 1), 1);
    long.cluster = vec![1; 70_000].into();
    let answer = now(store.write(vec![put(&row("a", 1, 1), 1), long]));
    assert!(matches!(answer, Err(StoreError::Damaged { .. })));
    assert!(all(&store, ONE).is_empty());
}

#[test]
fn rows_loaded_in_bulk_are_those_written_and_live_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(&dir);
    let rows: Vec<HiddenRow> = ["a", "b", "c"]
        .iter()
        .flat_map(|u| (1..=200).map(|s| row(u, s, 7)))
        .collect();
    now(store.write(rows.iter().rev().map(|row| put(row, 9)).collect())).unwrap();
    // In no order, more than go past the journal.
    let loaded: Vec<Mutation> = rows
        .iter()
        .rev()
        .map(|row| Mutation::put(TWO, row, Version(9)))
        .collect();
    now(store.load(&loaded)).unwrap();
    let digest = |rows: &[StoredRow]| {
        let mut digest = Digest::default();
        rows.iter()
            .for_each(|r| digest.add(&r.partition, &r.cluster, &r.values));
        digest
    };
    assert_eq!(digest(&all(&store, TWO)), digest(&all(&store, ONE)));
    // Versions hold: older changes nothing, newer does, also after a reopening, and also when it is
    // known how high they reach.
    now(store.close()).unwrap();
    let store = opened(&dir);
    now(store.settled(&[HiddenRow::DEF], TWO, Version(9))).unwrap();
    let older = Mutation::put(TWO, &row("a", 1, 0), Version(8));
    let newer = Mutation::put(TWO, &row("a", 2, 0), Version(10));
    let gone = Mutation::delete::<HiddenRow>(TWO, &row("a", 3, 0).key(), Version(9));
    now(store.write(vec![older, newer, gone])).unwrap();
    let after = all(&store, TWO);
    assert_eq!(after.len(), 599);
    let ats: Vec<i64> = after
        .iter()
        .take(2)
        .map(|r| r.decode::<HiddenRow>().unwrap().at.0)
        .collect();
    assert_eq!(ats, [7, 0]);
}

#[test]
fn a_load_into_rows_changes_only_what_is_older() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(&dir);
    let held = [(1, 20), (2, 5)].map(|(seq, version)| put(&row("a", seq, 1), version));
    now(store.write(held.to_vec())).unwrap();
    let mut loaded: Vec<Mutation> = (1..=1_000).map(|seq| put(&row("a", seq, 2), 10)).collect();
    // The same key twice: the newer one stands, wherever it comes.
    loaded.insert(0, put(&row("a", 7, 3), 11));
    now(store.load(&loaded)).unwrap();
    let ats = |store: &EmbeddedStore| -> Vec<i64> {
        let rows = all(store, ONE);
        rows.iter()
            .map(|r| r.decode::<HiddenRow>().unwrap().at.0)
            .collect()
    };
    let expected = |seq: usize| match seq {
        1 => 1,
        7 => 3,
        _ => 2,
    };
    let expected: Vec<i64> = (1..=1_000).map(expected).collect();
    assert_eq!(ats(&store), expected);
    // Written after a load, and kept over a reopening.
    now(store.write(vec![put(&row("a", 1, 4), 21), put(&row("a", 9, 4), 9)])).unwrap();
    now(store.close()).unwrap();
    let mut expected = expected;
    expected[0] = 4;
    assert_eq!(ats(&opened(&dir)), expected);
}

#[test]
fn threads_at_once_see_partitions_whole_and_the_newest_version_wins() {
    let dir = tempfile::tempdir().unwrap();
    // Rows are written out all the time: that must not make half a batch visible.
    let small = Config {
        memtable_bytes: 2_048,
        ..config(&dir)
    };
    let store = EmbeddedStore::open(&small).unwrap();
    now(store.create_tables(&[HiddenRow::DEF], ONE)).unwrap();
    let done = AtomicBool::new(false);
    let partition = encode_row(&row("a", 1, 0)).partition;
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3u64)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let version = round * 3 + writer + 1;
                        let at = i64::try_from(version).unwrap();
                        let rows = (1..=100).map(|seq| put(&row("a", seq, at), version));
                        now(store.write(rows.collect())).unwrap();
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let (mut scans, mut newest) = (0u32, 0);
            while !done.load(Ordering::Relaxed) || scans == 0 {
                let range = ScanRange {
                    limit: 200,
                    ..ScanRange::default()
                };
                let rows = now(store.scan(HiddenRow::DEF, ONE, &partition, range)).unwrap();
                let Some(first) = rows.first() else { continue };
                assert_eq!(rows.len(), 100);
                assert!(
                    rows.iter().all(|row| row.version == first.version),
                    "a torn batch"
                );
                assert!(first.version.0 >= newest, "a version went back");
                newest = first.version.0;
                scans += 1;
            }
            scans
        });
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
    assert!(
        all(&store, ONE)
            .iter()
            .all(|row| row.version == Version(3 * ROUNDS))
    );
}
