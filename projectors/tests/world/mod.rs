//! A small world for tests of the engine: random but repeatable scripts of records, a straight run
//! over them, and the rows of all tables to compare with.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part of this"
)]

pub mod bench;
pub mod crowd;
pub mod machine;
pub mod script;
pub mod told;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use infra_ports::log::EventLog;
use infra_ports::memory::{Chances, Executor, Halt, MemoryLog, MemoryStore, NoFaults, Node};
use infra_ports::{Record, Runtime, TableStore, Visibility};
use projectors::{Config, EngineConfig, Health, Ports, Projectors, Share};
use schemas::position::{Generation, Offset, Partition};
use schemas::topics::{TOPICS, Topic};

use script::Scripted;

/// Few, so that chats and users share them.
pub const PARTITIONS: u32 = 3;

/// The live build.
pub const LIVE: Generation = Generation(1);

/// A table's rows: name, partition key, clustering key, values.
pub type Rows = Vec<(&'static str, Bytes, Bytes, Bytes)>;

/// The answer of a port without faults, which never waits.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    future
        .now_or_never()
        .expect("a port without faults answers at once")
}

/// A log without records.
pub fn empty_log() -> MemoryLog {
    let log = MemoryLog::new(PARTITIONS);
    let topics = TOPICS.map(|spec| spec.topic);
    now(log.create_topics(&topics)).unwrap();
    log
}

/// Appends a part of a script.
pub fn append(log: &MemoryLog, script: &[Scripted]) {
    for one in script {
        let record = vec![one.record.clone()];
        now(log.append(one.topic, one.partition, record)).unwrap();
    }
}

/// An engine's settings that make every bound matter.
pub fn tight(seed: u64) -> Config {
    let engine = EngineConfig {
        chunk_records: 1 + (seed % 7) as usize,
        job_records: 1 + (seed / 7 % 19) as usize,
        max_gathered_records: 1 + (seed / 3 % 40) as usize,
        linger: Duration::from_millis(seed % 6),
        rows_per_write: 1 + (seed / 5 % 9) as usize,
        rows_per_read: 1 + (seed / 13 % 50) as usize,
        cache_weight: (seed / 11 % 60) as usize,
        rebuild_chunk_records: 1 + (seed / 17 % 30) as usize,
        rebuild_bytes: (seed / 19 % 40_000) as usize,
        first_pause: Duration::from_millis(2),
    };
    Config {
        chats: engine.clone(),
        inbox: engine.clone(),
        receipts: engine.clone(),
        settings: engine,
    }
}

/// Ports over handles that already exist.
pub fn ports(log: &MemoryLog, store: &MemoryStore, runtime: impl Runtime) -> Ports {
    Ports {
        log: Arc::new(log.clone()),
        store: Arc::new(store.clone()),
        runtime: Arc::new(runtime),
    }
}

/// The topic that each projection reads.
pub const ORIGINS: [(&str, Topic); 4] = [
    ("chats", Topic::Chats),
    ("inbox", Topic::Users),
    ("receipts", Topic::Receipts),
    ("settings", Topic::Accounts),
];

/// True when every projection has applied everything that is in its topic.
pub fn is_done(log: &MemoryLog, projectors: &Projectors) -> bool {
    are_done(log, &[projectors])
}

/// The same of several that share the partitions.
pub fn are_done(log: &MemoryLog, engines: &[&Projectors]) -> bool {
    for (name, topic) in ORIGINS {
        let statuses: Vec<_> = engines.iter().filter_map(|e| e.status(name)).collect();
        for status in &statuses {
            if let Health::Stopped(stop) = status.health() {
                panic!("{name} stopped: {stop}");
            }
        }
        for partition in (0..PARTITIONS).map(Partition) {
            let ends = now(log.positions(topic, partition)).unwrap();
            let applied = statuses.iter().map(|status| status.applied(partition));
            if applied.max().flatten() < Some(ends.end) {
                return false;
            }
        }
    }
    true
}

/// Runs until everything is applied.
pub fn settle(executor: &mut Executor, log: &MemoryLog, projectors: &Projectors) {
    for _ in 0..3_000 {
        if is_done(log, projectors) {
            return;
        }
        let halt = executor.run_for(Duration::from_millis(20));
        assert!(matches!(halt, Halt::Done | Halt::Idle), "halted: {halt:?}");
    }
    panic!("it does not come to rest");
}

/// The straight run: everything is in the log, one engine, no faults.
pub fn straight(script: &[Scripted]) -> (MemoryLog, MemoryStore) {
    let (log, store) = (empty_log(), MemoryStore::new());
    append(&log, script);
    run_straight(&log, &store, &Config::default());
    (log, store)
}

/// Lets an engine without faults apply everything.
pub fn run_straight(log: &MemoryLog, store: &MemoryStore, config: &Config) {
    let mut executor = Executor::seeded(0, Chances::CALM);
    executor.set_step_budget(20_000_000);
    let runtime = executor.runtime(Node(1));
    let projectors = projectors::start(
        &ports(log, store, runtime),
        config,
        LIVE,
        &Share::everything(),
    );
    settle(&mut executor, log, &projectors);
}

/// Builds a generation up to the present ends.
pub fn build(executor: &mut Executor, ports: &Ports, config: &Config, generation: Generation) {
    let (ports, config) = (ports.clone(), config.clone());
    let built = executor.block_on(Node(7), async move {
        projectors::rebuild::rebuild(&ports, &config, generation).await
    });
    built.unwrap().unwrap();
}

/// All rows of a generation, in order.
pub fn rows(store: &MemoryStore, generation: Generation) -> Rows {
    let mut all = Rows::new();
    for (_, tables) in projectors::rebuild::tables() {
        for table in tables {
            let rows = now(store.scan_table(table, generation, None, usize::MAX)).unwrap();
            let rows = rows.into_iter();
            all.extend(rows.map(|r| (table.name, r.partition, r.cluster, r.values)));
        }
    }
    all.sort();
    all
}

/// Fails with the first row that differs.
pub fn assert_same_rows(got: &Rows, expected: &Rows, about: &str) {
    for (got, expected) in got.iter().zip(expected) {
        assert_eq!(got, expected, "{about}");
    }
    assert_eq!(got.len(), expected.len(), "{about}");
}

/// All records of a topic's partition.
pub fn records(log: &MemoryLog, topic: Topic, partition: Partition) -> Vec<Record> {
    now(log.read(
        topic,
        partition,
        Offset(0),
        usize::MAX,
        Visibility::Appended,
    ))
    .unwrap()
}

/// The same log and store, through handles without faults.
pub fn calm(log: &MemoryLog, store: &MemoryStore) -> (MemoryLog, MemoryStore) {
    (
        log.reopen(Arc::new(NoFaults)),
        store.reopen(Arc::new(NoFaults)),
    )
}
