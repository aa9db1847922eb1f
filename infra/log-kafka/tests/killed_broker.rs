//! A broker that is killed under appends: what was acknowledged is there, where it was said to be;
//! nothing is there twice; what is there is in the order of the appends; a tail goes on by itself.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests may fail loudly"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use infra_log_kafka::{Config, KafkaLog};
use infra_ports::log::{EventLog, LogTail, NewRecord, Visibility};
use infra_servers::Servers;
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::Topic;
use tokio::task::JoinHandle;

const RECORDS: usize = 3000;
const PARTITIONS: u32 = 3;
/// Appends that wait at once, over all partitions.
const WAITING: usize = 16;
/// The broker is killed when so many were acknowledged.
const KILLED_AT: usize = 1000;
/// One of three comes back when so many were.
const BACK_AT: usize = 2000;
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where a record stands.
type Place = (u32, u64);

/// Of records that are older than a day a broker may take one twice: see `unanswered.rs`.
fn now() -> Timestamp {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    Timestamp(i64::try_from(since.as_millis()).unwrap())
}

fn record(n: usize) -> NewRecord {
    NewRecord {
        key: Bytes::new(),
        value: Bytes::from(n.to_string()),
        at: now(),
    }
}

fn partition_of(n: usize) -> Partition {
    Partition(u32::try_from(n).unwrap() % PARTITIONS)
}

/// Appends everything, many at a time; which records were acknowledged, by partition and offset.
async fn append_all(log: &KafkaLog, acknowledged: &AtomicUsize) -> BTreeMap<Place, usize> {
    let appends = (0..RECORDS).map(|n| async move {
        let partition = partition_of(n);
        let place = log.append(Topic::Chats, partition, vec![record(n)]).await;
        acknowledged.fetch_add(usize::from(place.is_ok()), Ordering::Relaxed);
        place.ok().map(|offset| ((partition.0, offset.0), n))
    });
    let places = stream::iter(appends).buffered(WAITING);
    places.filter_map(async |place| place).collect().await
}

/// A log under appends, and a tail of it.
struct Case {
    log: Arc<KafkaLog>,
    tail: Box<dyn LogTail>,
    acknowledged: Arc<AtomicUsize>,
    appending: JoinHandle<BTreeMap<Place, usize>>,
}

impl Case {
    async fn start(servers: &Servers) -> Self {
        let config = Config {
            brokers: servers.kafka().to_owned(),
            partitions: PARTITIONS,
            append_within: Duration::from_secs(60),
            // Three brokers that have just been started, on a busy machine, may be slow to make a topic.
            answer_within: Duration::from_secs(60),
            ..Config::default()
        };
        let log = Arc::new(KafkaLog::connect(config).await.unwrap());
        log.create_topics(&[Topic::Chats]).await.unwrap();
        let from = (0..PARTITIONS).map(|p| (Partition(p), Offset(0))).collect();
        let tail = log.tail(Topic::Chats, from, Visibility::Durable).await;
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let appends = (Arc::clone(&log), Arc::clone(&acknowledged));
        let appending = tokio::spawn(async move { append_all(&appends.0, &appends.1).await });
        Self {
            log,
            tail: tail.unwrap(),
            acknowledged,
            appending,
        }
    }

    /// Waits until so many were acknowledged.
    async fn until(&self, count: usize) {
        let enough = async {
            while self.acknowledged.load(Ordering::Relaxed) < count {
                tokio::task::yield_now().await;
            }
        };
        let enough = tokio::time::timeout(PATIENCE, enough);
        enough.await.expect("appending goes on");
    }

