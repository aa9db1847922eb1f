//! A state is loaded while another engine writes it: what is read is of one moment, or read again.

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
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use infra_ports::memory::store::{Around, AroundStore};
use infra_ports::memory::{Chances, Executor, MemoryLog, MemoryStore, Node};
use infra_ports::store::{Mutation, StoreError, TableStore};
use parking_lot::Mutex;
use projectors::{Config, Ports};
use schemas::tables::{CheckpointRow, Table, TableDef};

use world::script::{Dice, Scripted, script};
use world::{LIVE, append, assert_same_rows, empty_log, rows, run_straight, settle, straight};

/// A store into which another engine writes everything of `late` just after so many reads.
struct Overtaken {
    early: MemoryStore,
    late: MemoryStore,
    reads_left: AtomicU64,
}

#[async_trait]
impl Around for Overtaken {
    fn inner(&self) -> &dyn TableStore {
        &self.late
    }

    fn reads(&self, _table: &'static TableDef) -> &dyn TableStore {
        let one_less = |left: u64| left.checked_sub(1);
        let left = self
            .reads_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        match left {
            Ok(_) => &self.early,
            Err(_) => &self.late,
        }
    }

    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError> {
        self.reads_left.store(0, Ordering::SeqCst);
        self.late.write(mutations).await
    }
}

/// Two replicas, of which one has what another engine wrote before it died, and nobody was told that it is there.
/// Each read is answered by one of them; what is written now goes to both.
struct Replicas {
    early: MemoryStore,
    late: MemoryStore,
    dice: Mutex<Dice>,
}

#[async_trait]
impl Around for Replicas {
    fn inner(&self) -> &dyn TableStore {
        &self.late
    }

    fn reads(&self, table: &'static TableDef) -> &dyn TableStore {
        let is_early = self.dice.lock().roll(2) == 0;
        // It died before it wrote a checkpoint.
        match is_early || table.name == CheckpointRow::DEF.name {
            true => &self.early,
            false => &self.late,
        }
    }

    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError> {
        self.early.write(mutations.clone()).await?;
        self.late.write(mutations).await
    }
}

/// Two stores: one engine got as far as the first part of the script, another one as far as the second. The log
/// has all three.
fn two_moments(script: &[Scripted]) -> (MemoryLog, MemoryStore, MemoryStore) {
    let (log, early, late) = (empty_log(), MemoryStore::new(), MemoryStore::new());
    let part = script.len() / 3;
    append(&log, &script[..part]);
    run_straight(&log, &early, &Config::default());
    append(&log, &script[part..2 * part]);
    run_straight(&log, &late, &Config::default());
    append(&log, &script[2 * part..]);
    (log, early, late)
}

/// Lets an engine on that store apply everything.
fn run_on(store: impl TableStore, log: &MemoryLog, seed: u64, config: &Config) {
    let mut executor = Executor::seeded(seed, Chances::CALM);
    let ports = Ports {
        log: Arc::new(log.clone()),
        store: Arc::new(store),
        runtime: Arc::new(executor.runtime(Node(1))),
    };
    let projectors = projectors::start(&ports, config, LIVE, &projectors::Share::everything());
    settle(&mut executor, log, &projectors);
}

#[test]
fn a_batch_that_one_replica_has_is_seen_whole_or_not_at_all() {
    for_replicas(&Config::default());
}

/// A read that is one row of one page may have made them alike in that row, or page, and no other.
#[test]
fn of_a_batch_that_one_replica_has_no_page_is_taken_without_the_others() {
    let mut config = Config::default();
    config.chats.rows_per_read = 16;
    config.receipts.rows_per_read = 2;
    for_replicas(&config);
}

fn for_replicas(config: &Config) {
    let script = script(21, 240);
    let (_, expected) = straight(&script);
    let expected = rows(&expected, LIVE);
    for seed in 0..60 {
        let (log, early, late) = two_moments(&script);
        let store = AroundStore(Replicas {
            early,
            late: late.clone(),
            dice: Mutex::new(Dice(seed)),
        });
        run_on(store, &log, seed, config);
        assert_same_rows(&rows(&late, LIVE), &expected, &format!("seed {seed}"));
    }
}

#[test]
fn a_load_that_is_overtaken_at_any_read_starts_over() {
    let script = script(21, 240);
    let (_, expected) = straight(&script);
    let expected = rows(&expected, LIVE);
    for reads in 0..120 {
        let (log, early, late) = two_moments(&script);
        let store = AroundStore(Overtaken {
            early,
            late: late.clone(),
            reads_left: AtomicU64::new(reads),
        });
        let mut config = Config::default();
        config.chats.rows_per_read = 3;
        config.receipts.rows_per_read = 3;
        run_on(store, &log, reads, &config);
        assert_same_rows(
            &rows(&late, LIVE),
            &expected,
            &format!("after {reads} reads"),
        );
    }
}
