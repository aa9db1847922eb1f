//! The log on a real Kafka broker keeps the laws of the port.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests may fail loudly"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use infra_log_kafka::{Config, ConnectError, KafkaJournal, KafkaLog};
use infra_ports::groups::{Change, ConsumerGroups, GroupError, GroupMember};
use infra_ports::journal::Journal;
use infra_ports::laws::log::{LAW_PARTITIONS, LogPlace};
use infra_ports::log::EventLog;
use infra_servers::Servers;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use schemas::topics::Topic;

static PLACES: AtomicU32 = AtomicU32::new(0);

struct Place(Config);

impl Place {
    /// Topics of its own on the broker.
    fn new(servers: &Servers) -> Self {
        let n = PLACES.fetch_add(1, Ordering::Relaxed);
        Self(Config {
            brokers: servers.kafka().to_owned(),
            topic_prefix: format!("law{n}."),
            partitions: LAW_PARTITIONS,
            ..Config::default()
        })
    }
}

#[async_trait]
impl LogPlace for Place {
    async fn open(&self) -> Arc<dyn EventLog> {
        Arc::new(KafkaLog::connect(self.0.clone()).await.unwrap())
    }

    async fn crash(&self) {}

    async fn expire(&self) {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.0.brokers);
        let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
        let mut below = TopicPartitionList::new();
        let topic = format!("{}{}", self.0.topic_prefix, Topic::Users);
        for partition in 0..4 {
            below
                .add_partition_offset(&topic, partition, Offset::Offset(100))
                .unwrap();
        }
        let deleted = admin.delete_records(&below, &AdminOptions::new()).await;
        deleted.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_and_groups_on_kafka_keep_the_laws() {
    let servers = Servers::start(&["kafka"]).unwrap();
    let laws = infra_ports::laws::log::run(async || Place::new(&servers));
    tokio::time::timeout(Duration::from_secs(240), laws)
        .await
        .expect("no wake-up is lost");

    let place = Place::new(&servers);
    let log = place.open().await;
    log.create_topics(&[Topic::Chats]).await.unwrap();
    let other = Config {
        partitions: LAW_PARTITIONS + 1,
        ..place.0.clone()
    };
    let refused = KafkaLog::connect(other).await.unwrap_err();
    assert!(matches!(
        refused,
        ConnectError::Partitions {
            found: LAW_PARTITIONS,
            ..
        }
    ));
    groups_keep_the_laws(&servers).await;
    journal_keeps_the_laws(&servers).await;
}

/// Longer than the broker waits for a member.
const SILENT_FOR: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_given_up_has_lost_its_partitions_and_takes_part_again() {
    // Stalled below, so it must be a process that this started.
    let servers = Servers::start(&["kafka"]).unwrap();
    let log = KafkaLog::connect(Place::new(&servers).0).await.unwrap();
    log.create_topics(&[Topic::Chats]).await.unwrap();
    let change = async |member: &dyn GroupMember| {
        let change = tokio::time::timeout(Duration::from_secs(20), member.change()).await;
        change.ok().map(Result::unwrap)
    };
    let first = log.join("given-up", Topic::Chats).await.unwrap();
    let Some(Change::Given(all)) = change(&*first).await else {
        panic!("it is alone and has everything")
    };
    let mut told = None;
    while told.is_none() {
        servers.stall("kafka-1").unwrap();
        tokio::time::sleep(SILENT_FOR).await;
        servers.resume("kafka-1").unwrap();
        // None when its heartbeat came before the broker looked at the clock.
        told = change(&*first).await;
    }
    assert_eq!(told, Some(Change::Lost(all.clone())));
    assert_eq!(change(&*first).await, Some(Change::Given(all.clone())));
    let second = log.join("given-up", Topic::Chats).await.unwrap();
    let Some(Change::Taken(some)) = change(&*first).await else {
        panic!("the second gets some")
    };
    first.release(&some).await.unwrap();
    assert_eq!(change(&*second).await, Some(Change::Given(some)));
}

async fn journal_keeps_the_laws(servers: &Servers) {
    let config = Place::new(servers).0;
    let open = async || {
        let journal = KafkaJournal::connect(config.clone(), "journal").await;
        Arc::new(journal.unwrap()) as Arc<dyn Journal>
    };
    let laws = infra_ports::laws::journal::run(open);
    tokio::time::timeout(Duration::from_secs(60), laws)
        .await
        .expect("the brokers answer");
}

async fn groups_keep_the_laws(servers: &Servers) {
    let log = KafkaLog::connect(Place::new(servers).0).await.unwrap();
    log.create_topics(&[Topic::Chats]).await.unwrap();
    let unknown = log.join("none", Topic::Users).await;
    assert!(matches!(
        unknown,
        Err(GroupError::UnknownTopic(Topic::Users))
    ));
    let laws = infra_ports::laws::groups::run(&log);
    tokio::time::timeout(Duration::from_secs(240), laws)
        .await
        .expect("no wake-up is lost");
}
