//! Appending to Kafka through the log's producers, beside a loop that hands the same records to
//! librdkafka: idempotent, acknowledged by all, with its own defaults for batches.

use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use infra_log_kafka::{Config, KafkaLog};
use infra_ports::EventLog;
use infra_ports::log::NewRecord;
use infra_servers::Servers;
use schemas::position::{Partition, Timestamp};
use schemas::topics::Topic;

use super::{Found, bare_kafka};
use crate::figure::{Figure, Goal};

const PARTITIONS: u32 = 8;
const VALUE_BYTES: usize = 300;
/// Records of a run.
const RECORDS: usize = 400_000;
/// How many are appended together where they come in batches, as folds and marks do.
const BATCH: usize = 100;
/// Batches that wait at once.
const BATCHES: usize = 64;
/// Callers that append one record each, as commands do, and records of such a run.
const CALLERS: usize = 1_000;
const SINGLE_RECORDS: usize = 100_000;
/// Where the bare loop appends: no place of ours.
const BARE: Topic = Topic::Receipts;

pub(super) async fn measure(runs: usize) -> anyhow::Result<Found> {
    let servers = Servers::start(&["kafka"])?;
    let config = Config {
        brokers: servers.kafka().to_owned(),
        partitions: PARTITIONS,
        ..Config::default()
    };
    let log = KafkaLog::connect(config).await?;
    log.create_topics(&[Topic::Chats, BARE]).await?;
    let (mut batches, mut singles) = (Vec::new(), Vec::new());
    for n in 0..=runs {
        let ours = append(&log, RECORDS, BATCH, BATCHES).await?;
        let bare = bare(&servers, RECORDS).await?;
        let ours_single = append(&log, SINGLE_RECORDS, 1, CALLERS).await?;
        let bare_single = self::bare(&servers, SINGLE_RECORDS).await?;
        // The first run warms the broker up.
        if n > 0 {
            batches.push((ours, bare));
            singles.push((ours_single, bare_single));
        }
    }
    log.close().await?;
    let goal = Some(Goal::AtLeast(0.95));
    let figures = [
        (
            "append to Kafka, 64 batches of 100 waiting, against a bare librdkafka loop",
            &batches,
            goal,
        ),
        (
            "append to Kafka, 1,000 single records waiting, against a bare librdkafka loop",
            &singles,
            None,
        ),
    ];
    let figures =
        figures.map(|(name, runs, goal)| Figure::against_raw(name, "records/s", runs, goal));
    Ok(Found {
        figures: figures.into_iter().flatten().collect(),
        sizes: format!(
            "one broker, {PARTITIONS} partitions, values of {VALUE_BYTES} bytes, \
             {RECORDS} and {SINGLE_RECORDS} records a run"
        ),
    })
}

/// Appends so many records, in batches, so many of them waiting; records a second.
async fn append(
    log: &KafkaLog,
    records: usize,
    batch: usize,
    waiting: usize,
) -> anyhow::Result<f64> {
    let before = appended(log, Topic::Chats).await?;
    let new = NewRecord {
        key: Bytes::new(),
        value: Bytes::from(vec![7; VALUE_BYTES]),
        at: Timestamp(1),
    };
    let begun = Instant::now();
    let appends = (0..records / batch).map(|n| {
        let partition = Partition(u32::try_from(n).unwrap_or_default() % PARTITIONS);
        log.append(Topic::Chats, partition, vec![new.clone(); batch])
    });
    let appends = stream::iter(appends).buffer_unordered(waiting);
    let done = appends.try_fold(0, |done, _| async move { Ok(done + batch) });
    let done = done.await?;
    let rate = done as f64 / begun.elapsed().as_secs_f64();
    let found = appended(log, Topic::Chats).await? - before;
    anyhow::ensure!(
        found == done as u64,
        "{done} records were acknowledged, {found} stand"
    );
    Ok(rate)
}

/// How many records stand in a topic.
async fn appended(log: &KafkaLog, topic: Topic) -> anyhow::Result<u64> {
    let mut count = 0;
    for partition in (0..PARTITIONS).map(Partition) {
        count += log.positions(topic, partition).await?.end.0;
    }
    Ok(count)
}

async fn bare(servers: &Servers, records: usize) -> anyhow::Result<f64> {
    let brokers = servers.kafka().to_owned();
    let produce =
        move || bare_kafka::produce(&brokers, BARE.name(), PARTITIONS, VALUE_BYTES, records);
    tokio::task::spawn_blocking(produce).await?
}
