//! A platform with a process a role is rolled, under load, on a real Kafka, Cassandra and Redis: each process
//! is ended in order and started again, first as the build that it is, then as one that reads events of later
//! schemas, then as one that writes them; so builds of two times run side by side all the while. Nothing is
//! lost, doubled or out of order. An older build that meets later events stops, says why, and loses nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cursus_client::{Client, Config as ClientConfig, Event};
use infra_log_kafka::{Config, KafkaLog};
use infra_ports::{EventLog, Visibility};
use infra_servers::Servers;
use infra_testkit::cluster::Cluster;
use infra_testkit::later::Build;
use infra_testkit::raw::RawClient;
use infra_testkit::torture::apart::{self, PARTITIONS, Plan, Stage};
use schemas::avro::SchemaStore;
use schemas::frames::EntryEvent;
use schemas::ids::{DeviceId, UserId};
use schemas::position::{Offset, Partition};
use schemas::topics::{TOPICS, Topic};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cursus-under-test");
const OWN: &str = "rolled";
const PROCESSES: [(&str, &str); 6] = [
    ("projectors-1", "projectors"),
    ("projectors-2", "projectors"),
    ("worker", "worker"),
    ("gateway-1", "gateway"),
    ("gateway-2", "gateway,worker"),
    ("ingest", "ingest"),
];
/// How long something may take on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_is_rolled_to_later_schemas_under_load_and_nothing_is_lost() {
    let servers = Arc::new(Servers::start(&["kafka", "cassandra", "redis"]).unwrap());
    let program = Path::new(PROGRAM);
    let mut stage = Stage::set_up(Arc::clone(&servers), program, OWN, &PROCESSES, &[]).unwrap();
    roll(&mut stage).await;
    let written = written(&servers).await;
    println!("  records of today's schemas and of later ones: {written:?}");
    for topic in [Topic::Chats, Topic::Receipts, Topic::Accounts, Topic::Users] {
        let (today, later) = written[topic.name()];
        assert!(today > 0 && later > 0, "{topic}: {written:?}");
    }
    assert_eq!(written.get(Topic::DeadLetters.name()), None);
    an_older_projector_stops_and_loses_nothing(&mut stage.cluster).await;
    an_older_gateway_passes_over_what_comes_after_the_roll(&mut stage.cluster).await;
    stage.end().unwrap();
}

/// One process of each role as it is; then all as one that reads; then all that write an event.
async fn roll(stage: &mut Stage) {
    let as_it_is = ["projectors-1", "worker", "gateway-1", "ingest"];
    let writers = [
        "projectors-1",
        "projectors-2",
        "gateway-1",
        "gateway-2",
        "ingest",
    ];
    let today = as_it_is.map(|name| (name, Build::Today));
    let reads = PROCESSES.map(|(name, _)| (name, Build::Reads));
    let writes = writers.map(|name| (name, Build::Writes));
    let steps = [&today[..], &reads, &writes].concat();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut plan = Plan::new(0, now.subsec_nanos().into());
    plan.life = (Duration::from_millis(100), Duration::from_millis(300));
    let begun = Instant::now();
    let outcome = apart::roll(stage, &plan, &steps, |round| {
        println!("  {round}");
    });
    let outcome = outcome.await.unwrap();
    println!(
        "{}{} acknowledged, {} delivered, {:.0?}",
        apart::table(&apart::times(&outcome.rounds)),
        outcome.acknowledged,
        outcome.delivered,
        begun.elapsed()
    );
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
    assert!(outcome.unasked.is_empty(), "{:#?}", outcome.unasked);
    assert!(outcome.acknowledged > 500 && outcome.delivered > 500);
}

/// How many records of each topic this build can read, and how many are of a later one.
async fn written(servers: &Servers) -> BTreeMap<&'static str, (usize, usize)> {
    let config = Config {
        brokers: servers.kafka().to_owned(),
        topic_prefix: format!("{OWN}."),
        partitions: PARTITIONS,
        ..Config::default()
    };
    let log = KafkaLog::connect(config).await.unwrap();
    let mut written: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for topic in TOPICS.map(|spec| spec.topic) {
        for partition in (0..PARTITIONS).map(Partition) {
            let mut from = Offset(0);
            loop {
                let read = log.read(topic, partition, from, 1_000, Visibility::Durable);
                let records = read.await.unwrap();
                let Some(last) = records.last() else { break };
                from = last.offset.next();
                let (today, later) = written.entry(topic.name()).or_default();
                for record in &records {
                    match SchemaStore::released().open(&record.value) {
                        Ok(_) => *today += 1,
                        Err(error) if error.is_unknown() => *later += 1,
                        Err(error) => panic!("{topic:?} {record:?}: {error}"),
                    }
                }
            }
        }
    }
    log.close().await.unwrap();
    written
}

