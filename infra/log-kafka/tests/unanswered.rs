//! A broker that wrote records, answered nothing and was killed: what an append means then, case by
//! case. A gate between producer and broker keeps the answers back.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use infra_log_kafka::{Config, KafkaLog};
use infra_ports::log::{EventLog, LogError, NewRecord, Visibility};
use infra_servers::Servers;
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::Topic;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Stands before the broker. While it is shut, no answer to a producer passes; all else does.
struct Gate {
    listener: TcpListener,
    shut: Arc<AtomicBool>,
}

impl Gate {
    async fn serve(self, broker: String) {
        loop {
            let (client, _) = self.listener.accept().await.unwrap();
            // A broker that is down refuses, and so does the gate.
            if let Ok(server) = TcpStream::connect(&broker).await {
                tokio::spawn(pass(client, server, Arc::clone(&self.shut)));
            }
        }
    }
}

async fn pass(client: TcpStream, server: TcpStream, shut: Arc<AtomicBool>) {
    let (mut requests, mut answers_to) = client.into_split();
    let (mut answers, mut requests_to) = server.into_split();
    let producer = Arc::new(AtomicBool::new(false));
    let is_producer = Arc::clone(&producer);
    let asking = tokio::spawn(async move {
        let mut head = [0; 6];
        // Length, then the kind of request: of those that a producer sends, 0 and 22 are its own.
        while requests.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
            let produces = matches!(head[4..], [0, 0 | 22]);
            is_producer.fetch_or(produces, Ordering::Relaxed);
            requests_to.write_all(&head).await?;
            let mut rest = (&mut requests).take(u64::from(length) - 2);
            copy(&mut rest, &mut requests_to).await?;
        }
        std::io::Result::Ok(())
    });
    let mut bytes = BytesMut::new();
    while let Ok(1..) = answers.read_buf(&mut bytes).await {
        let heard = bytes.split();
        let kept_back = shut.load(Ordering::Relaxed) && producer.load(Ordering::Relaxed);
        if !kept_back && answers_to.write_all(&heard).await.is_err() {
            break;
        }
    }
    asking.abort();
}

/// A log with a producer of its own, which appends to a partition of its own.
struct Case {
    log: Arc<KafkaLog>,
    partition: Partition,
    /// How long ago its records were made.
    age: Duration,
}

impl Case {
    async fn start(brokers: &str, partition: u32, age: Duration) -> Self {
        let config = Config {
            brokers: brokers.to_owned(),
            partitions: 3,
            append_within: Duration::from_secs(60),
            ..Config::default()
        };
        let log = Arc::new(KafkaLog::connect(config).await.unwrap());
        log.create_topics(&[Topic::Chats]).await.unwrap();
        let partition = Partition(partition);
        let case = Self {
            log,
            partition,
            age,
        };
        assert_eq!(case.append("first").await.unwrap().unwrap(), Offset(0));
        case
    }

    fn append(&self, value: &'static str) -> JoinHandle<Result<Offset, LogError>> {
        let at = SystemTime::UNIX_EPOCH.elapsed().unwrap() - self.age;
        let record = NewRecord {
            key: Bytes::new(),
            value: Bytes::from_static(value.as_bytes()),
            at: Timestamp(i64::try_from(at.as_millis()).unwrap()),
        };
        let (log, partition) = (Arc::clone(&self.log), self.partition);
        tokio::spawn(async move { log.append(Topic::Chats, partition, vec![record]).await })
    }

    /// An append whose record stands at its broker, and of which nothing was heard.
    async fn append_unheard(&self, value: &'static str) -> JoinHandle<Result<Offset, LogError>> {
        let before = self.end().await;
        let append = self.append(value);
        while self.end().await == before {
            tokio::task::yield_now().await;
        }
        assert!(!append.is_finished());
        append
    }

    async fn end(&self) -> Offset {
        let ends = self.log.positions(Topic::Chats, self.partition).await;
        ends.unwrap().end
    }

    async fn values(&self) -> Vec<Bytes> {
        let (topic, all) = (Topic::Chats, Visibility::Durable);
        let read = self.log.read(topic, self.partition, Offset(0), 100, all);
        let records = read.await.unwrap();
        records.into_iter().map(|record| record.value).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_broker_wrote_and_never_answered_is_found_or_said_to_be_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let before_it = listener.local_addr().unwrap();
    let servers = Servers::start_kafka_behind(before_it.port()).unwrap();
    let shut = Arc::new(AtomicBool::new(false));
    let gate = Gate {
        listener,
        shut: Arc::clone(&shut),
    };
    tokio::spawn(gate.serve(servers.kafka().to_owned()));
    let brokers = before_it.to_string();
    let one = Case::start(&brokers, 0, Duration::ZERO).await;
    let two = Case::start(&brokers, 1, Duration::ZERO).await;
    let old = Case::start(&brokers, 2, 2 * DAY).await;

    shut.store(true, Ordering::Relaxed);
    let of_one = one.append_unheard("second").await;
    let of_two = two.append_unheard("second").await;
    // One request at a time: these wait until the one before has its answer.
    let behind = ["third", "fourth"].map(|value| two.append(value));
    let of_old = old.append_unheard("second").await;
    servers.kill("kafka-1").unwrap();
    shut.store(false, Ordering::Relaxed);
    servers.restart("kafka-1").unwrap();

    // One request unanswered: the broker knows it again.
    assert_eq!(of_one.await.unwrap().unwrap(), Offset(1));
    assert_eq!(one.append("third").await.unwrap().unwrap(), Offset(2));
    assert_eq!(one.values().await, ["first", "second", "third"]);

    // Others behind it left together, in their order, and nothing stands twice.
    assert_eq!(of_two.await.unwrap().unwrap(), Offset(1));
    for append in behind {
        assert!(append.await.unwrap().unwrap() >= Offset(2));
    }
    let (stand, fourth) = (two.values().await, Bytes::from_static(b"fourth"));
    assert_eq!(stand.len(), 4, "{stand:?}");
    assert_eq!(stand[..2], ["first", "second"]);
    assert!(stand.contains(&fourth), "{stand:?}");

    // A record older than `producer.id.expiration.ms`: the broker has forgotten who sent it.
    assert_eq!(of_old.await.unwrap().unwrap(), Offset(2));
    assert_eq!(old.values().await, ["first", "second", "second"]);
}
