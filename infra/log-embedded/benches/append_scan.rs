//! Appending and scanning beside the raw limit of the machine: a loop of write and fdatasync into a
//! preallocated file, and a sequential read of the same bytes. The ratios are printed at the end.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark fails loudly and prints its summary"
)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use infra_log_embedded::{Config, EmbeddedLog};
use infra_ports::log::{EventLog, NewRecord, Visibility};
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::Topic;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const VALUE_BYTES: usize = 300;
const FRAME_BYTES: usize = VALUE_BYTES + 8 + 42;
const RAW_FILE_BYTES: u64 = 64 << 20;
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

/// A file of written zeros and a place in it that goes round.
struct Raw {
    file: File,
    position: u64,
}

impl Raw {
    fn new(directory: &Path) -> Self {
        let path = directory.join("raw");
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path);
        let file = file.unwrap();
        let zeros = vec![0; 1 << 20];
        for megabyte in 0..RAW_FILE_BYTES >> 20 {
            file.write_all_at(&zeros, megabyte << 20).unwrap();
        }
        file.sync_all().unwrap();
        Self { file, position: 0 }
    }

    fn write_and_sync(&mut self, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap();
        if self.position + length > RAW_FILE_BYTES {
            self.position = 0;
        }
        self.file.write_all_at(bytes, self.position).unwrap();
        self.file.sync_data().unwrap();
        self.position += length;
    }
}

/// Mean time of one run, beside what criterion reports.
fn mean(runs: u32, mut run: impl FnMut()) -> Duration {
    let begun = Instant::now();
    for _ in 0..runs {
        run();
    }
    begun.elapsed() / runs
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

fn append(c: &mut Criterion, runtime: &Runtime, summary: &mut Vec<String>) {
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let log = open(directory.path(), 16 << 20);
    runtime
        .block_on(log.create_topics(&[Topic::Chats, Topic::Users]))
        .unwrap();
    let mut raw = Raw::new(directory.path());
    let one = vec![7; FRAME_BYTES];
    let many = vec![7; FRAME_BYTES * WAITING];
    let mut group = c.benchmark_group("append");
    group.bench_function("raw/1", |b| b.iter(|| raw.write_and_sync(&one)));
    group.bench_function("log/1", |b| {
        b.iter(|| runtime.block_on(append_many(&log, 1)))
    });
    group.throughput(Throughput::Elements(u64::try_from(WAITING).unwrap()));
    group.bench_function("raw/64", |b| b.iter(|| raw.write_and_sync(&many)));
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
    for (count, bytes) in [(1, &one), (WAITING, &many)] {
        let raw_mean = mean(500, || raw.write_and_sync(bytes));
        let log_mean = mean(500, || runtime.block_on(append_many(&log, count)));
        summary.push(format!(
            "append, {count} waiting: raw {raw_mean:?}, log {log_mean:?}, {:.2} of raw's speed",
            raw_mean.as_secs_f64() / log_mean.as_secs_f64()
        ));
    }
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

fn read_raw(directory: &Path, buffer: &mut [u8]) -> u64 {
    let mut read = 0;
    let mut names: Vec<_> = directory
        .join("log/users")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    for path in names
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "segment"))
    {
        let file = File::open(path).unwrap();
        let mut position = 0;
        loop {
            let count = file.read_at(buffer, position).unwrap();
            if count == 0 {
                break;
            }
            position += u64::try_from(count).unwrap();
        }
        read += position;
    }
    read
}

fn scan(c: &mut Criterion, runtime: &Runtime, summary: &mut Vec<String>) {
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
    let mut buffer = vec![0; 256 << 10];
    let mut group = c.benchmark_group("scan");
    group.sample_size(10);
    group.throughput(Throughput::Elements(SCAN_RECORDS));
    group.bench_function("raw", |b| {
        b.iter(|| read_raw(directory.path(), &mut buffer))
    });
    group.bench_function("log", |b| b.iter(|| runtime.block_on(scan_all(&log))));
    group.finish();
    let raw_mean = mean(10, || assert!(read_raw(directory.path(), &mut buffer) > 0));
    let log_mean = mean(10, || {
        assert!(runtime.block_on(scan_all(&log)) >= SCAN_RECORDS)
    });
    summary.push(format!(
        "scan of {SCAN_RECORDS} records in 64 partitions: raw {raw_mean:?}, log {log_mean:?}, {:.2} of raw's speed",
        raw_mean.as_secs_f64() / log_mean.as_secs_f64()
    ));
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
    let mut summary = Vec::new();
    append(&mut criterion, &runtime, &mut summary);
    scan(&mut criterion, &runtime, &mut summary);
    criterion.final_summary();
    for line in summary {
        println!("{line}");
    }
}
