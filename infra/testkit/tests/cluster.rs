//! A platform with a process a role, and one with two, on three real brokers, Cassandra and Redis: each process
//! and each server is killed, others are rolled or stalled, all under load, and nothing is lost, doubled or out
//! of order; idle sockets are reached wherever their partition went. And the same with a rule broken on
//! purpose, which the checker must see.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test may fail loudly"
)]

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use infra_servers::Servers;
use infra_testkit::checker::Violation;
use infra_testkit::cluster::Cluster;
use infra_testkit::process::Entrance;
use infra_testkit::raw::RawClient;
use infra_testkit::torture::apart::{self, Hit, Outcome, PROCESSES, Plan, Stage};
use schemas::ids::{DeviceId, UserId};
use serde_json::json;
use tokio::sync::Mutex;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cursus-under-test");
/// A hand: each process and each server is killed once, a process of each role is rolled, four are stalled.
const ROUNDS: u32 = 20;
/// Rounds of a run with a flaw, and how many runs it may take until chance shows the flaw.
const ROUNDS_WITH_FLAW: u32 = 3;
const ATTEMPTS: u32 = 4;
const TWO: [(&str, &str); 2] = [
    ("gateway-1", "gateway,worker,projectors"),
    ("gateway-2", "gateway,worker"),
];
/// What is wrong with a flaw stays wrong: so long it is given to become right.
const LAG_WITH_FLAW: Duration = Duration::from_secs(8);
/// How long it may take until a worker is killed while somebody stands by.
const GO_ON_WITHIN: Duration = Duration::from_secs(60);
const IDLE: usize = 2_000;
/// Sockets that are opened at once.
const AT_ONCE: usize = 100;
/// Devices that speak to those who are idle: each may say a thousand things at once.
const SPEAKERS: usize = 4;

/// One platform at a time stands on them. They end with this process.
static SERVERS: LazyLock<Mutex<Arc<Servers>>> =
    LazyLock::new(|| Mutex::new(apart::servers().unwrap()));

fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.subsec_nanos().into()
}

