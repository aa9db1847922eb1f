//! The laws of the event log: what every adapter of [`EventLog`] keeps.
//!
//! A law gets a fresh place, opens the log there and looks at it through the port only. The laws
//! need no runtime: what runs at the same time is polled by the law itself. An adapter that loses
//! a wake-up makes [`run`] wait for ever, so its test sets a deadline around it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a law that is broken fails loudly"
)]

mod append;
mod life;
mod read;
mod tail;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::Topic;

use crate::log::{
    EventLog, LogError, LogTail, NewRecord, Positions, Record, RecordBatch, Visibility,
};

/// Partitions of a log that is handed to the laws.
pub const LAW_PARTITIONS: u32 = 4;

/// The time of the laws' records: 2100. A real log drops by itself what is older than its topic keeps
/// records, by their own times, and that while the laws run.
pub const LAW_AT: Timestamp = Timestamp(4_102_444_800_000);

/// A topic that is durable with each append, and one that is synced.
const EACH: Topic = Topic::Chats;
const SYNCED: Topic = Topic::Users;

/// A place where a log of [`LAW_PARTITIONS`] partitions lives.
#[async_trait]
pub trait LogPlace: Send + Sync {
    /// Opens the log. Called again only after the one before was closed or taken down.
    async fn open(&self) -> Arc<dyn EventLog>;

    /// Takes the open log down without closing it, as a killed process would. What was not durable
    /// may be lost or not.
    async fn crash(&self);

    /// Drops some but not all records of each partition of `users` that has more than a few, as
    /// retention does. The open log stays open.
    async fn expire(&self);
}

/// Runs all laws, each on a fresh place.
///
/// # Panics
/// When a law is broken.
pub async fn run<P: LogPlace>(fresh: impl AsyncFn() -> P) {
    append::run(&fresh).await;
    read::run(&fresh).await;
    tail::run(&fresh).await;
    life::run(&fresh).await;
}

/// Opens a fresh log with the topics of the laws.
async fn opened(place: &impl LogPlace) -> Arc<dyn EventLog> {
    let log = place.open().await;
    log.create_topics(&[EACH, SYNCED]).await.unwrap();
    log
}

fn record(value: &str) -> NewRecord {
    NewRecord {
        key: Bytes::from(format!("key of {value}")),
        value: Bytes::from(value.to_owned()),
        at: LAW_AT,
    }
}

fn records<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<NewRecord> {
    values.into_iter().map(record).collect()
}

/// `count` records named `<name>0`, `<name>1`, …
fn numbered(name: &str, count: usize) -> Vec<NewRecord> {
    (0..count).map(|n| record(&format!("{name}{n}"))).collect()
}

fn values(records: &[Record]) -> Vec<String> {
    records
        .iter()
        .map(|r| String::from_utf8(r.value.to_vec()).unwrap())
        .collect()
}

async fn append(log: &dyn EventLog, topic: Topic, partition: u32, values: &[&str]) -> Offset {
    log.append(topic, Partition(partition), records(values.iter().copied()))
        .await
        .unwrap()
}

async fn read_all(log: &dyn EventLog, topic: Topic, partition: u32, v: Visibility) -> Vec<Record> {
    log.read(topic, Partition(partition), Offset(0), usize::MAX, v)
        .await
        .unwrap()
}

async fn positions(log: &dyn EventLog, topic: Topic, partition: u32) -> Positions {
    log.positions(topic, Partition(partition)).await.unwrap()
}

/// A tail over some partitions, all from 0.
async fn tail_of(
    log: &dyn EventLog,
    topic: Topic,
    partitions: &[u32],
    visibility: Visibility,
) -> Box<dyn LogTail> {
    let from = partitions
        .iter()
        .map(|p| (Partition(*p), Offset(0)))
        .collect();
    log.tail(topic, from, visibility).await.unwrap()
}

/// Takes from a tail until `count` records have come, checks each batch, and returns (partition,
/// offset, value) in the order in which they came.
async fn take(tail: &mut dyn LogTail, count: usize, max: usize) -> Vec<(u32, u64, String)> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batches = tail.next(max).await.unwrap();
        check_batches(&batches, max);
        for batch in batches {
            for (record, value) in batch.records.iter().zip(values(&batch.records)) {
                taken.push((batch.partition.0, record.offset.0, value));
            }
        }
    }
    taken
}

/// At least one batch, none empty, no hole in one, no more than asked for.
fn check_batches(batches: &[RecordBatch], max: usize) {
    assert!(
        !batches.is_empty(),
        "a tail answers with at least one batch"
    );
    let total: usize = batches.iter().map(|batch| batch.records.len()).sum();
    assert!(
        total <= max,
        "a tail answers with at most {max} records, not {total}"
    );
    for batch in batches {
        let first = batch
            .records
            .first()
            .expect("a batch holds at least one record")
            .offset
            .0;
        for (place, record) in (0..).zip(&batch.records) {
            assert_eq!(record.offset.0, first + place, "a batch has no hole");
        }
    }
}

/// Polls a future once; true when it waits.
async fn waits<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
    })
    .await
}
