//! Other people's tools on our topics: Confluent's Python client and kcat read what a node on Kafka
//! wrote, through the schema registry that it serves, and what the one writes is delivered.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::path::Path;
use std::process::Command;

use infra_servers::Servers;
use infra_testkit::process::{NodeProcess, free_address};
use infra_testkit::raw::RawClient;
use schemas::avro::{Subject, schema_id};
use schemas::ids::{DeviceId, UserId};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cursus-under-test");
const CHAT: &str = "d.ada.bob";

/// Runs a program of the data team; what it printed.
fn run(program: &mut Command) -> String {
    let output = program.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn python(program: &str, arguments: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let program = folder.join(program);
    run(Command::new(folder.join("run"))
        .arg(program)
        .args(arguments))
}

fn events(brokers: &str, registry: &str, topic: &str) -> Vec<Value> {
    let said = python("read_events.py", &[brokers, registry, topic]);
    said.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn send(client: &mut RawClient, text: &str) {
    let body = json!({ "kind": "text", "text": text });
    let data = json!({ "chat": CHAT, "client_id": text, "body": body });
    let frame = json!({ "type": "send", "ref": text, "data": data });
    client.send(frame.to_string()).await.unwrap();
    assert_eq!(client.answer(text).await.unwrap()["type"], "sent");
}

/// The entry of this place: what is pushed and not marked is pushed again, so others may come before.
async fn hear(client: &mut RawClient, seq: u64) -> Value {
    loop {
        let entry = client.until("entry").await.unwrap();
        if entry["seq"] == seq {
            return entry;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_tools_read_our_topics_and_what_they_write_is_delivered() {
    let servers = Servers::start(&["kafka"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut process = NodeProcess::new(Path::new(PROGRAM), &data, &[]).unwrap();
    let served = free_address().unwrap();
    let settings = [
        ("LOG__KIND", "kafka".to_owned()),
        ("LOG__KAFKA__BROKERS", servers.kafka().to_owned()),
        ("LOG__KAFKA__PARTITIONS", "4".to_owned()),
        ("SCHEMA_REGISTRY__LISTEN", served.to_string()),
    ];
    let named = settings.map(|(name, value)| (format!("CURSUS__{name}"), value));
    process.environment = named.to_vec();
    let node = process.start().unwrap();
    let token = |user: &str| {
        let (user, phone) = (UserId::new(user).unwrap(), DeviceId::new("phone").unwrap());
        process.token(&user, &phone).unwrap()
    };
    let mut ada = RawClient::live(&node.url(), &token("ada")).await.unwrap();
    let mut bob = RawClient::live(&node.url(), &token("bob")).await.unwrap();
    for (seq, text) in (1..).zip(["one", "two", "three"]) {
        send(&mut ada, text).await;
        assert_eq!(hear(&mut bob, seq).await["client_id"], text);
    }
    let (brokers, registry) = (servers.kafka(), format!("http://{served}"));
    let partition = python_reads_what_was_sent(brokers, &registry);
    kcat_sees_the_head_that_it_knows(brokers);

    let partition = partition.to_string();
    let arguments = [brokers, &registry, CHAT, "ada", &partition, "from a script"];
    python("write_event.py", &arguments);
    let entry = hear(&mut bob, 4).await;
    assert_eq!(entry["client_id"], "of-a-script", "{entry}");
    assert_eq!(entry["event"]["body"]["text"], "from a script", "{entry}");
    assert!(node.terminate().unwrap().1, "it ends in order");
}

/// The partition that the chat is in.
fn python_reads_what_was_sent(brokers: &str, registry: &str) -> u64 {
    let read = events(brokers, registry, "chats");
    let texts: Vec<&Value> = read
        .iter()
        .map(|one| &one["event"]["body"]["bytes"])
        .collect();
    assert_eq!(texts, ["one", "two", "three"]);
    for one in &read {
        assert_eq!(one["subject"], "chats-cursus.chats.MessageSent");
        assert_eq!(one["id"], schema_id(Subject::MessageSent, 1));
        assert_eq!(
            (&one["key"], &one["event"]["origin"]["author"]),
            (&json!(CHAT), &json!("ada"))
        );
    }
    let told = events(brokers, registry, "users");
    let entries = told
        .iter()
        .filter(|one| one["subject"] == Subject::EntryTold.name());
    assert!(entries.count() >= 3, "each was told: {told:?}");
    read[0]["partition"].as_u64().unwrap()
}

/// It is built without Avro in Debian, so it is told to read the head: a byte and a number.
fn kcat_sees_the_head_that_it_knows(brokers: &str) {
    let mut kcat = Command::new("kcat");
    kcat.args(["-b", brokers, "-C", "-t", "chats", "-e", "-q"]);
    let said = run(kcat.args(["-s", "value=>bi", "-f", "%s\n"]));
    // It puts nothing between the two.
    let head = format!("0{}", schema_id(Subject::MessageSent, 1));
    assert_eq!(said.lines().collect::<Vec<_>>(), [head.as_str(); 3]);
}
