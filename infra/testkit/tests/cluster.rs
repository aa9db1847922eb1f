//! A platform with a process a role, and one with two, on a real Kafka, Cassandra and Redis: each process and Redis is
//! killed, each process is rolled, all under load, and nothing is lost, doubled or out of order; idle
//! sockets are reached wherever their partition went.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use infra_servers::Servers;
use infra_testkit::cluster::Cluster;
use infra_testkit::process::Entrance;
use infra_testkit::raw::RawClient;
use infra_testkit::torture::apart::{self, Plan, Server};
use parking_lot::Mutex;
use schemas::ids::{DeviceId, UserId};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cursus-under-test");
/// Each process and Redis are killed once, and each process is rolled once.
const ROUNDS: u32 = 13;
const IDLE: usize = 2_000;
/// Sockets that are opened at once.
const AT_ONCE: usize = 100;
/// Devices that speak to those who are idle: each may say a thousand things at once.
const SPEAKERS: usize = 4;

/// Settings of a platform on these servers, in topics, tables and keys of its own.
fn settings(servers: &Servers, own: &str) -> Vec<(String, String)> {
    let redis = format!("redis://{}", servers.redis());
    let prefixes = (format!("{own}."), format!("{own}:"));
    let settings = [
        ("LOG__KIND", "kafka"),
        ("LOG__KAFKA__BROKERS", servers.kafka()),
        ("LOG__KAFKA__TOPIC_PREFIX", &prefixes.0),
        ("LOG__KAFKA__PARTITIONS", "8"),
        ("STORE__KIND", "cassandra"),
        ("STORE__CASSANDRA__CONTACT_POINTS", servers.cassandra()),
        ("STORE__CASSANDRA__KEYSPACE", own),
        ("STORE__CASSANDRA__REPLICAS", "1"),
        ("STORE__CASSANDRA__ANSWER_WITHIN", "30s"),
        ("REGISTRY__KIND", "redis"),
        ("REGISTRY__REDIS__URL", &redis),
        ("REGISTRY__REDIS__KEY_PREFIX", &prefixes.1),
    ];
    let named = |(name, value): (&str, &str)| (format!("CURSUS__{name}"), value.to_owned());
    settings.map(named).to_vec()
}

fn redis(servers: &Arc<Servers>) -> Server {
    let servers = Arc::clone(servers);
    let act = move |kill| match kill {
        true => servers.kill("redis"),
        false => servers.restart("redis"),
    };
    ("redis", Box::new(act))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_a_role_and_whichever_is_killed_nothing_is_lost_and_nobody_forgotten() {
    let servers = Arc::new(Servers::start(&["kafka", "cassandra", "redis"]).unwrap());
    let mut cluster = Cluster::new(Path::new(PROGRAM), settings(&servers, "apart")).unwrap();
    // One after the other: the first projector makes the tables.
    for (name, roles) in [
        ("projectors", "projectors"),
        ("worker-1", "worker"),
        ("worker-2", "worker"),
        ("gateway-1", "gateway"),
        // Linked to its own worker by a call, and to the others.
        ("gateway-2", "gateway,worker"),
        ("ingest", "ingest"),
    ] {
        cluster.add(name, roles).unwrap();
    }
    cluster.wait_ready().unwrap();
    let cluster = Arc::new(Mutex::new(cluster));
    hit_in_turn(&cluster, &servers).await;
    idle_and_forgotten_by_nobody(&cluster).await;
}

async fn hit_in_turn(cluster: &Arc<Mutex<Cluster>>, servers: &Arc<Servers>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let plan = Plan {
        rounds: ROUNDS,
        seed: now.subsec_nanos().into(),
        life: (Duration::from_millis(200), Duration::from_millis(800)),
        servers: vec![redis(servers)],
    };
    println!("seed {}", plan.seed);
    let told = |round: &apart::Round| {
        let how = if round.in_order { "ended" } else { "killed" };
        println!(
            "  {} {how}: silence {:.0?}, it serves again after {:.0?}",
            round.victim, round.silence, round.back_after
        );
    };
    let outcome = apart::run(Arc::clone(cluster), &plan, told).await.unwrap();
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
    assert!(
        outcome.acknowledged > 100 && outcome.delivered > 100,
        "{outcome:?}"
    );
}

/// Sockets that say nothing, over all gateways.
struct Idle {
    sockets: Vec<RawClient>,
    speakers: Vec<RawClient>,
}

impl Idle {
    async fn connect(entrance: &Entrance) -> Self {
        let connect = async |name: String, number: usize| {
            let (user, device) = (UserId::new(name).unwrap(), DeviceId::new("phone").unwrap());
            let token = entrance.token(&user, &device).unwrap();
            let url = format!("ws://{}/v1/connect", entrance.address(number).unwrap());
            RawClient::live(&url, &token).await.unwrap()
        };
        let (mut sockets, mut speakers) = (Vec::new(), Vec::new());
        for number in 0..SPEAKERS {
            speakers.push(connect(format!("speaker{number}"), number).await);
        }
        let all: Vec<usize> = (0..IDLE).collect();
        for some in all.chunks(AT_ONCE) {
            let connecting = some.iter().map(|n| connect(format!("idle{n}"), *n));
            sockets.extend(futures_util::future::join_all(connecting).await);
        }
        Self { sockets, speakers }
    }

    /// Everybody is told something, and everybody hears it.
    async fn each_gets_one(&mut self, text: &str, cluster: &Mutex<Cluster>) {
        let begun = Instant::now();
        for number in 0..self.sockets.len() {
            let (speaker, id) = (
                number % SPEAKERS,
                format!("{number}-{}", text.replace(' ', "-")),
            );
            let chat = format!("d.idle{number}.speaker{speaker}");
            let body = json!({ "kind": "text", "text": text });
            let data = json!({ "chat": chat, "client_id": id, "body": body });
            let frame = json!({ "type": "send", "data": data }).to_string();
            self.speakers[speaker].send(frame).await.unwrap();
        }
        for (number, socket) in self.sockets.iter_mut().enumerate() {
            loop {
                let heard = socket.until("entry").await.unwrap_or_else(|error| {
                    panic!("idle{number}, {text}: {error:#}\n{}", cluster.lock().said())
                });
                if heard["event"]["body"]["text"] == text {
                    break;
                }
            }
        }
        println!(
            "  {IDLE} idle sockets, {text}: each has its message after {:.0?}",
            begun.elapsed()
        );
    }
}

async fn idle_and_forgotten_by_nobody(cluster: &Arc<Mutex<Cluster>>) {
    let entrance = cluster.lock().entrance();
    let mut idle = Idle::connect(&entrance).await;
    idle.each_gets_one("at first", cluster).await;
    cluster.lock().add("worker-3", "worker").unwrap();
    idle.each_gets_one("a worker came", cluster).await;
    cluster.lock().end("worker-1").unwrap();
    idle.each_gets_one("a worker left", cluster).await;
    cluster.lock().kill("worker-2").unwrap();
    idle.each_gets_one("a worker was killed", cluster).await;
    let mut cluster = cluster.lock();
    cluster.start("worker-1").unwrap();
    cluster.start("worker-2").unwrap();
    cluster.wait_ready().unwrap();
}
