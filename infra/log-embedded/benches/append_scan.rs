//! Appending and scanning, by themselves: for looking at what a change of the log does. Beside the
//! raw limits of the machine they stand in the load program (`infra/load/src/inside`).
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    clippy::unwrap_used,
    reason = "a benchmark fails loudly"
)]

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use infra_log_embedded::{Config, EmbeddedLog};
use infra_ports::log::{EventLog, NewRecord, Visibility};
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::Topic;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const VALUE_BYTES: usize = 300;
const WAITING: usize = 64;
const SCAN_RECORDS: u64 = 200_000;

fn record() -> NewRecord {
    NewRecord {
        key: Bytes::from_static(b"d.ada.bo"),
        value: Bytes::from(vec![7; VALUE_BYTES]),
        at: Timestamp(1),
    }
}

fn open(directory: &Path, memory_bytes: u64) -> EmbeddedLog {
    let directory = directory.join("log");
    EmbeddedLog::open(Config {
        directory,
        memory_bytes,
        ..Config::default()
    })
    .unwrap()
}

async fn append_many(log: &EmbeddedLog, count: usize) {
    let appends = (0..count).map(|n| {
        let partition = Partition(u32::try_from(n % 64).unwrap());
        log.append(Topic::Chats, partition, vec![record()])
    });
    for offset in futures_util::future::join_all(appends).await {
        offset.unwrap();
    }
}

fn append(c: &mut Criterion, runtime: &Runtime) {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let log = open(directory.path(), 16 << 20);
    runtime
        .block_on(log.create_topics(&[Topic::Chats, Topic::Users]))
        .unwrap();
    let mut group = c.benchmark_group("append");
    group.bench_function("log/1", |b| {
        b.iter(|| runtime.block_on(append_many(&log, 1)))
    });
    group.throughput(Throughput::Elements(u64::try_from(WAITING).unwrap()));
    group.bench_function("log/64", |b| {
        b.iter(|| runtime.block_on(append_many(&log, WAITING)))
    });
    group.bench_function("synced/64", |b| {
        b.iter(|| {
            let batches = (0..64).map(|p| (Partition(p), vec![record()])).collect();
            runtime
                .block_on(log.append_all(Topic::Users, batches))
                .unwrap()
        });
    });
    group.finish();
    runtime.block_on(log.close()).unwrap();
}

async fn scan_all(log: &EmbeddedLog) -> u64 {
    let from = (0..64).map(|p| (Partition(p), Offset(0))).collect();
    let mut tail = log
        .tail(Topic::Users, from, Visibility::Durable)
        .await
        .unwrap();
    let mut read = 0;
    while read < SCAN_RECORDS {
        for batch in tail.next(4096).await.unwrap() {
            read += u64::try_from(batch.records.len()).unwrap();
        }
    }
    read
}

fn scan(c: &mut Criterion, runtime: &Runtime) {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let log = open(directory.path(), 0);
    runtime
        .block_on(log.create_topics(&[Topic::Users]))
        .unwrap();
    for _ in 0..SCAN_RECORDS / 640 + 1 {
        let batches = (0..64)
            .map(|p| (Partition(p), vec![record(); 10]))
            .collect();
        runtime
            .block_on(log.append_all(Topic::Users, batches))
            .unwrap();
    }
    runtime.block_on(log.sync(Topic::Users)).unwrap();
    let mut group = c.benchmark_group("scan");
    group.sample_size(10);
    group.throughput(Throughput::Elements(SCAN_RECORDS));
    group.bench_function("log", |b| b.iter(|| runtime.block_on(scan_all(&log))));
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    append(&mut criterion, &runtime);
    scan(&mut criterion, &runtime);
    criterion.final_summary();
}
