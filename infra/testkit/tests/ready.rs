//! `/readyz` turns red within ten seconds when messages stop flowing anywhere, and green again when
//! they flow: each role of a whole node is stopped under traffic, one test a place.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cursus_client::{Client, Config, Event};
use infra_ports::Visibility;
use infra_testkit::platform::Platform;
use infra_testkit::valves::{Place, Valves};
use schemas::frames::WireBody;
use schemas::ids::{ChatId, UserId};
use schemas::topics::Topic;
use serde_json::Value;

/// The promise.
const RED_WITHIN: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);

fn direct(a: &str, b: &str) -> ChatId {
    ChatId::direct(&UserId::new(a).unwrap(), &UserId::new(b).unwrap()).unwrap()
}

fn connect(platform: &Platform, name: &str) -> Client {
    Client::connect(Config::new(
        platform.url(),
        platform.token(name, "phone").unwrap(),
    ))
}

/// What `/readyz` answers, and whether it is green.
async fn ready(platform: &Platform) -> (bool, Value) {
    ask(platform, "/readyz").await
}

/// What `/readyz` or `/healthz` answers, and whether it is green.
async fn ask(platform: &Platform, page: &str) -> (bool, Value) {
    let url = platform.http(page);
    let ask = move || {
        let agent = ureq::Agent::config_builder().http_status_as_error(false);
        let mut answer = agent.build().new_agent().get(&url).call().unwrap();
        let green = answer.status() == 200;
        (green, answer.body_mut().read_json().unwrap())
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

/// Asks until the node is green.
async fn until_green(platform: &Platform) {
    let begun = Instant::now();
    loop {
        let (green, report) = ready(platform).await;
        if green {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "still red: {report}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks until a part is red, and the node with it; answers how long that took.
async fn until_red(platform: &Platform, part: &str) -> (Duration, Value) {
    let begun = Instant::now();
    loop {
        let (green, report) = ready(platform).await;
        let part_green = report["parts"][part]["ready"].as_bool().unwrap();
        assert!(
            part_green || !green,
            "{part} is red, the node is not: {report}"
        );
        if !part_green {
            return (begun.elapsed(), report);
        }
        assert!(begun.elapsed() < PATIENCE, "still green: {report}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// What the gauges of `/metrics` say of the node and of a part.
async fn gauges(platform: &Platform, part: &str) -> (bool, bool) {
    let url = platform.http("/metrics");
    let ask = move || ureq::get(&url).call()?.body_mut().read_to_string();
    let text = tokio::task::spawn_blocking(ask).await.unwrap().unwrap();
    let is_one = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim() == "1"
    };
    let part = format!("cursus_part_ready{{part=\"{part}\"}}");
    (is_one("cursus_ready"), is_one(&part))
}

/// Two people who talk, mark and arrange their chats, for as long as this lives.
struct Traffic {
    over: Arc<AtomicBool>,
    heard: tokio::sync::watch::Receiver<u64>,
}

impl Traffic {
    async fn start(platform: &Platform) -> Self {
        let (ada, bob) = (connect(platform, "ada"), connect(platform, "bob"));
        bob.live().await.unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let (say, heard) = tokio::sync::watch::channel(0);
        let (chat, stop) = (direct("ada", "bob"), Arc::clone(&over));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                // What is shut may refuse for a while.
                drop(ada.send(&chat, WireBody::text("hello")).await);
                let pinned = ada.clone();
                let chat = chat.clone();
                tokio::spawn(async move { pinned.pin(&chat, true).await });
                tokio::time::sleep(PAUSE).await;
            }
        });
        tokio::spawn(async move {
            while let Some(event) = bob.next().await {
                if matches!(event, Event::Entry(_)) {
                    say.send_modify(|count| *count += 1);
                }
            }
        });
        Self { over, heard }
    }

    /// Waits until one more message arrives.
    async fn flows(&mut self) {
        self.heard.mark_unchanged();
        let arrived = tokio::time::timeout(PATIENCE, self.heard.changed());
        arrived.await.expect("a message in time").unwrap();
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Shuts a place of a node in use: red in time, the part named, green again once it is open.
async fn stops(place: Place, part: &str) {
    let valves = Valves::default();
    let platform = Platform::start_on(|_| {}, |adapters| valves.around(adapters))
        .await
        .unwrap();
    until_green(&platform).await;
    let mut traffic = Traffic::start(&platform).await;
    traffic.flows().await;
    assert!(ready(&platform).await.0, "green under traffic");
    assert_eq!(gauges(&platform, part).await, (true, true));
    valves.shut(place);
    let (took, report) = until_red(&platform, part).await;
    assert!(took < RED_WITHIN, "red only after {took:?}: {report}");
    assert_eq!(gauges(&platform, part).await, (false, false), "{report}");
    valves.open();
    until_green(&platform).await;
    traffic.flows().await;
    drop(traffic);
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chats_projector_that_is_not_woken_turns_it_red() {
    stops(Place::Tail(Topic::Chats, Visibility::Durable), "chats").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inbox_projector_that_is_not_woken_turns_it_red() {
    stops(Place::Tail(Topic::Users, Visibility::Durable), "inbox").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipts_projector_that_is_not_woken_turns_it_red() {
    stops(
        Place::Tail(Topic::Receipts, Visibility::Durable),
        "receipts",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settings_projector_that_is_not_woken_turns_it_red() {
    stops(
        Place::Tail(Topic::Accounts, Visibility::Durable),
        "settings",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_not_woken_turns_it_red() {
    stops(Place::Tail(Topic::Users, Visibility::Appended), "delivery").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committer_whose_disk_hangs_turns_it_red() {
    stops(Place::Commits, "log").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_no_rows_turns_it_red() {
    stops(Place::Rows, "chats").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_room_turns_it_red() {
    stops(Place::Room, "ingest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_can_read_turns_it_red() {
    stops(Place::Reads, "chats").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_log_says_that_it_needs_a_restart() {
    let valves = Valves::default();
    let platform = Platform::start_on(|_| {}, |adapters| valves.around(adapters))
        .await
        .unwrap();
    until_green(&platform).await;
    assert!(ask(&platform, "/healthz").await.0);
    valves.shut(Place::Poisoned);
    let (took, report) = until_red(&platform, "log").await;
    assert!(took < RED_WITHIN, "red only after {took:?}");
    assert_eq!(report["parts"]["log"]["state"], "poisoned", "{report}");
    let (alive, report) = ask(&platform, "/healthz").await;
    assert!(!alive, "{report}");
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_disk_turns_it_red_without_any_traffic() {
    let valves = Valves::default();
    let platform = Platform::start_on(|_| {}, |adapters| valves.around(adapters))
        .await
        .unwrap();
    until_green(&platform).await;
    valves.shut(Place::Commits);
    let (took, report) = until_red(&platform, "log").await;
    assert!(took < RED_WITHIN, "red only after {took:?}");
    assert_eq!(report["parts"]["log"]["state"], "stuck", "{report}");
    valves.open();
    until_green(&platform).await;
    platform.shutdown().await;
}