/// One of two projectors is of today's build again, where later events are written: what it must leave alone
/// the other folds, and messages flow.
async fn an_older_projector_stops_and_loses_nothing(cluster: &mut Cluster) {
    let mut ada = connect(cluster, "ada", 0).await;
    let mut bob = connect(cluster, "bob", 1).await;
    tokio::task::block_in_place(|| {
        cluster.end("projectors-1").unwrap();
        start(cluster, "projectors-1", Build::Today);
    });
    let begun = Instant::now();
    let mut number = 0;
    while !says(cluster, "projectors-1", "upgrade_required") {
        assert!(begun.elapsed() < WITHIN, "{}", cluster.said());
        number += 1;
        tell(&mut ada, &mut bob, &format!("meanwhile-{number}")).await;
    }
    tell(&mut ada, &mut bob, "after").await;
    println!("  today's build stopped after {number} messages");
    tokio::task::block_in_place(|| {
        // It says with its exit that it had stopped.
        assert!(cluster.end("projectors-1").is_err());
        start(cluster, "projectors-1", Build::Writes);
        cluster.wait_ready().unwrap();
    });
    tell(&mut ada, &mut bob, "in-the-end").await;
}

/// A gateway with a worker, both of today's build again: they pass over what they cannot read, and the client
/// there hears it in its order, once, when they are later ones.
async fn an_older_gateway_passes_over_what_comes_after_the_roll(cluster: &mut Cluster) {
    let mut gus = connect(cluster, "gus", 0).await;
    let token = token(cluster, "hal", "kept");
    let address = cluster.entrance().address(1).unwrap();
    let hal = Client::connect(ClientConfig::new(format!("ws://{address}"), token));
    say(&mut gus, "d.gus.hal", "before").await;
    hears(&hal, "before").await;
    let roll = |cluster: &mut Cluster, build| {
        tokio::task::block_in_place(|| {
            cluster.end("gateway-2").unwrap();
            start(cluster, "gateway-2", build);
            cluster.wait_ready().unwrap();
        });
    };
    roll(cluster, Build::Today);
    let begun = Instant::now();
    let mut said = Vec::new();
    while !says(cluster, "gateway-2", "is passed over") {
        assert!(begun.elapsed() < WITHIN, "{}", cluster.said());
        said.push(format!("held-{}", said.len()));
        say(&mut gus, "d.gus.hal", said.last().unwrap()).await;
    }
    roll(cluster, Build::Writes);
    for text in &said {
        hears(&hal, text).await;
    }
    println!("  {} messages were passed over, and came", said.len());
}

/// The next entry is this one.
async fn hears(client: &Client, text: &str) {
    let entry = async {
        loop {
            if let Event::Entry(entry) = client.next().await.unwrap() {
                break entry;
            }
        }
    };
    let entry = tokio::time::timeout(WITHIN, entry).await.unwrap();
    let EntryEvent::Message { body, .. } = entry.event else {
        panic!("{entry:?}");
    };
    assert_eq!(body.text.as_deref(), Some(text));
}

fn says(cluster: &mut Cluster, name: &str, words: &str) -> bool {
    cluster.last_words(name).unwrap().contains(words)
}

fn start(cluster: &mut Cluster, name: &str, build: Build) {
    cluster.becomes(name, build).unwrap();
    cluster.start(name).unwrap();
}

fn token(cluster: &Cluster, user: &str, device: &str) -> String {
    let (user, device) = (UserId::new(user).unwrap(), DeviceId::new(device).unwrap());
    cluster.entrance().token(&user, &device).unwrap()
}

async fn connect(cluster: &Cluster, user: &str, gateway: usize) -> RawClient {
    let address = cluster.entrance().address(gateway).unwrap();
    let url = format!("ws://{address}/v1/connect");
    let client = RawClient::live(&url, &token(cluster, user, "raw")).await;
    client.unwrap()
}

/// One says something and the other hears it.
async fn tell(from: &mut RawClient, to: &mut RawClient, text: &str) {
    say(from, "d.ada.bob", text).await;
    let heard =
        async { while to.until("entry").await.unwrap()["event"]["body"]["text"] != text {} };
    tokio::time::timeout(WITHIN, heard).await.unwrap();
}

async fn say(from: &mut RawClient, chat: &str, text: &str) {
    let body = json!({ "kind": "text", "text": text });
    let data = json!({ "chat": chat, "client_id": text, "body": body });
    let frame = json!({ "type": "send", "ref": text, "data": data });
    from.send(frame.to_string()).await.unwrap();
    assert_eq!(from.answer(text).await.unwrap()["type"], "sent");
}
