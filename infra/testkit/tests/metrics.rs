//! What a node shows of itself to Prometheus, and the page that says so.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::collections::BTreeSet;
use std::path::Path;

use cursus_client::{Client, Config, Event};
use infra_ports::metric::{Kind, Metric};
use infra_testkit::platform::Platform;
use schemas::frames::WireBody;
use schemas::ids::{ChatId, UserId};

fn named() -> Vec<&'static Metric> {
    infra_node::telemetry::metrics()
        .map(|one| one.metric())
        .collect()
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    }
}

async fn exposition(platform: &Platform) -> String {
    let url = platform.http("/metrics");
    let get = move || ureq::get(&url).call()?.body_mut().read_to_string();
    tokio::task::spawn_blocking(get).await.unwrap().unwrap()
}

/// One message from one person to another, and one command that is refused.
async fn a_small_run(platform: &Platform) {
    let connect = |name| {
        Client::connect(Config::new(
            platform.url(),
            platform.token(name, "phone").unwrap(),
        ))
    };
    let (zebedee, yolanda) = (connect("zebedee"), connect("yolanda"));
    yolanda.live().await.unwrap();
    let chat = ChatId::direct(
        &UserId::new("zebedee").unwrap(),
        &UserId::new("yolanda").unwrap(),
    )
    .unwrap();
    let sent = zebedee.send(&chat, WireBody::text("hello")).await.unwrap();
    sent.outcome().await.unwrap();
    while !matches!(yolanda.next().await, Some(Event::Entry(_))) {}
    let refused = zebedee
        .history(&ChatId::new("d.adam.yolanda").unwrap(), None, None)
        .await;
    assert!(refused.is_err(), "the chat is somebody else's");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_exported_with_its_help_and_type_and_no_other_is() {
    let platform = Platform::start().await.unwrap();
    a_small_run(&platform).await;
    let text = exposition(&platform).await;
    let lines: BTreeSet<&str> = text.lines().collect();
    for metric in named() {
        let (name, kind) = (metric.name, word(metric.kind));
        let help = format!("# HELP {name} {}", metric.help);
        let (help, kind) = (help.as_str(), format!("# TYPE {name} {kind}"));
        assert!(
            lines.contains(kind.as_str()),
            "{kind} is not exported:\n{text}"
        );
        assert!(lines.contains(help), "{help} is not exported:\n{text}");
    }
    let known: BTreeSet<&str> = named().iter().map(|metric| metric.name).collect();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(known.contains(name), "{name} is in no metrics.rs");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(
            !line.contains("zebedee") && !line.contains("yolanda"),
            "a user in {line}"
        );
    }
    platform.shutdown().await;
}

#[test]
fn the_page_lists_every_metric_with_its_unit_labels_and_meaning() {
    let row = |metric: &&Metric| {
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (kind, unit) = (word(metric.kind), metric.unit.as_str());
        let (name, labels) = (metric.name, labels.join(", "));
        format!(
            "| `{name}` | {kind} | {unit} | {labels} | {} |",
            metric.help
        )
    };
    let expected: Vec<String> = named().iter().map(row).collect();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let listed: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert!(
        listed == expected,
        "docs/metrics.md should list:\n{}\n",
        expected.join("\n")
    );
}

#[test]
fn names_say_what_they_are_and_none_is_used_twice() {
    let mut seen = BTreeSet::new();
    for metric in named() {
        let name = metric.name;
        assert!(seen.insert(name), "{name} is named twice");
        assert!(name.starts_with("cursus_"), "{name}");
        assert_eq!(
            metric.kind == Kind::Counter,
            name.ends_with("_total"),
            "{name}"
        );
        if metric.unit.as_str() == "seconds" {
            assert!(
                name.ends_with("_seconds") || name.ends_with("_seconds_total"),
                "{name}"
            );
        }
        for label in metric.labels {
            assert!(
                !["user", "chat", "device"].contains(label),
                "{name} by {label}"
            );
        }
    }
}