    /// What the tail has handed over in the end; what was acknowledged is among it.
    async fn check(mut self) {
        let places = tokio::time::timeout(PATIENCE, self.appending);
        let places = places.await.expect("appending goes on").unwrap();
        assert!(places.len() > BACK_AT, "the broker came back");
        let mut read: BTreeMap<Place, usize> = BTreeMap::new();
        let mut ends = 0;
        for p in 0..PARTITIONS {
            let found = self.log.positions(Topic::Chats, Partition(p)).await;
            ends += usize::try_from(found.unwrap().durable_end.0).unwrap();
        }
        while read.len() < ends {
            let batches = tokio::time::timeout(PATIENCE, self.tail.next(500));
            for batch in batches.await.expect("the tail goes on").unwrap() {
                for record in batch.records {
                    let n = std::str::from_utf8(&record.value).unwrap().parse().unwrap();
                    let before = read.insert((batch.partition.0, record.offset.0), n);
                    assert_eq!(before, None, "a tail hands nothing over twice");
                }
            }
        }
        for (place, n) in &places {
            assert_eq!(read.get(place), Some(n), "what was acknowledged is there");
        }
        for p in 0..PARTITIONS {
            let kept: Vec<usize> = read.range((p, 0)..(p + 1, 0)).map(|(_, n)| *n).collect();
            let in_order = kept.is_sorted_by(|before, after| before < after);
            assert!(
                in_order,
                "each stands there once, in the order of the appends"
            );
        }
        self.log.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_broker_acknowledged_is_there_once_and_a_tail_goes_on() {
    let servers = Servers::start(&["kafka"]).unwrap();
    let case = Case::start(&servers).await;
    case.until(KILLED_AT).await;
    servers.kill("kafka-1").unwrap();
    tokio::task::block_in_place(|| servers.restart("kafka-1").unwrap());
    case.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_brokers_go_on_when_the_third_is_killed_and_take_it_back() {
    let servers = Servers::start_with(&["kafka"], 3).unwrap();
    let case = Case::start(&servers).await;
    case.until(KILLED_AT).await;
    servers.kill("kafka-2").unwrap();
    // Its partitions get other leaders.
    case.until(BACK_AT).await;
    tokio::task::block_in_place(|| servers.restart("kafka-2").unwrap());
    case.check().await;
}

/// A log on these brokers whose partitions have one replica each.
async fn kept_once(servers: &Servers) -> KafkaLog {
    let config = Config {
        brokers: servers.kafka().to_owned(),
        topic_prefix: "once.".to_owned(),
        partitions: PARTITIONS,
        replicas: Some(1),
        answer_within: Duration::from_secs(60),
        ..Config::default()
    };
    let log = KafkaLog::connect(config).await.unwrap();
    log.create_topics(&[Topic::Chats]).await.unwrap();
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_reached_while_one_partition_has_no_leader_and_not_once_all_brokers_are_gone() {
    let servers = Servers::start_with(&["kafka"], 3).unwrap();
    let log = kept_once(&servers).await;
    log.reach(Topic::Chats).await.unwrap();
    servers.kill("kafka-2").unwrap();
    let begun = Instant::now();
    // Longer than brokers take to miss one that was killed.
    while begun.elapsed() < Duration::from_secs(15) {
        log.reach(Topic::Chats).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let led = (0..PARTITIONS).map(|p| log.append(Topic::Chats, Partition(p), vec![record(0)]));
    let led = futures_util::future::join_all(led).await;
    let led = led.iter().filter(|appended| appended.is_ok()).count();
    assert_eq!(led, 2, "one broker led one of them");
    servers.kill("kafka-1").unwrap();
    servers.kill("kafka-3").unwrap();
    let asked = Instant::now();
    let gone = log.reach(Topic::Chats).await.unwrap_err();
    assert!(gone.is_retryable(), "{gone}");
    assert!(asked.elapsed() < Duration::from_secs(9), "{gone}");
    // Side by side: one alone has no controller.
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            for broker in ["kafka-1", "kafka-2", "kafka-3"] {
                scope.spawn(|| servers.restart(broker).unwrap());
            }
        });
    });
    let back = async { while log.reach(Topic::Chats).await.is_err() {} };
    let back = tokio::time::timeout(PATIENCE, back);
    back.await.expect("brokers that are back are reached");
}
