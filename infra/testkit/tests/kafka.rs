//! A whole node on the log of a real Kafka broker: either of them is killed, and nothing that was
//! acknowledged is lost, doubled or out of order.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

use std::path::Path;
use std::sync::Arc;

use infra_servers::Servers;
use infra_testkit::process::NodeProcess;
use infra_testkit::raw::RawClient;
use infra_testkit::torture::{self, Plan};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cursus-under-test");
const KILLS: u32 = 8;

/// Settings of a node whose log is on these brokers, in topics of its own.
fn settings(servers: &Servers, prefix: &str) -> Vec<(String, String)> {
    let settings = [
        ("KIND", "kafka"),
        ("KAFKA__BROKERS", servers.kafka()),
        ("KAFKA__TOPIC_PREFIX", prefix),
        ("KAFKA__PARTITIONS", "8"),
    ];
    let named = |(name, value): (&str, &str)| (format!("CURSUS__LOG__{name}"), value.to_owned());
    settings.map(named).to_vec()
}

/// Sends a message again and again until it is acknowledged, as a client does.
async fn send(client: &mut RawClient, id: &str) {
    let body = json!({ "kind": "text", "text": id });
    let data = json!({ "chat": "d.ada.bob", "client_id": id, "body": body });
    for n in 0.. {
        let reference = format!("{id}-{n}");
        let frame = json!({ "type": "send", "ref": reference, "data": data });
        client.send(frame.to_string()).await.unwrap();
        let answer = client.answer(&reference).await.unwrap();
        match answer["type"].as_str() {
            Some("sent") => return,
            _ => assert_eq!(answer["data"]["code"], "unavailable", "{answer}"),
        }
    }
}

/// Reads entries, the first time that each comes: what is pushed and not marked is pushed again.
async fn hear(mut client: RawClient, count: usize) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let entry = client.until("entry").await.unwrap();
        if entry["seq"] == heard.len() + 1 {
            heard.push(entry["client_id"].as_str().unwrap().to_owned());
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_kafka_loses_nothing_when_it_or_its_broker_is_killed() {
    let servers = Servers::start(&["kafka"]).unwrap();
    let mut plan = Plan::of_chance(Path::new(PROGRAM), KILLS);
    plan.environment = settings(&servers, "torture.");
    println!("seed {}", plan.seed);
    let outcome = torture::run(&plan, |_| {}).await.unwrap();
    println!("longest start {:?}", outcome.longest_start);
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
    assert!(
        outcome.acknowledged > 100 && outcome.delivered > 100,
        "{outcome:?}"
    );
    the_broker_is_killed(Arc::new(servers)).await;
}

/// The node lives on, and so do its sockets.
async fn the_broker_is_killed(servers: Arc<Servers>) {
    let folder = tempfile::tempdir().unwrap();
    let mut process =
        NodeProcess::new(Path::new(PROGRAM), &folder.path().join("data"), &[]).unwrap();
    process.environment = settings(&servers, "broker.");
    let node = process.start().unwrap();
    let mut ada = RawClient::live(&node.url(), &process.token_of("ada").unwrap())
        .await
        .unwrap();
    let bob = RawClient::live(&node.url(), &process.token_of("bob").unwrap())
        .await
        .unwrap();
    let ids: Vec<String> = (0..60).map(|n| format!("m{n}")).collect();
    let hearing = tokio::spawn(hear(bob, ids.len()));
    for (n, id) in ids.iter().enumerate() {
        if n == 20 {
            servers.kill("kafka-1").unwrap();
            let servers = Arc::clone(&servers);
            let restart = move || servers.restart("kafka-1");
            let restart = tokio::task::spawn_blocking(restart);
            send(&mut ada, id).await;
            restart.await.unwrap().unwrap();
        } else {
            send(&mut ada, id).await;
        }
    }
    assert_eq!(
        hearing.await.unwrap(),
        ids,
        "in the order in which they were sent"
    );
    assert!(node.terminate().unwrap().1, "it ends in order");
    let verified = process.verify().unwrap();
    assert!(verified.equal, "{}", verified.said);
}
