//! The engine over the in-memory log and store: any batching ends in the same rows, a rebuild makes
//! them again bit for bit, bad records have the fate the design gives them.

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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use infra_ports::memory::store::{Around, AroundStore};
use infra_ports::memory::{Chances, Executor, Faults, MemoryLog, MemoryStore, Node};
use infra_ports::{BoxFuture, EventLog, TableStore};
use projectors::{Config, Ports, Share, Status, rebuild};
use proptest::prelude::*;
use schemas::position::{Generation, Partition};
use schemas::tables::TableDef;
use schemas::topics::{TOPICS, Topic};

use world::script::script;
use world::{
    LIVE, PARTITIONS, assert_same_rows, build, empty_log, is_done, now, ports, records, rows,
    run_straight, straight, tight,
};

/// Records that projections have appended.
fn spoken(log: &MemoryLog) -> usize {
    let topics = [Topic::Users, Topic::DeadLetters].into_iter();
    let places = topics.flat_map(|t| (0..PARTITIONS).map(move |p| (t, Partition(p))));
    places.map(|(t, p)| records(log, t, p).len()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(12)
    })]

    #[test]
    fn any_batching_ends_in_the_same_rows(seed in any::<u64>(), sizes in any::<u64>()) {
        let script = script(seed, 300);
        let (_, expected) = straight(&script);
        let (log, store) = (empty_log(), MemoryStore::new());
        world::append(&log, &script);
        run_straight(&log, &store, &tight(sizes));
        assert_same_rows(&rows(&store, LIVE), &rows(&expected, LIVE), "another batching");
    }

    #[test]
    fn a_rebuild_from_the_first_offset_is_equal_bit_for_bit(
        seed in any::<u64>(),
        sizes in any::<u64>(),
        cut in 0_usize..300,
    ) {
        let script = script(seed, 300);
        let (log, store) = (empty_log(), MemoryStore::new());
        let built = Generation(2);
        let mut executor = Executor::seeded(seed, Chances::CALM);
        let ports = ports(&log, &store, executor.runtime(Node(1)));
        let mut before = 0;
        // In two rounds: a build goes on from where it stands.
        for part in [&script[..cut], &script[cut..]] {
            world::append(&log, part);
            run_straight(&log, &store, &Config::default());
            before = spoken(&log);
            build(&mut executor, &ports, &tight(sizes), built);
        }
        assert_same_rows(&rows(&store, built), &rows(&store, LIVE), "rebuilt");
        prop_assert_eq!(spoken(&log), before, "only the live build speaks");
        for one in now(rebuild::compare(&store, LIVE, built)).unwrap() {
            prop_assert!(one.is_equal(), "{one:?}");
        }
    }
}

/// A store that counts reads of rows and partitions.
struct Counted(MemoryStore, Arc<AtomicU64>);

impl Around for Counted {
    fn inner(&self) -> &dyn TableStore {
        &self.0
    }

    fn reads(&self, _table: &'static TableDef) -> &dyn TableStore {
        self.1.fetch_add(1, Ordering::Relaxed);
        &self.0
    }
}

/// How often a rebuild with so much room for states reads the store.
fn reads_of_a_rebuild(cache_weight: usize) -> u64 {
    let (log, store) = straight(&script(13, 600));
    let mut executor = Executor::seeded(13, Chances::CALM);
    let reads = Arc::new(AtomicU64::new(0));
    let counted = AroundStore(Counted(store.clone(), Arc::clone(&reads)));
    let ports = Ports {
        store: Arc::new(counted),
        ..ports(&log, &store, executor.runtime(Node(1)))
    };
    let mut config = Config::default();
    for engine in [&mut config.chats, &mut config.inbox, &mut config.receipts] {
        engine.cache_weight = cache_weight;
        // After every write, what is too much at hand goes.
        engine.rebuild_bytes = 1;
        engine.rebuild_chunk_records = 8;
    }
    build(&mut executor, &ports, &config, Generation(2));
    assert_same_rows(&rows(&store, Generation(2)), &rows(&store, LIVE), "rebuilt");
    reads.load(Ordering::Relaxed)
}

#[test]
fn a_rebuild_whose_states_do_not_fit_reads_the_log_again_and_not_its_tables() {
    let all_fit = reads_of_a_rebuild(1_000_000);
    assert_eq!(reads_of_a_rebuild(300), all_fit);
}

