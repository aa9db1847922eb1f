//! `docs/configuration.md` lists every setting with its default and what its own documentation says.
//! Run with `CURSUS_WRITE_DOCS=1` to write the page anew after a setting was added or described
//! better.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use infra_node::config::Config;
use infra_node::contradictions::{self, Contradiction};
use serde_json::Value;

/// Each table of the page: its heading, the prefix of its keys, where its settings are declared.
const TABLES: [(&str, &str, &str); 15] = [
    ("The node", "", "infra/node/src/config.rs"),
    ("Spans", "telemetry.", "infra/node/src/traces/mod.rs"),
    ("The log", "log.", "infra/node/src/adapters/log.rs"),
    (
        "The embedded log",
        "log.embedded.",
        "infra/log-embedded/src/config.rs",
    ),
    (
        "The log on Kafka",
        "log.kafka.",
        "infra/log-kafka/src/config.rs",
    ),
    ("The tables", "store.", "infra/node/src/adapters/store.rs"),
    (
        "The embedded tables",
        "store.embedded.",
        "infra/store-embedded/src/config.rs",
    ),
    (
        "The tables on Cassandra",
        "store.cassandra.",
        "infra/store-scylla/src/config.rs",
    ),
    (
        "The schema registry",
        "schema_registry.",
        "infra/node/src/schema_registry.rs",
    ),
    (
        "The registry",
        "registry.",
        "infra/node/src/adapters/registry.rs",
    ),
    (
        "The registry on Redis",
        "registry.redis.",
        "infra/registry-redis/src/config.rs",
    ),
    (
        "The link between workers and gateways",
        "link.",
        "infra/node/src/links/mod.rs",
    ),
    ("Commands", "ingest.", "ingest/src/config.rs"),
    (
        "Projections (`chats`, `inbox`, `receipts`, `settings`, each with its own)",
        "projectors.<name>.",
        "projectors/src/engine/config.rs",
    ),
    (
        "Sessions and delivery",
        "delivery.",
        "delivery/src/config.rs",
    ),
];

const HEAD: &str = "\
# Configuration

A setting comes from, later ones winning: its default, `cursus.toml` in the working directory (or the
file that `--config` names), the environment, flags (`--roles`, `--listen`, `--data`,
`--trace`). In the
environment `delivery.max_sessions` is `CURSUS__DELIVERY__MAX_SESSIONS`. An unknown key is refused, and
the message names it. `cursus config` prints what is in effect. There are no secrets here: keys and
tokens stand in files of their own.

In TOML a dot is a table:

    listen = \"127.0.0.1:7800\"

    [delivery]
    max_sessions = 15000
    hello_within = \"10s\"

    [ingest]
    commands = { per_second = 200, burst = 1000 }

    [log]
    kind = \"kafka\"

    [log.kafka]
    brokers = \"10.0.0.1:9092,10.0.0.2:9092\"
    properties = { \"security.protocol\" = \"sasl_plaintext\", \"sasl.mechanism\" = \"PLAIN\" }

Durations are texts with their unit (`\"50ms\"`, `\"5s\"`, `\"2m\"`), sizes are bytes, and a rate is so many a
second in the long run and so many at once after a pause. What to set beyond one machine:
[operations.md](operations.md).

This page is made from the documentation of the settings in the code; a test keeps the two equal.
";

const CONTRADICTIONS: &str = "
## Settings that contradict each other

A node with one of these does not start; it says the code and what must be so.

| code | what must be so |
|---|---|
";

struct Setting {
    name: String,
    kind: String,
    meaning: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The settings of a file's configuration, as they are declared: those that a file cannot hold and
/// those that are tables themselves are left out.
fn settings(path: &str) -> Vec<Setting> {
    let source = std::fs::read_to_string(root().join(path)).unwrap();
    let declared = ["pub struct Config {\n", "pub struct EngineConfig {\n"];
    let body = declared.iter().find_map(|head| source.split_once(head));
    let (body, _) = body.unwrap().1.split_once("\n}\n").unwrap();
    let (mut found, mut docs, mut skipped) = (Vec::new(), Vec::new(), false);
    for line in body.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            docs.push(doc.trim().to_owned());
        } else if line == "#[serde(skip)]" {
            skipped = true;
        } else if let Some((name, kind)) =
            line.strip_prefix("pub ").and_then(|l| l.split_once(": "))
        {
            let kind = kind.trim_end_matches(',').to_owned();
            if !skipped && !kind.ends_with("Config") {
                let (name, meaning) = (name.to_owned(), plain(&docs.join(" ")));
                found.push(Setting {
                    name,
                    kind,
                    meaning,
                });
            }
            (docs, skipped) = (Vec::new(), false);
        }
    }
    found
}

