//! What people deploy with: the compose file is one, what it and the Dockerfile set are settings of a
//! node, its keys open a node, the health check says how the node is, and the compose file of images made
//! here is valid too. No image is pulled, made or run here.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use infra_testkit::process::NodeProcess;
use infra_testkit::raw::RawClient;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cursus-under-test");

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn text(file: &str) -> String {
    std::fs::read_to_string(deploy().join(file)).unwrap()
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// The plugin where there is one, else the program that Debian has.
fn compose() -> Command {
    let plugin = Command::new("docker").args(["compose", "version"]).output();
    let mut command = match plugin {
        Ok(output) if output.status.success() => {
            let mut docker = Command::new("docker");
            docker.arg("compose");
            docker
        }
        _ => Command::new("docker-compose"),
    };
    command.arg("-f").arg(deploy().join("compose.yaml"));
    command
}

#[test]
fn compose_file_is_valid_and_has_every_server() {
    let valid = compose().args(["config", "--quiet"]).output().unwrap();
    assert!(valid.status.success(), "{}", said(&valid));
    let all = compose()
        .args(["--profile", "scylladb", "config", "--services"])
        .output()
        .unwrap();
    let told = said(&all);
    let mut services: Vec<&str> = told.split_whitespace().collect();
    services.sort_unstable();
    let expected = [
        "cassandra",
        "cursus",
        "grafana",
        "kafka",
        "prometheus",
        "redis",
        "scylladb",
    ];
    assert_eq!(services, expected);
}

#[test]
fn compose_file_of_images_made_here_is_valid_and_each_image_can_be_made() {
    let local = "compose.local.yaml";
    let mut both = compose();
    both.arg("-f").arg(deploy().join(local));
    let valid = both.args(["config", "--quiet"]).output().unwrap();
    assert!(valid.status.success(), "{}", said(&valid));
    let file = text(local);
    let images = file
        .lines()
        .filter_map(|line| line.trim().strip_prefix("image: cursus-local/"));
    let images: Vec<&str> = images.collect();
    assert!(images.len() >= 4, "{images:?}");
    for image in images {
        let recipe = format!("images/{image}.Dockerfile");
        assert!(deploy().join(&recipe).exists(), "{recipe}");
    }
    for script in ["images/make", "images/test"] {
        let mut bash = Command::new("bash");
        let parsed = bash.arg("-n").arg(deploy().join(script)).output().unwrap();
        assert!(parsed.status.success(), "{}", said(&parsed));
    }
}

#[test]
fn what_compose_mounts_is_there() {
    let file = text("compose.yaml");
    let mounted = file
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- ./"));
    let paths: Vec<&str> = mounted.filter_map(|line| line.split(':').next()).collect();
    assert!(paths.len() >= 4, "{paths:?}");
    for path in paths {
        assert!(deploy().join(path).exists(), "{path}");
    }
}

/// Settings that a file makes, as names and values in the environment.
fn settings(file: &str) -> Vec<(String, String)> {
    let lines = text(file);
    let setting = |line: &str| {
        let line = line
            .trim()
            .trim_start_matches("ENV ")
            .trim_end_matches('\\')
            .trim();
        let (name, value) = line.strip_prefix("CURSUS__")?.split_once([':', '='])?;
        let value = value
            .trim()
            .trim_matches('"')
            .replace("${TABLES:-cassandra}", "cassandra");
        Some((format!("CURSUS__{name}"), value))
    };
    lines.lines().filter_map(setting).collect()
}

#[test]
fn what_the_image_and_compose_set_are_settings_of_a_node() {
    for (file, least) in [("compose.yaml", 7), ("Dockerfile", 3)] {
        let settings = settings(file);
        assert!(settings.len() >= least, "{settings:?}");
        let mut config = Command::new(PROGRAM);
        let values: Vec<String> = settings.iter().map(|(_, value)| value.clone()).collect();
        let output = config.arg("config").envs(settings).output().unwrap();
        let effective = said(&output);
        assert!(output.status.success(), "{file}: {effective}");
        for value in values {
            assert!(
                effective.contains(&value),
                "{file}: {value} is not in effect"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_of_the_keys_script_opens_a_node_and_the_health_check_finds_it_well() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.json");
    let mut script = Command::new(deploy().join("compose/keys"));
    script
        .env("CURSUS_KEYS", &keys)
        .args(["token", "ada", "phone"]);
    let made = script.output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();

    let data = folder.path().join("data");
    let mut process = NodeProcess::new(Path::new(PROGRAM), &data, &[]).unwrap();
    let path = keys.to_str().unwrap().to_owned();
    process.environment = vec![("CURSUS__INGEST__KEYS".to_owned(), path)];
    let health = || {
        let listen = process.address.to_string();
        let mut health = Command::new(PROGRAM);
        health
            .args(["health", "--ready", "--listen", &listen])
            .output()
            .unwrap()
    };
    assert!(!health().status.success(), "there is no node yet");
    let node = process.start().unwrap();
    RawClient::live(&node.url(), &token).await.unwrap();
    assert!(health().status.success(), "{}", said(&health()));
    assert!(node.terminate().unwrap().1, "it ends in order");
}
