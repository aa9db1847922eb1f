//! The dashboard on a real node: Prometheus scrapes it under load, and each query of each panel
//! returns what can be drawn. Needs `prometheus`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cursus_client::{Client, Config};
use infra_testkit::platform::Platform;
use infra_testkit::prometheus::Prometheus;
use schemas::frames::WireBody;
use schemas::ids::{ChatId, UserId};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// A panel and the start of a query that may say "not a number" on a node that is young: nothing of
/// what is divided has happened yet.
const MAY_BE_NO_NUMBER: &[(&str, &str)] = &[
    // No table file is read before the first memtable was written out.
    ("Caches", "sum (rate(cursus_store_block_reads_total"),
];

struct Query {
    panel: String,
    text: String,
}

impl Query {
    fn may_be_no_number(&self) -> bool {
        let is_this =
            |(panel, start): &(&str, &str)| self.panel == *panel && self.text.starts_with(start);
        MAY_BE_NO_NUMBER.iter().any(is_this)
    }
}

/// Every query, with what Grafana would put in for its variables.
fn queries() -> Vec<Query> {
    let path = "../deploy/grafana/cursus.json";
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut queries = Vec::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        for target in panel["targets"].as_array().unwrap() {
            let text = target["expr"].as_str().unwrap();
            let text = text.replace("$instance", ".+");
            queries.push(Query {
                panel: panel["title"].as_str().unwrap().to_owned(),
                text: text.replace("$__rate_interval", "10s"),
            });
        }
    }
    assert!(queries.len() > 40, "the dashboard was not found");
    queries
}

/// Two people who talk, mark and ask for what they may not have, and one who comes and goes; for
/// ever.
async fn talk(platform: &Platform) {
    let connect = |name| {
        let token = platform.token(name, "phone").unwrap();
        Client::connect(Config::new(platform.url(), token))
    };
    let (ada, bob) = (connect("ada"), connect("bob"));
    bob.live().await.unwrap();
    let ids = |a, b| (UserId::new(a).unwrap(), UserId::new(b).unwrap());
    let ((a, b), (b2, e)) = (ids("ada", "bob"), ids("bob", "eve"));
    let (chat, other) = (
        ChatId::direct(&a, &b).unwrap(),
        ChatId::direct(&b2, &e).unwrap(),
    );
    let url = platform.http("/v1/chats");
    tokio::spawn(async move { while bob.next().await.is_some() {} });
    let (address, token) = (platform.url(), platform.token("eve", "phone").unwrap());
    tokio::spawn(async move {
        loop {
            let eve = Client::connect(Config::new(address.clone(), token.clone()));
            drop(eve.live().await);
            eve.close().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    tokio::spawn(async move {
        while let Ok(sent) = ada.send(&chat, WireBody::text("hello")).await {
            // A refusal is an answer too, and one that is wanted here.
            drop(sent.outcome().await);
            drop(ada.pin(&chat, true).await);
            drop(ada.history(&other, None, None).await);
            let url = url.clone();
            let stranger = move || drop(ureq::get(&url).header("Authorization", "Bearer x").call());
            drop(tokio::task::spawn_blocking(stranger).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

/// What keeps a query from being drawn.
fn trouble(prometheus: &Prometheus, query: &Query) -> Option<String> {
    match prometheus.query(&query.text) {
        Err(error) => Some(format!("{error:#}")),
        Ok(series) if series.is_empty() => Some("no data".to_owned()),
        Ok(series) => {
            let drawn = series.iter().any(|(_, value)| value.is_finite());
            (!drawn && !query.may_be_no_number()).then(|| format!("no number: {series:?}"))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_the_dashboard_returns_what_can_be_drawn() {
    let platform = Platform::start().await.unwrap();
    talk(&platform).await;
    let prometheus = Arc::new(Prometheus::scraping(platform.node().address()).unwrap());
    let (mut left, begun) = (queries(), Instant::now());
    while !left.is_empty() {
        let asked = Arc::clone(&prometheus);
        let ask = move || {
            left.retain(|query| trouble(&asked, query).is_some());
            let first = left.first();
            let why = first.and_then(|query| trouble(&asked, query));
            let line = |query: &Query| format!("{}: {}", query.panel, query.text);
            let all = left.iter().map(line).collect::<Vec<_>>().join("\n");
            (left, format!("{}\nof the first: {why:?}", all))
        };
        let said;
        (left, said) = tokio::task::spawn_blocking(ask).await.unwrap();
        assert!(
            left.is_empty() || begun.elapsed() < PATIENCE,
            "not drawn:\n{said}"
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    drop(prometheus);
    platform.shutdown().await;
}