/// Without links into the code.
fn plain(doc: &str) -> String {
    match doc.split_once(" ([`crate::") {
        Some((before, after)) => {
            let (_, after) = after.split_once("`])").unwrap();
            format!("{before}{after}")
        }
        None => doc.to_owned(),
    }
}

fn kind(setting: &Setting) -> String {
    let (inner, optional) = match setting.kind.strip_prefix("Option<") {
        Some(inner) => (inner.trim_end_matches('>'), true),
        None => (setting.kind.as_str(), false),
    };
    let word = match inner {
        "SocketAddr" => "address and port",
        "PathBuf" => "path",
        "String" => "text",
        "Duration" => "duration",
        "Rate" => "rate",
        "Kind" | "Compaction" => "one of a few words",
        "bool" => "true or false",
        "Roles" => "words",
        "BTreeMap<String, String>" => "table of texts",
        _ if setting.name.ends_with("_bytes") => "bytes",
        "u16" | "u32" | "u64" | "usize" | "NonZeroU32" => "count",
        other => panic!("{}: what is a {other}, for a reader?", setting.name),
    };
    if optional {
        format!("{word}, may be left out")
    } else {
        word.to_owned()
    }
}

fn default_of(prefix: &str, name: &str) -> String {
    let config = serde_json::to_value(Config::default()).unwrap();
    let key = prefix.replace("<name>", "chats") + name;
    let found = key
        .split('.')
        .try_fold(&config, |value, part| value.get(part));
    match found {
        None => "none".to_owned(),
        Some(Value::Object(table)) if table.is_empty() => "empty".to_owned(),
        Some(Value::Object(rate)) => {
            format!("{} a second, {} at once", rate["per_second"], rate["burst"])
        }
        Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(number) => number.to_string(),
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (heading, prefix, path) in TABLES {
        write!(page, "\n## {heading}\n\n").unwrap();
        page.push_str("| setting | kind | default | meaning |\n|---|---|---|---|\n");
        for setting in settings(path) {
            let (name, kind) = (&setting.name, kind(&setting));
            let default = default_of(prefix, name);
            let meaning = &setting.meaning;
            writeln!(
                page,
                "| `{prefix}{name}` | {kind} | {default} | {meaning} |"
            )
            .unwrap();
        }
    }
    page.push_str(CONTRADICTIONS);
    for Contradiction { code, what } in contradictions::all() {
        writeln!(page, "| `{code}` | {what} |").unwrap();
    }
    page
}

/// Every key of a configuration in which everything is set.
fn keys(value: &Value, prefix: &str, into: &mut Vec<String>) {
    match value.as_object() {
        Some(fields) if !fields.contains_key("burst") => {
            for (name, value) in fields {
                let key = if prefix.is_empty() {
                    name.clone()
                } else {
                    format!("{prefix}.{name}")
                };
                keys(value, &key, into);
            }
        }
        Some(_) | None => into.push(prefix.to_owned()),
    }
}

#[test]
fn the_page_lists_every_setting_with_its_default_and_meaning() {
    let path = root().join("docs/configuration.md");
    if std::env::var_os("CURSUS_WRITE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == page(),
        "docs/configuration.md is stale: run this test with CURSUS_WRITE_DOCS=1"
    );
}

#[test]
fn no_setting_is_missing_and_each_says_what_it_is() {
    let mut all = Vec::new();
    keys(
        &serde_json::to_value(Config::default()).unwrap(),
        "",
        &mut all,
    );
    let page = page();
    for key in &all {
        let mut parts: Vec<&str> = key.split('.').collect();
        if parts[0] == "projectors" {
            parts[1] = "<name>";
        }
        let row = format!("| `{}` |", parts.join("."));
        assert!(page.contains(&row), "{key} is not listed");
    }
    assert!(all.len() > 50, "the settings were not found");
    assert!(!page.contains("|  |"), "a setting says nothing of itself");
}