async fn run(stage: &mut Stage, plan: &Plan) -> Outcome {
    println!("seed {}, {} rounds", plan.seed, plan.rounds);
    let begun = Instant::now();
    let outcome = apart::run(stage, plan, |round| println!("  {round}")).await;
    let outcome = outcome.unwrap();
    println!(
        "{}{} acknowledged, {} delivered, {:.0?}",
        apart::table(&apart::times(&outcome.rounds)),
        outcome.acknowledged,
        outcome.delivered,
        begun.elapsed()
    );
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_process_or_server_is_hit_nothing_is_lost_and_nobody_forgotten() {
    let servers = SERVERS.lock().await;
    let program = Path::new(PROGRAM);
    let mut stage = Stage::set_up(Arc::clone(&servers), program, "apart", &PROCESSES, &[]).unwrap();
    let outcome = run(&mut stage, &Plan::new(ROUNDS, seed())).await;
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
    assert!(outcome.unasked.is_empty(), "{:#?}", outcome.unasked);
    assert_eq!(outcome.rounds.len(), ROUNDS as usize);
    assert!(
        outcome.acknowledged > 500 && outcome.delivered > 500,
        "{} acknowledged, {} delivered",
        outcome.acknowledged,
        outcome.delivered
    );
    idle_and_forgotten_by_nobody(&mut stage.cluster).await;
    stage.end().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_hot_standbys_workers_are_killed_and_nothing_is_lost_doubled_or_out_of_order() {
    let servers = SERVERS.lock().await;
    let (program, own) = (Path::new(PROGRAM), "stoodby");
    let hot = [("CURSUS__LINK__HOT_STANDBY".to_owned(), "true".to_owned())];
    let mut stage = Stage::set_up(Arc::clone(&servers), program, own, &PROCESSES, &hot).unwrap();
    until_standbys_go_on_for(&mut stage.cluster, "worker-1").await;
    let hits = [("worker-2", Hit::Killed)];
    let plan = Plan::new(0, seed());
    let outcome = apart::run_these(&mut stage, &plan, hits, |round| println!("  {round}")).await;
    let outcome = outcome.unwrap();
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
    assert!(outcome.unasked.is_empty(), "{:#?}", outcome.unasked);
    stage.end().unwrap();
}

/// Kills a worker and starts it again, until another one has gone on for it: one that is killed before
/// somebody stands by is lost as without, so each lives longer than the one before.
async fn until_standbys_go_on_for(cluster: &mut Cluster, worker: &str) {
    let begun = Instant::now();
    for seconds in 1.. {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        cluster.kill(worker).unwrap();
        let went_on = is_said_soon(cluster, "standbys go on").await;
        cluster.start(worker).unwrap();
        tokio::task::block_in_place(|| cluster.wait_ready()).unwrap();
        if went_on {
            return;
        }
        assert!(begun.elapsed() < GO_ON_WITHIN, "{}", cluster.said());
    }
}

/// Waits a moment for one of the processes to say this.
async fn is_said_soon(cluster: &Cluster, words: &str) -> bool {
    for _ in 0..60 {
        if cluster.said().contains(words) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_acknowledges_what_the_log_never_gets_is_seen_as_loss() {
    let servers = SERVERS.lock().await;
    let flaw = [("CURSUS_FLAW".to_owned(), "lost-append".to_owned())];
    let mut plan = Plan::new(ROUNDS_WITH_FLAW, seed());
    plan.only = vec!["gateway".to_owned()];
    plan.lag = LAG_WITH_FLAW;
    for attempt in 0..ATTEMPTS {
        let own = format!("flawed{attempt}");
        let (servers, program) = (Arc::clone(&servers), Path::new(PROGRAM));
        let stage = Stage::set_up(servers, program, &own, &TWO, &flaw);
        let outcome = run(&mut stage.unwrap(), &plan).await;
        let lost = |v: &Violation| matches!(v, Violation::LostCommand { .. });
        if outcome.violations.iter().any(lost) {
            return;
        }
        plan.seed += 1;
    }
    panic!("it was not seen in {ATTEMPTS} runs");
}

#[test]
fn a_process_that_ends_by_itself_is_told_of_with_its_last_words_and_started_again() {
    let mut cluster = Cluster::new(Path::new(PROGRAM), Vec::new()).unwrap();
    cluster.add("alone", "all").unwrap();
    assert!(cluster.restart_ended().unwrap().is_empty());
    let id = i32::try_from(cluster.id("alone").unwrap()).unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::ABORT).unwrap();
    let begun = Instant::now();
    let told = loop {
        let told = cluster.restart_ended().unwrap();
        if !told.is_empty() {
            break told;
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
    };
    assert!(
        told[0].starts_with("alone ended by itself, signal: 6 (SIGABRT)"),
        "{told:?}"
    );
    assert!(told[0].contains(" INFO "), "what it said last: {told:?}");
    cluster.end("alone").unwrap();
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
    async fn each_gets_one(&mut self, text: &str, cluster: &Cluster) {
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
                    panic!("idle{number}, {text}: {error:#}\n{}", cluster.said())
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

async fn idle_and_forgotten_by_nobody(cluster: &mut Cluster) {
    let mut idle = Idle::connect(&cluster.entrance()).await;
    idle.each_gets_one("at first", cluster).await;
    cluster.add("worker-3", "worker").unwrap();
    idle.each_gets_one("a worker came", cluster).await;
    cluster.end("worker-1").unwrap();
    idle.each_gets_one("a worker left", cluster).await;
    cluster.kill("worker-2").unwrap();
    idle.each_gets_one("a worker was killed", cluster).await;
    cluster.start("worker-1").unwrap();
    cluster.start("worker-2").unwrap();
    cluster.wait_ready().unwrap();
}
