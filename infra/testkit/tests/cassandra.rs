//! A whole node with its tables on a real Cassandra: it is killed again and again, and its tables are
//! what the embedded store makes of the same log, bit for bit.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

use std::path::Path;
use std::process::Command;

use infra_servers::Servers;
use infra_testkit::process::NodeProcess;
use infra_testkit::raw::RawClient;
use infra_testkit::torture::{self, Plan};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cursus-under-test");
const KILLS: u32 = 4;

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
