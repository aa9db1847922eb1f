//! Keeps the house in order: the rings, the size of files, their headers, the names of rooms and
//! the code map. Reads `cargo metadata` and the tree, and names every place that is wrong at once.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Crate → ring. A crate may use only lower rings; crates of one ring stand side by side.
const RINGS: &[(&str, u32)] = &[
    ("schemas", 0),
    ("infra-ports", 1),
    ("ingest", 2),
    ("projectors", 2),
    ("delivery", 2),
    ("cursus-client", 2),
    ("infra-servers", 1),
    ("infra-log-embedded", 2),
    ("infra-log-kafka", 2),
    ("infra-store-embedded", 2),
    ("infra-runtime-tokio", 2),
    ("infra-transport-websocket", 2),
    ("infra-node", 4),
    ("infra-testkit", 5),
    ("infra-load", 6),
    ("infra-fuzz", 4),
];
const MAX_LINES: usize = 500;
const BANNED_ROOMS: [&str; 5] = ["util", "utils", "common", "helpers", "misc"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_path_buf()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "data" {
                files(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let (root, mut found) = (root(), Vec::new());
    files(&root, &mut found);
    found.sort();
    let read = |path: &PathBuf| {
        let name = path
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    let sources: Vec<_> = found.iter().map(read).collect();
    assert!(sources.len() > 20, "the tree was not found");
    sources
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_dependency_points_up_or_sideways() {
    let manifest = root().join("Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .unwrap();
    let rings: BTreeMap<&str, u32> = RINGS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let Some(ring) = rings.get(package.name.as_str()) else {
            wrong.push(format!(
                "{} has no ring: add it to the table in this test",
                package.name
            ));
            continue;
        };
        for edge in &package.dependencies {
            let Some(below) = rings.get(edge.name.as_str()) else {
                continue;
            };
            if below >= ring && edge.kind != DependencyKind::Unknown {
                wrong.push(format!(
                    "{} (ring {ring}) uses {} (ring {below})",
                    package.name, edge.name
                ));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_crate_stands_in_the_code_map() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let missing = |(name, _): &(&str, u32)| {
        let folder = match *name {
            "cursus-client" => "client".to_owned(),
            name => name.replacen("infra-", "infra/", 1),
        };
        (!map.contains(&format!("`{folder}`")))
            .then(|| format!("`{folder}` is not in the code map"))
    };
    assert_none(&RINGS.iter().filter_map(missing).collect::<Vec<_>>());
    assert!(
        map.lines().count() <= 200,
        "ARCHITECTURE.md is over 200 lines"
    );
}

#[test]
fn no_file_is_over_500_lines_above_its_tests() {
    let long = |(name, text): &(String, String)| {
        let lines = text
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"))
            .count();
        (lines > MAX_LINES).then(|| format!("{name}: {lines} lines"))
    };
    assert_none(&sources().iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn every_source_file_begins_with_its_purpose() {
    let bare = |(name, text): &(String, String)| (!text.starts_with("//! ")).then(|| name.clone());
    assert_none(&sources().iter().filter_map(bare).collect::<Vec<_>>());
}

#[test]
fn no_room_is_called_by_what_it_is_not() {
    let banned = |(name, _): &(String, String)| {
        let stem = |part: &str| part.trim_end_matches(".rs").to_owned();
        name.split('/')
            .any(|part| BANNED_ROOMS.contains(&stem(part).as_str()))
            .then(|| name.clone())
    };
    assert_none(&sources().iter().filter_map(banned).collect::<Vec<_>>());
}

#[test]
fn every_select_says_biased() {
    let needle = concat!("select", "! {");
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        for (at, _) in text.match_indices(needle) {
            if !text[at + needle.len()..]
                .trim_start()
                .starts_with("biased;")
            {
                wrong.push(format!("{name}:{}", text[..at].lines().count()));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_undone() {
    let needles = [
        concat!("#[", "ignore"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
    ];
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        wrong.extend(
            needles
                .iter()
                .filter(|n| text.contains(**n))
                .map(|n| format!("{name}: {n}")),
        );
    }
    assert_none(&wrong);
}
