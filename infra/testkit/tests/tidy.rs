//! Keeps the house in order: the rings, the size of files, their headers, the names of rooms, the
//! code map, licences, and that no page or script knows the machine it was written on. Reads `cargo
//! metadata` and the tree, and names every place that is wrong at once.

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
    ("infra-store-scylla", 2),
    ("infra-registry-redis", 2),
    ("infra-link-tcp", 2),
    ("infra-schema-registry", 2),
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

/// What no folder of the tree is called, and those that are not the house's own.
fn is_foreign(folder: &str) -> bool {
    let hidden = folder.starts_with('.') && folder != ".ci";
    hidden || ["target", "data", "node_modules"].contains(&folder)
}

fn files(folder: &Path, wanted: fn(&str) -> bool, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !is_foreign(&name) {
                files(&path, wanted, found);
            }
        } else if wanted(&name) {
            found.push(path);
        }
    }
}

/// Every file that people read or machines run, and that is no source: by its ending, or a script
/// without one.
fn texts() -> Vec<(String, String)> {
    let wanted = |name: &str| match name.rsplit_once('.') {
        Some((_, ending)) => [
            "md",
            "toml",
            "sh",
            "yaml",
            "yml",
            "xml",
            "properties",
            "options",
        ]
        .contains(&ending),
        None => !name.starts_with("LICENSE"),
    };
    read(wanted)
}

fn sources() -> Vec<(String, String)> {
    read(|name| name.ends_with(".rs"))
}

fn read(wanted: fn(&str) -> bool) -> Vec<(String, String)> {
    let (root, mut found) = (root(), Vec::new());
    files(&root, wanted, &mut found);
    found.sort();
    let read = |path: &PathBuf| {
        let name = path
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    let texts: Vec<_> = found.iter().map(read).collect();
    assert!(texts.len() > 20, "the tree was not found");
    texts
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

#[test]
fn no_page_script_or_source_knows_the_machine_it_was_written_on() {
    // Homes and folders of somebody's own; `/tmp/x` in an example is everybody's.
    let needles = ["work", "home", "root", "Users", "mnt"].map(|folder| format!("/{folder}/"));
    let begins = |before: Option<char>| !before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut wrong = Vec::new();
    for (name, text) in texts().into_iter().chain(sources()) {
        for needle in &needles {
            for (at, _) in text.match_indices(needle.as_str()) {
                let before = text[..at].chars().next_back();
                // A path begins here, and is not the middle of a longer or a relative one.
                if begins(before) && !matches!(before, Some('.' | '/' | '}' | '*')) {
                    wrong.push(format!("{name}:{}: {needle}", text[..at].lines().count()));
                }
            }
        }
    }
    assert_none(&wrong);
}

/// What `deny.toml` allows: to every crate, and to single ones.
struct Licences {
    all: Vec<String>,
    exceptions: Vec<(String, String)>,
}

impl Licences {
    fn read() -> Self {
        let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
        let quoted = |text: &str| {
            text.split('"')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect()
        };
        let list = |head: &str| {
            text.split_once(head)
                .unwrap()
                .1
                .split_once("\n]")
                .unwrap()
                .0
        };
        let exceptions = list("exceptions = [")
            .lines()
            .filter(|line| line.contains("crate = "));
        let pair = |line: &str| {
            let names: Vec<String> = quoted(line);
            (names[0].clone(), names[1].clone())
        };
        Self {
            all: quoted(list("\nallow = [")),
            exceptions: exceptions.map(pair).collect(),
        }
    }

    /// Whether a crate's licence, an SPDX expression, is satisfied by what is allowed to it.
    fn allow(&self, crate_name: &str, expression: &str) -> bool {
        let spelled = expression.replace('/', " OR ");
        let alternatives = parts(&spelled, " OR ");
        if alternatives.len() > 1 {
            return alternatives.iter().any(|one| self.allow(crate_name, one));
        }
        let all = parts(&spelled, " AND ");
        if all.len() > 1 {
            return all.iter().all(|one| self.allow(crate_name, one));
        }
        let bare = spelled.trim();
        if let Some(inner) = bare.strip_prefix('(').and_then(|b| b.strip_suffix(')')) {
            return self.allow(crate_name, inner);
        }
        let excepted = |(name, licence): &(String, String)| name == crate_name && licence == bare;
        self.all.iter().any(|licence| licence == bare) || self.exceptions.iter().any(excepted)
    }
}

/// The parts of an expression between operators that stand in no brackets.
fn parts(expression: &str, operator: &str) -> Vec<String> {
    let (mut depth, mut begin, mut found) = (0_i32, 0, Vec::new());
    for (at, c) in expression.char_indices() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth == 0 && at >= begin && expression[at..].starts_with(operator) {
            found.push(expression[begin..at].to_owned());
            begin = at + operator.len();
        }
    }
    found.push(expression[begin..].to_owned());
    found
}

#[test]
fn expressions_of_licences_are_read_as_they_are_meant() {
    let licences = Licences {
        all: vec!["MIT".to_owned(), "BSL-1.0".to_owned()],
        exceptions: vec![("odd".to_owned(), "MPL-2.0".to_owned())],
    };
    for (name, expression, allowed) in [
        ("any", "MIT", true),
        ("any", "Apache-2.0/MIT", true),
        ("any", "GPL-2.0-only OR MIT", true),
        ("any", "MIT AND GPL-2.0-only", false),
        ("any", "(MIT OR GPL-2.0-only) AND BSL-1.0", true),
        ("any", "GPL-2.0-only OR (MIT AND MPL-2.0)", false),
        ("odd", "MPL-2.0", true),
        ("any", "MPL-2.0", false),
    ] {
        assert_eq!(licences.allow(name, expression), allowed, "{expression}");
    }
}

#[test]
fn every_crate_that_is_linked_has_a_licence_that_deny_toml_allows() {
    let licences = Licences::read();
    assert!(licences.all.len() > 5 && !licences.exceptions.is_empty());
    let platform = ["--filter-platform", "x86_64-unknown-linux-gnu"].map(str::to_owned);
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(platform)
        .exec()
        .unwrap();
    let foreign = metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some());
    let wrong = foreign.filter_map(|package| {
        let licence = package.license.as_deref().unwrap_or("no licence");
        let name = package.name.as_str();
        (!licences.allow(name, licence)).then(|| format!("{name}: {licence}"))
    });
    assert_none(&wrong.collect::<Vec<_>>());
}

#[test]
fn no_page_speaks_of_a_copyleft_licence_that_deny_toml_does_not_allow() {
    let licences = Licences::read();
    let is_allowed = |found: &str| {
        let mut excepted = licences.exceptions.iter();
        excepted.any(|(_, licence)| licence.starts_with(found))
    };
    let mut wrong = Vec::new();
    for (name, text) in texts() {
        if name == "deny.toml" {
            continue;
        }
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && !"-.".contains(c)) {
            let word = word.trim_matches(['.', '-']);
            let families = ["GPL", "LGPL", "AGPL", "MPL", "EUPL", "CDDL", "SSPL", "BUSL"];
            let family = word.split_once('-').map_or(word, |(family, _)| family);
            if families.contains(&family) && !is_allowed(word) {
                wrong.push(format!("{name}: {word}"));
            }
        }
    }
    assert_none(&wrong);
}
