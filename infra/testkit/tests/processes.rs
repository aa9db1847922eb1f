//! Nodes as processes: killed, restarted, stopped, started twice.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use infra_testkit::process::NodeProcess;
use infra_testkit::raw::RawClient;
use serde_json::{Value, json};

fn node(folder: &Path) -> NodeProcess {
    let program = Path::new(env!("CARGO_BIN_EXE_cursus-under-test"));
    NodeProcess::new(program, &folder.join("data"), &[]).unwrap()
}

fn message(client_id: &str) -> String {
    let body = json!({ "kind": "text", "text": client_id });
    let data = json!({ "chat": "d.ada.bob", "client_id": client_id, "body": body });
    json!({ "type": "send", "ref": client_id, "data": data }).to_string()
}

async fn timeline(client: &mut RawClient) -> Vec<Value> {
    let ask = r#"{"type":"timeline","ref":"t","data":{"chat":"d.ada.bob","from":1}}"#;
    client.send(ask).await.unwrap();
    let answer = client.answer("t").await.unwrap();
    answer["data"]["entries"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn resend_after_a_kill_makes_no_second_message() {
    let folder = tempfile::tempdir().unwrap();
    let process = node(folder.path());
    let running = process.start().unwrap();
    let ada = process.token_of("ada").unwrap();
    let mut client = RawClient::live(&running.url(), &ada).await.unwrap();
    for id in ["one", "two", "three"] {
        client.send(message(id)).await.unwrap();
        assert_eq!(client.answer(id).await.unwrap()["type"], "sent");
    }
    running.kill().unwrap();
    let running = process.start().unwrap();
    let mut client = RawClient::live(&running.url(), &ada).await.unwrap();
    for id in ["three", "one", "two"] {
        client.send(message(id)).await.unwrap();
        let verdict = client.until("verdict").await.unwrap();
        assert_eq!(verdict["client_id"], id);
        assert!(verdict["seq"].is_u64(), "{verdict}");
    }
    let entries = timeline(&mut client).await;
    let ids: Vec<_> = entries
        .iter()
        .map(|entry| entry["client_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["one", "two", "three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_sends_clients_away_with_1012_and_ends_within_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = node(folder.path());
    let elsewhere = "ws://127.0.0.1:1/v1/connect";
    process
        .environment
        .push(("CURSUS__RECONNECT_TO".into(), elsewhere.into()));
    let running = process.start().unwrap();
    let mut client = RawClient::live(&running.url(), &process.token_of("ada").unwrap())
        .await
        .unwrap();
    client.send(message("last")).await.unwrap();
    client.answer("last").await.unwrap();
    let stopped = tokio::task::spawn_blocking(move || running.terminate().unwrap());
    let closing = client.until("closing").await.unwrap();
    assert_eq!(
        (&closing["code"], &closing["reconnect_to"]),
        (&json!("shutting_down"), &json!(elsewhere))
    );
    assert_eq!(client.until_closed().await.unwrap(), Some(1012));
    let (took, well) = stopped.await.unwrap();
    assert!(well && took < Duration::from_secs(10), "{took:?}");
    let running = process.start().unwrap();
    let mut client = RawClient::live(&running.url(), &process.token_of("ada").unwrap())
        .await
        .unwrap();
    assert_eq!(timeline(&mut client).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_that_did_not_go_in_order_ends_with_an_error_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = node(folder.path());
    for (setting, value) in [
        ("SHUTDOWN_WITHIN", "1ms"),
        // What would contradict it otherwise.
        ("INGEST__VERDICT_WITHIN", "0ms"),
        ("DELIVERY__CLOSE_WITHIN", "0ms"),
    ] {
        let variable = (format!("CURSUS__{setting}"), value.to_owned());
        process.environment.push(variable);
    }
    // Where the machine lets nobody but those run who end, the node finds everything ended in time.
    for _ in 0..20 {
        let running = process.start().unwrap();
        // It does not answer its close, so the node waits for it longer than it may.
        let client = RawClient::live(&running.url(), &process.token_of("ada").unwrap())
            .await
            .unwrap();
        let stopped = tokio::task::spawn_blocking(move || running.terminate().unwrap());
        let (_, well) = stopped.await.unwrap();
        drop(client);
        let said = std::fs::read_to_string(process.data.with_extension("log")).unwrap();
        assert_eq!(said.contains("it took longer than 1ms"), !well, "{said}");
        if !well {
            return;
        }
    }
    panic!("twenty shutdowns went in order within a millisecond each");
}

#[test]
fn settings_that_contradict_each_other_are_refused_at_start_with_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = node(folder.path());
    let short = ("CURSUS__READY_LAG".into(), "1s".into());
    process.environment.push(short);
    let said = process.start().unwrap_err().to_string();
    assert!(
        said.contains("ready_lag_too_short: `ready_lag` must be 3s"),
        "{said}"
    );
    assert!(
        !folder.path().join("data/log/chats").exists(),
        "nothing was made"
    );
}

#[test]
fn verifying_a_folder_without_a_node_s_data_makes_nothing_and_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let verify = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cursus-under-test"))
            .arg("verify")
            .args(arguments)
            .arg("--data")
            .arg(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.success(), said)
    };
    for arguments in [[].as_slice(), &["--log"]] {
        let (verified, said) = verify(arguments);
        let log = folder.path().join("log").display().to_string();
        assert!(!verified && said.contains(&log), "{said}");
        assert!(said.contains("no log"), "{said}");
        let made = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(made, 0, "{arguments:?} made something");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_whose_checkpoint_is_gone_from_the_log_goes_on_after_a_rebuild() {
    let folder = tempfile::tempdir().unwrap();
    let process = node(folder.path());
    let ada = process.token_of("ada").unwrap();
    let running = process.start().unwrap();
    let mut client = RawClient::live(&running.url(), &ada).await.unwrap();
    for id in ["one", "two", "three"] {
        client.send(message(id)).await.unwrap();
        client.until("entry").await.unwrap();
    }
    let before = timeline(&mut client).await;
    running.terminate().unwrap();
    // As if a disk had been swapped: `users` begins anew, the checkpoint is beyond it.
    std::fs::remove_dir_all(process.data.join("log/users")).unwrap();
    let running = process.start_serving().unwrap();
    let health = format!("http://{}/healthz", process.address);
    let agent = ureq::Agent::config_builder().http_status_as_error(false);
    let agent = agent.build().new_agent();
    let report = loop {
        let mut answer = agent.get(&health).call().unwrap();
        if answer.status() == 503 {
            break answer.body_mut().read_json::<Value>().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(report["parts"]["inbox"]["state"], "stopped", "{report}");
    let (_, well) = running.terminate().unwrap();
    assert!(!well, "a projection had stopped by itself");
    let rebuild = || {
        let mut command = Command::new(&process.program);
        let output = command.arg("rebuild").arg("--data").arg(&process.data);
        let output = output.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let (made, said) = rebuild();
    assert!(made && said.contains("tables.old-1"), "{said}");
    assert!(process.data.join("tables.old-1").is_dir());
    let running = process.start().unwrap();
    let mut client = RawClient::live(&running.url(), &ada).await.unwrap();
    assert_eq!(timeline(&mut client).await, before);
    client.send(message("four")).await.unwrap();
    assert_eq!(client.until("entry").await.unwrap()["seq"], 4);
    let (made, said) = rebuild();
    assert!(!made && said.contains("another process"), "{said}");
    running.kill().unwrap();
    let verified = process.verify().unwrap();
    assert!(verified.equal, "{}", verified.said);
}

/// What a node on this data says, that does not run.
fn cannot_run(process: &NodeProcess) -> String {
    let data = process.data.to_string_lossy();
    let output = Command::new(&process.program)
        .args(["--listen", "127.0.0.1:0", "--data", &data])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn second_node_on_the_same_data_refuses_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let process = node(folder.path());
    let running = process.start().unwrap();
    let said = cannot_run(&process);
    assert!(said.contains("another process"), "{said}");
    let health = format!("http://{}/readyz", process.address);
    assert_eq!(ureq::get(&health).call().unwrap().status(), 200);
    running.kill().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_while_the_tables_are_being_opened_outlives_a_second_kill() {
    let folder = tempfile::tempdir().unwrap();
    let process = node(folder.path());
    let ada = process.token_of("ada").unwrap();
    let mut sent = Vec::new();
    for round in 0..3 {
        // Not waited for: sockets are served before the tables are open.
        let running = process.start_serving().unwrap();
        let mut client = RawClient::connect(&running.url(), Some(&ada))
            .await
            .unwrap();
        for number in 0..100 {
            let id = format!("{round}-{number}");
            client.send(message(&id)).await.unwrap();
            assert_eq!(client.answer(&id).await.unwrap()["type"], "sent");
            sent.push(id);
        }
        running.kill().unwrap();
    }
    let running = process.start().unwrap();
    let mut client = RawClient::live(&running.url(), &ada).await.unwrap();
    let mut ids = Vec::new();
    while ids.len() < sent.len() {
        let ask = json!({ "chat": "d.ada.bob", "from": ids.len() + 1 });
        let ask = json!({ "type": "timeline", "ref": "t", "data": ask });
        client.send(ask.to_string()).await.unwrap();
        let answer = client.answer("t").await.unwrap();
        let entries = answer["data"]["entries"].as_array().unwrap();
        assert!(!entries.is_empty(), "{answer}");
        let page = entries
            .iter()
            .map(|entry| entry["client_id"].as_str().unwrap());
        ids.extend(page.map(str::to_owned));
    }
    assert_eq!(ids, sent);
}

#[test]
fn a_node_whose_tables_do_not_open_goes_down_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let process = node(folder.path());
    process.start().unwrap().kill().unwrap();
    std::fs::write(process.data.join("tables/tables/version"), "nothing").unwrap();
    let said = cannot_run(&process);
    assert!(said.contains("do not open"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verifying_the_log_names_the_damaged_place_in_a_sealed_segment() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = node(folder.path());
    let small = ("CURSUS__LOG__EMBEDDED__SEGMENT_BYTES".into(), "4096".into());
    process.environment.push(small);
    let running = process.start().unwrap();
    let ada = process.token_of("ada").unwrap();
    let mut client = RawClient::live(&running.url(), &ada).await.unwrap();
    for number in 0..150 {
        let id = format!("m{number}");
        client.send(message(&id)).await.unwrap();
        assert_eq!(client.answer(&id).await.unwrap()["type"], "sent");
    }
    running.kill().unwrap();
    let verify = || {
        let program = env!("CARGO_BIN_EXE_cursus-under-test");
        let data = folder.path().join("data");
        let output = Command::new(program)
            .args(["verify", "--log", "--data"])
            .arg(data)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let (whole, said) = verify();
    assert!(whole && said.contains("150 records"), "{said}");
    let segment = folder
        .path()
        .join("data/log/chats/00000000000000000000.segment");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[2000] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let (whole, said) = verify();
    assert!(!whole && said.contains("damaged in 1 places"), "{said}");
    assert!(
        said.contains("00000000000000000000.segment at byte "),
        "{said}"
    );
}
