//! A whole node on the log of a real Kafka broker: either of them is killed, and nothing that was
//! acknowledged is lost, doubled or out of order.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use infra_servers::Servers;
use infra_testkit::process::{NodeProcess, RunningNode};
use infra_testkit::raw::RawClient;
use infra_testkit::torture::{self, Plan};
use parking_lot::Mutex;
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cursus-under-test");
const KILLS: u32 = 8;
/// How long people try to connect again.
const CONNECTED_WITHIN: Duration = Duration::from_secs(30);

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

/// Somebody who connects again when the socket is closed, as clients do.
struct Person {
    url: String,
    token: String,
    socket: RawClient,
}

impl Person {
    async fn connect(url: String, token: String) -> Self {
        let socket = RawClient::live(&url, &token).await.unwrap();
        Self { url, token, socket }
    }

    async fn again(&mut self, why: &anyhow::Error) {
        println!("connects again: {why}");
        let connecting = async {
            loop {
                match RawClient::live(&self.url, &self.token).await {
                    Ok(socket) => return socket,
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        let connecting = tokio::time::timeout(CONNECTED_WITHIN, connecting);
        self.socket = connecting.await.expect("nobody lets them in");
    }

    /// Sends a message again and again until it is acknowledged.
    async fn send(&mut self, id: &str) {
        let body = json!({ "kind": "text", "text": id });
        let data = json!({ "chat": "d.ada.bob", "client_id": id, "body": body });
        for n in 0.. {
            let reference = format!("{id}-{n}");
            let frame = json!({ "type": "send", "ref": reference, "data": data });
            let asked = match self.socket.send(frame.to_string()).await {
                Ok(()) => self.socket.answer(&reference).await,
                Err(closed) => Err(closed),
            };
            match asked {
                Ok(answer) if answer["type"] == "sent" => return,
                Ok(answer) => assert_eq!(answer["data"]["code"], "unavailable", "{answer}"),
                Err(closed) => self.again(&closed).await,
            }
        }
    }

    /// Reads entries, the first time that each comes: what is pushed and not marked is pushed again.
    async fn hear(mut self, count: usize) -> Vec<String> {
        let mut heard = Vec::new();
        while heard.len() < count {
            match self.socket.until("entry").await {
                Ok(entry) if entry["seq"] == heard.len() + 1 => {
                    heard.push(entry["client_id"].as_str().unwrap().to_owned());
                }
                Ok(_) => {}
                Err(closed) => self.again(&closed).await,
            }
        }
        heard
    }
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

/// Shows what a node said when the test fails.
struct SaidWhenItFails(PathBuf);

impl Drop for SaidWhenItFails {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = std::fs::read_to_string(&self.0).unwrap_or_default();
            println!("--- the node\n{said}");
        }
    }
}

/// Starts the node again, as whoever runs it would, if librdkafka ends it: while a broker comes back, its answer
/// may name no leader, of which librdkafka 2.12 makes a part of its memory that it never wrote (its issue 5280;
/// see `docs/operations.md`). Any other end is a fault.
async fn looks_after(process: Arc<NodeProcess>, node: Arc<Mutex<Option<RunningNode>>>) {
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut node = node.lock();
        let Some(running) = node.as_mut() else {
            return;
        };
        let Some(status) = running.ended().unwrap() else {
            continue;
        };
        let said = std::fs::read_to_string(process.data.with_extension("log")).unwrap();
        println!("the node ended: {status}");
        let is_known = status.signal().is_some() && said.contains("not found in cache");
        assert!(is_known, "the node ended: {status}\n{said}");
        *node = Some(process.start().unwrap());
    }
}

/// The node lives on, and who uses it goes on.
async fn the_broker_is_killed(servers: Arc<Servers>) {
    let folder = tempfile::tempdir().unwrap();
    let mut process =
        NodeProcess::new(Path::new(PROGRAM), &folder.path().join("data"), &[]).unwrap();
    process.environment = settings(&servers, "broker.");
    let node = process.start().unwrap();
    let (url, process) = (node.url(), Arc::new(process));
    let node = Arc::new(Mutex::new(Some(node)));
    let looking = tokio::spawn(looks_after(Arc::clone(&process), Arc::clone(&node)));
    let _said = SaidWhenItFails(folder.path().join("data.log"));
    let token = |user| process.token_of(user).unwrap();
    let mut ada = Person::connect(url.clone(), token("ada")).await;
    let bob = Person::connect(url, token("bob")).await;
    let ids: Vec<String> = (0..60).map(|n| format!("m{n}")).collect();
    let hearing = tokio::spawn(bob.hear(ids.len()));
    for (n, id) in ids.iter().enumerate() {
        if n == 20 {
            servers.kill("kafka-1").unwrap();
            let servers = Arc::clone(&servers);
            let restart = move || servers.restart("kafka-1");
            let restart = tokio::task::spawn_blocking(restart);
            ada.send(id).await;
            restart.await.unwrap().unwrap();
        } else {
            ada.send(id).await;
        }
    }
    assert_eq!(
        hearing.await.unwrap(),
        ids,
        "in the order in which they were sent"
    );
    let node = node.lock().take().unwrap();
    looking.await.unwrap();
    assert!(node.terminate().unwrap().1, "it ends in order");
    let verified = process.verify().unwrap();
    assert!(verified.equal, "{}", verified.said);
}