#[test]
fn a_generation_that_was_discarded_is_built_from_the_first_offset_again() {
    let (log, store) = straight(&script(11, 200));
    let built = Generation(2);
    let mut executor = Executor::seeded(11, Chances::CALM);
    let ports = ports(&log, &store, executor.runtime(Node(1)));
    for _ in 0..2 {
        build(&mut executor, &ports, &Config::default(), built);
        assert_same_rows(&rows(&store, built), &rows(&store, LIVE), "built");
        now(rebuild::discard(&store, built)).unwrap();
    }
}

#[test]
fn an_engine_goes_on_from_a_generation_that_was_built() {
    let script = script(12, 240);
    let (log, store) = (empty_log(), MemoryStore::new());
    let built = Generation(2);
    let mut executor = Executor::seeded(12, Chances::CALM);
    let ports = ports(&log, &store, executor.runtime(Node(1)));
    world::append(&log, &script[..160]);
    run_straight(&log, &store, &Config::default());
    build(&mut executor, &ports, &Config::default(), built);
    now(rebuild::adopt(&ports, built)).unwrap();
    world::append(&log, &script[160..]);
    let projectors = projectors::start(&ports, &Config::default(), built, &Share::everything());
    world::settle(&mut executor, &log, &projectors);
    let (_, expected) = straight(&script);
    assert_same_rows(&rows(&store, built), &rows(&expected, LIVE), "gone on");
}

#[test]
fn rows_that_somebody_waits_for_do_not_wait_for_company() {
    let (log, store) = (empty_log(), MemoryStore::new());
    let mut executor = Executor::seeded(3, Chances::CALM);
    let mut config = Config::default();
    for engine in [
        &mut config.chats,
        &mut config.inbox,
        &mut config.receipts,
        &mut config.settings,
    ] {
        engine.linger = Duration::from_secs(3_600);
    }
    let runtime = executor.runtime(Node(1));
    let projectors = projectors::start(
        &ports(&log, &store, runtime),
        &config,
        LIVE,
        &Share::everything(),
    );
    world::append(&log, &script(3, 30));
    let _ = executor.run_for(Duration::from_secs(60));
    assert!(!is_done(&log, &projectors), "it lingers for an hour");
    let hurry: Vec<_> = projectors.statuses().iter().map(Status::hurry).collect();
    let _ = executor.run_for(Duration::from_secs(1));
    assert!(
        is_done(&log, &projectors),
        "the inbox's records too, which follow from others"
    );
    drop(hurry);
    world::append(&log, &script(4, 30));
    let _ = executor.run_for(Duration::from_secs(60));
    assert!(!is_done(&log, &projectors), "nobody waits any more");
}

/// A log that, once told so, does not say where it ends.
#[derive(Default)]
struct Mute(AtomicBool);

impl Faults for Mute {
    fn point(&self, site: &'static str) -> BoxFuture<'static, ()> {
        match site == "log.ends.before" && self.0.load(Ordering::Relaxed) {
            true => Box::pin(std::future::pending()),
            false => Box::pin(std::future::ready(())),
        }
    }

    fn choose(&self, _site: &'static str, _options: u32) -> u32 {
        0
    }
}

#[test]
fn a_log_that_does_not_say_where_it_ends_holds_up_no_fold_and_no_stop() {
    let mute = Arc::new(Mute::default());
    let log = MemoryLog::with_faults(PARTITIONS, Arc::clone(&mute) as _);
    let topics = TOPICS.map(|spec| spec.topic);
    now(log.create_topics(&topics)).unwrap();
    let store = MemoryStore::new();
    let mut executor = Executor::seeded(5, Chances::CALM);
    let ports = ports(&log, &store, executor.runtime(Node(1)));
    let projectors = projectors::start(&ports, &Config::default(), LIVE, &Share::everything());
    let _ = executor.run_for(Duration::from_secs(1));
    mute.0.store(true, Ordering::Relaxed);
    // It is asked meanwhile.
    let _ = executor.run_for(Duration::from_secs(5));
    world::append(&log, &script(5, 40));
    let _ = executor.run_for(Duration::from_secs(5));
    assert!(is_done(&log, &projectors));
    let stopped = executor.block_on(Node(7), async move { projectors.stop().await });
    stopped.unwrap().unwrap();
}
