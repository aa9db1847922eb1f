//! Two whole nodes over one log and one store; one of them is killed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use infra_servers::Servers;
use infra_testkit::process::{NodeProcess, RunningNode};
use infra_testkit::raw::RawClient;
use parking_lot::Mutex;
use schemas::ids::{DeviceId, UserId};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cursus-under-test");
/// Chats that are written to in turn: more than partitions.
const CHATS: usize = 16;
const MESSAGES: usize = 400;
/// How far apart messages are.
const EVERY: Duration = Duration::from_millis(5);
/// A session's time-out, what follows, and room for a busy machine.
const AT_MOST: Duration = Duration::from_secs(40);

fn settings(servers: &Servers) -> Vec<(String, String)> {
    let settings = [
        ("LOG__KIND", "kafka"),
        ("LOG__KAFKA__BROKERS", servers.kafka()),
        ("LOG__KAFKA__TOPIC_PREFIX", "two."),
        ("LOG__KAFKA__PARTITIONS", "8"),
        ("STORE__KIND", "cassandra"),
        ("STORE__CASSANDRA__CONTACT_POINTS", servers.cassandra()),
        ("STORE__CASSANDRA__KEYSPACE", "two"),
        ("STORE__CASSANDRA__REPLICAS", "1"),
        ("STORE__CASSANDRA__ANSWER_WITHIN", "30s"),
    ];
    let named = |(name, value): (&str, &str)| (format!("CURSUS__{name}"), value.to_owned());
    settings.map(named).to_vec()
}

fn node(servers: &Servers, folder: &Path, name: &str) -> (NodeProcess, RunningNode) {
    let mut process = NodeProcess::new(Path::new(PROGRAM), &folder.join(name), &[]).unwrap();
    process.environment = settings(servers);
    let running = process.start().unwrap();
    (process, running)
}

/// When each message was sent.
type Sent = Arc<Mutex<Vec<Instant>>>;

/// Reads entries in the order of each chat, and how long one waited at most.
async fn hear(mut client: RawClient, sent: Sent) -> Duration {
    let (mut heads, mut heard) = ([0; CHATS], 0);
    let mut longest = Duration::ZERO;
    while heard < MESSAGES {
        let entry = client.until("entry").await.unwrap();
        let chat = entry["chat"].as_str().unwrap();
        let chat: usize = chat.trim_start_matches("d.ada.bob").parse().unwrap();
        let seq = entry["seq"].as_u64().unwrap();
        // What is pushed and not marked is pushed again.
        if seq == heads[chat] + 1 {
            heads[chat] = seq;
            heard += 1;
            let n: usize = entry["client_id"].as_str().unwrap()[1..].parse().unwrap();
            let waited = sent.lock()[n].elapsed();
            longest = longest.max(waited);
        }
    }
    longest
}

async fn send(client: &mut RawClient, n: usize, sent: &Sent) {
    sent.lock().push(Instant::now());
    let (id, chat) = (format!("m{n}"), format!("d.ada.bob{:02}", n % CHATS));
    let body = json!({ "kind": "text", "text": id });
    let data = json!({ "chat": chat, "client_id": id, "body": body });
    let frame = json!({ "type": "send", "ref": id, "data": data });
    client.send(frame.to_string()).await.unwrap();
    assert_eq!(client.answer(&id).await.unwrap()["type"], "sent");
}

pub(crate) async fn one_of_two_is_killed(servers: &Servers) {
    let folder = tempfile::tempdir().unwrap();
    let (process, survivor) = node(servers, folder.path(), "one");
    let (_, other) = node(servers, folder.path(), "two");
    let token = |device: &str| {
        let (ada, device) = (UserId::new("ada").unwrap(), DeviceId::new(device).unwrap());
        process.token(&ada, &device).unwrap()
    };
    let mut phone = RawClient::live(&survivor.url(), &token("phone"))
        .await
        .unwrap();
    let web = RawClient::live(&survivor.url(), &token("web"))
        .await
        .unwrap();
    let sent = Sent::default();
    let hearing = tokio::spawn(hear(web, Arc::clone(&sent)));
    let mut other = Some(other);
    for n in 0..MESSAGES {
        if n == MESSAGES / 3 {
            other.take().unwrap().kill().unwrap();
        }
        send(&mut phone, n, &sent).await;
        tokio::time::sleep(EVERY).await;
    }
    let heard = tokio::time::timeout(Duration::from_secs(60), hearing).await;
    let longest = heard.unwrap().unwrap();
    println!("one of two nodes is killed: a message waits {longest:?} at most");
    assert!(longest < AT_MOST, "{longest:?}");
    assert!(survivor.terminate().unwrap().1, "it ends in order");
    let verified = process.verify().unwrap();
    assert!(verified.equal, "{}", verified.said);
}
