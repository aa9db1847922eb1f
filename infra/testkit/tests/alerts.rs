//! The alert rules: each is tried, says what to do, stands in the operators' page, and asks for
//! metrics that exist. Needs `promtool`, which comes with Prometheus.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use infra_testkit::prometheus::promtool;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Each alert's name with the lines of its rule.
fn alerts() -> Vec<(String, String)> {
    let rules = read("infra/deploy/prometheus/alerts.yml");
    let rules = rules.split("- alert: ").skip(1);
    let alerts: Vec<_> = rules
        .map(|rule| {
            let (name, rest) = rule.split_once('\n').unwrap();
            (name.to_owned(), rest.to_owned())
        })
        .collect();
    assert!(alerts.len() >= 6, "the rules were not found");
    alerts
}

#[test]
fn rules_fire_and_stay_silent_as_their_tests_say() {
    let path = |name: &str| {
        let path = root().join("infra/deploy/prometheus").join(name);
        path.to_string_lossy().into_owned()
    };
    let (config, tests) = (path("prometheus.yml"), path("alerts_test.yml"));
    for arguments in [["check", "config", &config], ["test", "rules", &tests]] {
        let (content, said) = promtool(&arguments).unwrap();
        assert!(content, "{said}");
    }
}

#[test]
fn every_alert_is_tried_says_what_to_do_and_stands_in_the_operators_page() {
    let (tests, page) = (
        read("infra/deploy/prometheus/alerts_test.yml"),
        read("docs/operations.md"),
    );
    for (name, rule) in alerts() {
        let fires = format!("alertname: {name}\n        exp_alerts:\n");
        assert!(tests.contains(&fires), "{name} is never seen to fire");
        for says in ["summary: ", "action: ", "severity: "] {
            assert!(rule.contains(says), "{name} has no {says}");
        }
        let runbook = format!("runbook: docs/operations.md#{}\n", name.to_lowercase());
        assert!(rule.contains(&runbook), "{name} should point to {runbook}");
        let heading = format!("\n### {name}\n");
        assert!(page.contains(&heading), "{name} is not in the page");
    }
    for heading in page
        .lines()
        .filter_map(|line| line.strip_prefix("### Cursus"))
    {
        let name = format!("Cursus{heading}");
        assert!(
            alerts().iter().any(|(alert, _)| *alert == name),
            "{name} is no alert"
        );
    }
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_exist() {
    let known: BTreeSet<&str> = infra_node::telemetry::metrics()
        .map(|one| one.metric().name)
        .collect();
    for file in [
        "infra/deploy/prometheus/alerts.yml",
        "infra/deploy/grafana/cursus.json",
    ] {
        let text = read(file);
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for word in words.filter(|word| word.starts_with("cursus_")) {
            let name = word.strip_suffix("_bucket").unwrap_or(word);
            assert!(known.contains(name), "{file}: {word} is no metric");
        }
    }
}
