//! A whole node with its tables on a real Cassandra: it is killed again and again, and its tables are
//! what the embedded store makes of the same log, bit for bit.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use infra_servers::Servers;
use infra_testkit::process::{NodeProcess, RunningNode};
use infra_testkit::raw::RawClient;
use infra_testkit::torture::{self, Plan};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cursus-under-test");
const KILLS: u32 = 4;
/// Messages sent at once while Cassandra answers nothing.
const TOGETHER: usize = 100;
/// How often.
const ROUNDS: usize = 10;

/// Settings of a node whose tables are in a keyspace of this server.
fn settings(servers: &Servers, keyspace: &str) -> Vec<(String, String)> {
    let settings = [
        ("KIND", "cassandra"),
        ("CASSANDRA__CONTACT_POINTS", servers.cassandra()),
        ("CASSANDRA__KEYSPACE", keyspace),
        ("CASSANDRA__REPLICAS", "1"),
        ("CASSANDRA__ANSWER_WITHIN", "30s"),
    ];
    let named = |(name, value): (&str, &str)| (format!("CURSUS__STORE__{name}"), value.to_owned());
    settings.map(named).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_cassandra_ends_with_the_tables_that_the_embedded_store_has() {
    let servers = Servers::start(&["cassandra"]).unwrap();
    the_same_commands(&servers).await;
    let mut plan = Plan::of_chance(Path::new(PROGRAM), KILLS);
    plan.environment = settings(&servers, "torture");
    println!("seed {}", plan.seed);
    let outcome = torture::run(&plan, |_| {}).await.unwrap();
    println!("longest start {:?}", outcome.longest_start);
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
    assert!(outcome.acknowledged > 50, "{outcome:?}");
}

/// What a path of the node answers, with its status.
async fn ask(node: &RunningNode, path: &str) -> (u16, Value) {
    let url = node.http(path);
    let ask = move || {
        let agent = ureq::Agent::config_builder().http_status_as_error(false);
        let mut answer = agent.build().new_agent().get(&url).call().unwrap();
        let body = answer.body_mut().read_json().unwrap();
        (answer.status().as_u16(), body)
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

/// Sends over HTTP, which needs no session; the status.
async fn post(node: &RunningNode, token: &str, id: &str) -> u16 {
    let url = node.http("/v1/chats/d.ada.bob/messages");
    let body = json!({ "client_id": id, "body": { "kind": "text", "text": id } });
    let bearer = format!("Bearer {token}");
    let send = move || {
        let agent = ureq::Agent::config_builder().http_status_as_error(false);
        let request = agent.build().new_agent().post(&url);
        request.header("Authorization", bearer).send_json(body)
    };
    let answer = tokio::task::spawn_blocking(send).await.unwrap();
    answer.unwrap().status().as_u16()
}

/// Memory of a process, in MiB.
fn resident_mib(node: &RunningNode) -> usize {
    let pages = std::fs::read_to_string(format!("/proc/{}/statm", node.id())).unwrap();
    let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096 / (1 << 20)
}

/// A command is accepted: at once, or when it is sent again, if its verdict takes longer than a
/// request waits.
async fn has_its_verdict(node: &RunningNode, token: &str, id: &str) {
    for _ in 0..10 {
        match post(node, token, id).await {
            202 => continue,
            status => return assert_eq!(status, 200, "{id}"),
        }
    }
    panic!("{id} has no verdict");
}

/// Cassandra answers nothing for a while: commands are taken, memory does not grow with
/// them, and all of it arrives once.
async fn it_stalls(servers: &Servers, node: &RunningNode, ada: &str, bob: &mut RawClient) {
    servers.stall("cassandra").unwrap();
    let (mut sent, mut before) = (0, 0);
    for round in 0..ROUNDS {
        if round == ROUNDS / 2 {
            before = resident_mib(node);
        }
        let ids: Vec<String> = (sent..sent + TOGETHER).map(|n| format!("s{n}")).collect();
        let answers = join_all(ids.iter().map(|id| post(node, ada, id))).await;
        let durable = answers.iter().all(|answer| [200, 202].contains(answer));
        assert!(durable, "{answers:?}");
        sent += TOGETHER;
    }
    let grown = resident_mib(node).saturating_sub(before);
    assert!(grown < 32, "{grown} MiB more");
    assert_eq!(ask(node, "/healthz").await.0, 200, "it may pass");
    servers.resume("cassandra").unwrap();
    let mut heard = BTreeSet::new();
    // Two messages were there before.
    for seq in 3..sent + 3 {
        // What was not marked in time is pushed again.
        let entry = loop {
            let entry = bob.until("entry").await.unwrap();
            if entry["seq"] == seq {
                break entry;
            }
        };
        heard.insert(entry["client_id"].to_string());
    }
    assert_eq!(heard.len(), sent, "each once");
    node.wait_ready(Duration::from_secs(60)).unwrap();
}

/// Cassandra is down when the node starts: it takes commands, says what it waits for, and folds them
/// when tables are there.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_without_cassandra_and_outlasts_one_that_stalls() {
    let servers = &Servers::start(&["cassandra"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut process = NodeProcess::new(Path::new(PROGRAM), &data, &[]).unwrap();
    process.environment = settings(servers, "first");
    for (name, value) in [
        ("STORE__CASSANDRA__ANSWER_WITHIN", "3s"),
        ("INGEST__COMMANDS__BURST", "1000000"),
        ("INGEST__ADDRESSES__BURST", "1000000"),
    ] {
        let name = format!("CURSUS__{name}");
        process.environment.push((name, value.to_owned()));
    }
    let token = |user: &str| process.token_of(user).unwrap();
    let begun = Instant::now();
    let took = |what: &str| println!("{what}: {:?}", begun.elapsed());
    servers.kill("cassandra").unwrap();
    let node = process.start_serving().unwrap();
    assert_eq!(
        post(&node, &token("ada"), "m1").await,
        202,
        "durable, not folded"
    );
    let (status, report) = ask(&node, "/readyz").await;
    let tables = &report["parts"]["tables"];
    assert_eq!(
        (status, &tables["state"]),
        (503, &json!("connecting")),
        "{report}"
    );
    assert!(tables["reason"].is_string(), "{report}");
    took("serving without tables");
    assert_eq!(ask(&node, "/healthz").await.0, 200, "it may pass");
    servers.restart("cassandra").unwrap();
    took("Cassandra is back");
    node.wait_ready(Duration::from_secs(60)).unwrap();
    took("ready");
    has_its_verdict(&node, &token("ada"), "m1").await;
    let bob = RawClient::live(&node.url(), &token("bob")).await;
    let mut bob = bob.unwrap();
    has_its_verdict(&node, &token("ada"), "m2").await;
    assert_eq!(bob.until("entry").await.unwrap()["client_id"], "m2");
    it_stalls(servers, &node, &token("ada"), &mut bob).await;
    took("stalled, and all arrived");
    assert!(node.terminate().unwrap().1, "it ends in order");
    let verified = process.verify().unwrap();
    assert!(verified.equal, "{}", verified.said);
}

async fn the_same_commands(servers: &Servers) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut process = NodeProcess::new(Path::new(PROGRAM), &data, &[]).unwrap();
    process.environment = settings(servers, "same");
    let node = process.start().unwrap();
    let mut ada = RawClient::live(&node.url(), &process.token_of("ada").unwrap())
        .await
        .unwrap();
    let mut bob = RawClient::live(&node.url(), &process.token_of("bob").unwrap())
        .await
        .unwrap();
    for n in 0..40 {
        let (client, id) = if n % 3 == 0 {
            (&mut bob, n)
        } else {
            (&mut ada, n)
        };
        let id = format!("m{id}");
        let body = json!({ "kind": "text", "text": id });
        let data = json!({ "chat": "d.ada.bob", "client_id": id, "body": body });
        client
            .send(json!({ "type": "send", "ref": id, "data": data }).to_string())
            .await
            .unwrap();
        assert_eq!(client.answer(&id).await.unwrap()["type"], "sent");
    }
    assert!(node.terminate().unwrap().1, "it ends in order");
    let on_cassandra = process.verify().unwrap();
    assert!(on_cassandra.equal, "{}", on_cassandra.said);
    // The embedded store, from the same log.
    process.environment = Vec::new();
    let mut rebuild = Command::new(PROGRAM);
    rebuild.current_dir(folder.path()).arg("rebuild");
    let rebuilt = rebuild.arg("--data").arg(&data).output().unwrap();
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    let embedded = process.verify().unwrap();
    assert!(embedded.equal, "{}", embedded.said);
    assert_eq!(on_cassandra.said, embedded.said, "table by table");
}
