//! Small loads on a real node: a sound one passes, a broken one is found out.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program of another crate, as its source is now.
fn program(name: &str) -> PathBuf {
    let package = if name == "cursus" {
        "infra-node"
    } else {
        "infra-testkit"
    };
    let cargo = Command::new(env!("CARGO"))
        .args(["build", "-q", "-p", package, "--bin", name])
        .status();
    assert!(cargo.unwrap().success(), "{name} does not build");
    Path::new(env!("CARGO_BIN_EXE_cursus-load")).with_file_name(name)
}

fn load(node: &str, arguments: &[&str], flaw: Option<&str>) -> Output {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cursus-load"));
    command
        .args(["run"])
        .args(arguments)
        .args(["--json", "--program"])
        .arg(program(node))
        .arg("--scratch")
        .arg(scratch.path());
    if let Some(flaw) = flaw {
        command.env("CURSUS_FLAW", flaw);
    }
    command.output().unwrap()
}

/// What a sound node's run says, and a number in it.
fn told(arguments: &[&str]) -> impl Fn(&str) -> f64 {
    let output = load("cursus", arguments, None);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    move |pointer| {
        told.pointer(pointer)
            .and_then(serde_json::Value::as_f64)
            .unwrap()
    }
}

#[test]
fn one_to_one_measures_a_sound_node_beside_its_raw_limits() {
    let rate = [
        "one-to-one",
        "--rate",
        "100",
        "--sockets",
        "10",
        "--seconds",
        "1",
    ];
    let number = told(&rate);
    for count in ["/node/delivered_us/count", "/echo/delivered_us/count"] {
        assert!((number(count) - 100.0).abs() < 0.1);
    }
    assert!(number("/node/marks") > 0.0);
    assert!(number("/ratio_p50") > 0.0 && number("/fdatasync_us/p50") > 0.0);
}

#[test]
fn groups_are_measured_beside_one_write_a_member() {
    let number = told(&["group", "--members", "8", "--alone", "2", "--waiting", "20"]);
    assert!(number("/node/alone_per_second") > 0.0 && number("/sends/waiting_per_second") > 0.0);
}

#[test]
fn inner_measures_find_every_figure_and_the_table_and_pages_show_them() {
    program("cursus");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (results, docs) = (folder.path().join("results"), folder.path().join("docs"));
    let run = |arguments: &[&str], paths: &[(&str, &Path)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cursus-load"));
        command.args(arguments);
        for (name, path) in paths {
            command.arg(name).arg(path);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let to = ("--results", results.as_path());
    run(
        &["inside", "--divide", "1000"],
        &[to, ("--scratch", folder.path())],
    );
    let table = run(&["table"], &[to]);
    run(&["pages"], &[to, ("--docs", docs.as_path())]);

    let latest = std::fs::read(results.join("latest.json")).unwrap();
    let latest: Vec<serde_json::Value> = serde_json::from_slice(&latest).unwrap();
    assert_eq!(latest.len(), 17);
    let page = std::fs::read_to_string(docs.join("benchmarks.md")).unwrap();
    for figure in latest {
        let name = figure["figure"].as_str().unwrap();
        assert!(figure["value"].as_f64().unwrap() > 0.0, "{figure}");
        assert!(page.contains(name) && table.contains(&name[..20]), "{name}");
    }
    assert!(docs.join("benchmarks/recovery.svg").is_file());
}

/// The run itself checks that nothing is lost or comes twice. What was sent a moment before the
/// return is told live, so it is not among what was caught up.
fn assert_caught_up(number: &impl Fn(&str) -> f64, missed: f64) {
    let caught_up = number("/entries");
    assert!(caught_up > 0.0 && caught_up <= missed, "{caught_up}");
    assert!(number("/seconds") > 0.0);
}

#[test]
fn who_was_away_catches_up_all_of_it_and_nothing_twice() {
    let number = told(&["storm", "--sockets", "20"]);
    assert_caught_up(&number, 20.0);
}

#[test]
fn one_device_catches_up_many_messages_of_many_chats() {
    let number = told(&["catch-up", "--messages", "400"]);
    assert_caught_up(&number, 400.0);
}

#[test]
fn a_mixed_day_with_edits_and_read_marks_loses_nothing() {
    let number = told(&["day", "--users", "40", "--rate", "200", "--seconds", "1"]);
    assert!(number("/one_to_one/delivered_us/count") > 100.0);
    assert!(number("/groups/delivered_us/count") > 100.0);
}

/// Idle sockets of several processes: each then writes once, so each is reached once.
const HELD: [&str; 7] = [
    "held",
    "--sockets",
    "30",
    "--processes",
    "3",
    "--rate",
    "30",
];

#[test]
fn sockets_of_several_processes_are_all_reached_and_counted_as_one_load() {
    let number = told(&HELD);
    assert!((number("/reached") - 30.0).abs() < 0.1);
    assert!((number("/node/sent_us/count") - 30.0).abs() < 0.1);
    assert!(number("/node/marks") > 0.0 && number("/node/server_cpu_us") > 0.0);
}

#[test]
fn a_loss_in_one_of_several_processes_fails_the_whole_run() {
    assert_found_out(&HELD, "dropped-message", "lost: message");
}

/// The run fails and says why.
fn assert_found_out(arguments: &[&str], flaw: &str, why: &str) {
    let output = load("cursus-under-test", arguments, Some(flaw));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{flaw} went unseen");
    assert!(
        said.contains("a failed run") && said.contains(why),
        "{said}"
    );
}

#[test]
fn a_node_that_drops_messages_it_has_answered_is_found_out() {
    let few = [
        "one-to-one",
        "--only",
        "--rate",
        "20",
        "--sockets",
        "4",
        "--seconds",
        "1",
    ];
    assert_found_out(&few, "dropped-message", "lost: message");
}

#[test]
fn a_node_that_drops_marks_it_has_answered_is_found_out() {
    assert_found_out(
        &["storm", "--sockets", "20"],
        "dropped-mark",
        "repeated: seq 1",
    );
}
