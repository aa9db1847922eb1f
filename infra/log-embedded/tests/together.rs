//! Many at once, on real threads: appenders, tails that keep up and tails that fall behind, segments
//! that change under them.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use infra_log_embedded::{Config, EmbeddedLog};
use infra_ports::log::{EventLog, NewRecord, Visibility};
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::Topic;
use tempfile::TempDir;
use tokio::task::JoinSet;

const PARTITIONS: u32 = 8;
const WRITERS: u32 = 6;
const APPENDS: u32 = 150;

/// Three records of one writer that must stay together.
fn batch(writer: u32, number: u32) -> Vec<NewRecord> {
    let record = |part: u32| NewRecord {
        key: Bytes::new(),
        value: Bytes::from(format!("{writer}.{number}.{part}.{}", "x".repeat(80))),
        at: Timestamp(0),
    };
    (0..3).map(record).collect()
}

async fn write(log: Arc<EmbeddedLog>, topic: Topic, writer: u32) {
    for number in 0..APPENDS {
        let partition = Partition((writer + number) % PARTITIONS);
        let first = log
            .append(topic, partition, batch(writer, number))
            .await
            .unwrap();
        let read = log
            .read(topic, partition, first, 3, Visibility::Appended)
            .await
            .unwrap();
        assert_eq!(
            read[0].value,
            batch(writer, number)[0].value,
            "an append is readable at once"
        );
        if topic == Topic::Users && number % 10 == 0 {
            log.sync(topic).await.unwrap();
        }
    }
    log.sync(topic).await.unwrap();
}

/// Reads everything; checks density, whole batches and each writer's order within a partition.
async fn follow(log: Arc<EmbeddedLog>, topic: Topic, visibility: Visibility, max: usize) {
    let from = (0..PARTITIONS).map(|p| (Partition(p), Offset(0))).collect();
    let mut tail = log.tail(topic, from, visibility).await.unwrap();
    let mut seen: Vec<Vec<[u32; 3]>> = vec![Vec::new(); PARTITIONS as usize];
    let mut left = (WRITERS * APPENDS * 3) as usize;
    while left > 0 {
        for batch in tail.next(max).await.unwrap() {
            let seen = &mut seen[batch.partition.0 as usize];
            for record in batch.records {
                assert_eq!(record.offset.0, seen.len() as u64);
                let text = std::str::from_utf8(&record.value).unwrap();
                let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
                seen.push(std::array::from_fn(|_| numbers.next().unwrap()));
                left -= 1;
            }
        }
    }
    for seen in seen {
        let mut last = [None; WRITERS as usize];
        for triple in seen.chunks(3) {
            let [writer, number, _] = triple[0];
            assert_eq!(
                triple,
                [
                    [writer, number, 0],
                    [writer, number, 1],
                    [writer, number, 2]
                ]
            );
            let last = &mut last[writer as usize];
            assert!(*last < Some(number), "a writer's appends keep their order");
            *last = Some(number);
        }
    }
}

async fn together(config: Config) {
    let directory = TempDir::new().unwrap();
    let config = Config {
        directory: directory.path().join("log"),
        partitions: PARTITIONS,
        ..config
    };
    let log = Arc::new(EmbeddedLog::open(config.clone()).unwrap());
    log.create_topics(&[Topic::Chats, Topic::Users])
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    for topic in [Topic::Chats, Topic::Users] {
        for visibility in [Visibility::Durable, Visibility::Appended] {
            for max in [1, 50] {
                tasks.spawn(follow(Arc::clone(&log), topic, visibility, max));
            }
        }
        for writer in 0..WRITERS {
            tasks.spawn(write(Arc::clone(&log), topic, writer));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    log.close().await.unwrap();
    drop(log);
    let log = Arc::new(EmbeddedLog::open(config).unwrap());
    for topic in [Topic::Chats, Topic::Users] {
        follow(Arc::clone(&log), topic, Visibility::Durable, 1000).await;
    }
}

async fn in_time(work: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(120), work)
        .await
        .expect("no wake-up is lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_sees_everything_in_order_with_roomy_segments() {
    in_time(together(Config::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everybody_sees_everything_in_order_with_tiny_segments_and_little_memory() {
    in_time(together(Config {
        segment_bytes: 8192,
        zero_ahead_bytes: 2048,
        memory_bytes: 4000,
        index_every_bytes: 256,
        ..Config::default()
    }))
    .await;
}
