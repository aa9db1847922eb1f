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
use infra_ports::memory::{Chances, Executor, MemoryStore, Node};
use infra_ports::store::{Mutation, StoreError, TableStore};
use projectors::{Config, Ports};

use world::script::script;
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

    fn reads(&self) -> &dyn TableStore {
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

#[test]
fn a_load_that_is_overtaken_at_any_read_starts_over() {
    let script = script(21, 240);
    let (_, expected) = straight(&script);
    let expected = rows(&expected, LIVE);
    for reads in 0..120 {
        let (log, early, late) = (empty_log(), MemoryStore::new(), MemoryStore::new());
        // One engine got as far as the first half, another one as far as the second.
        append(&log, &script[..80]);
        run_straight(&log, &early, &Config::default());
        append(&log, &script[80..160]);
        run_straight(&log, &late, &Config::default());
        append(&log, &script[160..]);
        let store = AroundStore(Overtaken {
            early,
            late: late.clone(),
            reads_left: AtomicU64::new(reads),
        });
        let mut executor = Executor::seeded(reads, Chances::CALM);
        let ports = Ports {
            log: Arc::new(log.clone()),
            store: Arc::new(store),
            runtime: Arc::new(executor.runtime(Node(1))),
        };
        let mut config = Config::default();
        config.chats.rows_per_read = 3;
        config.receipts.rows_per_read = 3;
        let projectors = projectors::start(&ports, &config, LIVE, &projectors::Share::everything());
        settle(&mut executor, &log, &projectors);
        assert_same_rows(
            &rows(&late, LIVE),
            &expected,
            &format!("after {reads} reads"),
        );
    }
}
