//! A broker whose disk takes no more: senders are told in time, nothing of it was acknowledged, and
//! all goes on when there is room.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use infra_log_kafka::{Config, KafkaLog};
use infra_ports::log::{EventLog, LogError, NewRecord, Visibility};
use infra_servers::Servers;
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::Topic;

const ROOM_MIB: u32 = 16;
const RECORD_BYTES: usize = 1 << 19;
const APPEND_WITHIN: Duration = Duration::from_secs(8);
/// How long the broker may take to be of use again.
const HEALED_WITHIN: Duration = Duration::from_secs(60);

/// A large record that bears its number.
fn record(n: usize) -> NewRecord {
    let mut value = vec![0; RECORD_BYTES];
    value[..8].copy_from_slice(&n.to_be_bytes());
    NewRecord {
        key: Bytes::new(),
        value: Bytes::from(value),
        at: Timestamp(1 + i64::try_from(n).unwrap()),
    }
}

async fn append(log: &KafkaLog, n: usize) -> Result<Offset, LogError> {
    log.append(Topic::Chats, Partition(0), vec![record(n)])
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_to_senders_and_what_was_acknowledged_before_stands() {
    let mut servers = Servers::start_kafka_with_room(ROOM_MIB).unwrap();
    let config = Config {
        brokers: servers.kafka().to_owned(),
        partitions: 1,
        append_within: APPEND_WITHIN,
        ..Config::default()
    };
    let log = KafkaLog::connect(config).await.unwrap();
    log.create_topics(&[Topic::Chats]).await.unwrap();
    let mut places = Vec::new();
    let refused = loop {
        match append(&log, places.len()).await {
            Ok(offset) => places.push(offset),
            Err(error) => break error,
        }
        assert!(places.len() < 40, "there is an end to the room");
    };
    assert!(matches!(refused, LogError::Unavailable(_)), "{refused}");
    assert!(places.len() > 20, "{} had room", places.len());
    let begun = Instant::now();
    let again = append(&log, 100).await.unwrap_err();
    assert!(matches!(again, LogError::Unavailable(_)), "{again}");
    assert!(begun.elapsed() < 2 * APPEND_WITHIN, "{:?}", begun.elapsed());

    tokio::task::block_in_place(|| servers.make_room().unwrap());
    let begun = Instant::now();
    let last = loop {
        match append(&log, 200).await {
            Ok(offset) => break offset,
            Err(error) => assert!(begun.elapsed() < HEALED_WITHIN, "{error}"),
        }
    };
    let read = log.read(
        Topic::Chats,
        Partition(0),
        Offset(0),
        1000,
        Visibility::Durable,
    );
    let read = read.await.unwrap();
    let number = |value: &Bytes| usize::from_be_bytes(value[..8].try_into().unwrap());
    let numbers: Vec<usize> = read.iter().map(|record| number(&record.value)).collect();
    for (n, offset) in places.iter().enumerate() {
        assert_eq!(
            numbers[usize::try_from(offset.0).unwrap()],
            n,
            "{numbers:?}"
        );
    }
    assert_eq!(numbers[usize::try_from(last.0).unwrap()], 200);
    let once = numbers.iter().filter(|n| **n < places.len()).count();
    assert_eq!(once, places.len(), "each stands once");
}
