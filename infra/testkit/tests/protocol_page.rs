//! Sends every example of `docs/protocol.md` to a real node, so that the page cannot go stale.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::path::Path;

use infra_testkit::platform::Platform;
use infra_testkit::raw::RawClient;
use schemas::frames::{decode_frame, encode_frame};
use serde_json::Value;

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocol.md");
    std::fs::read_to_string(page).unwrap()
}

/// The fenced blocks of a kind, in the order of the page.
fn blocks(page: &str, kind: &str) -> Vec<String> {
    let fence = format!("```{kind}\n");
    let block = |rest: &str| rest.split("```").next().unwrap().trim().to_owned();
    let found: Vec<_> = page.split(&fence).skip(1).map(block).collect();
    assert!(!found.is_empty(), "no {kind} blocks");
    found
}

#[test]
fn every_example_of_the_server_is_a_frame_that_it_would_send() {
    for line in blocks(&page(), "json server")
        .iter()
        .flat_map(|block| block.lines())
    {
        let received = decode_frame(line.as_bytes()).unwrap_or_else(|e| panic!("{e}: {line}"));
        let frame = received
            .value
            .unwrap_or_else(|| panic!("unknown type: {line}"));
        let again = encode_frame(received.reference.as_deref(), &frame);
        let (shown, sent): (Value, Value) = (
            serde_json::from_str(line).unwrap(),
            serde_json::from_slice(&again).unwrap(),
        );
        assert_eq!(shown, sent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_a_client_is_answered_without_an_error() {
    let platform = Platform::start().await.unwrap();
    let token = platform.token("ada", "phone").unwrap();
    let mut client = RawClient::connect(&platform.url(), None).await.unwrap();
    let (page, mut group) = (page(), String::new());
    for line in blocks(&page, "json client")
        .iter()
        .flat_map(|block| block.lines())
    {
        let text = line.replace("{token}", &token).replace("{group}", &group);
        let command: Value = serde_json::from_str(&text).unwrap();
        client.send(text.clone()).await.unwrap();
        if command["type"] == "hello" {
            client.until("live").await.unwrap();
            continue;
        }
        let answer = client
            .answer(command["ref"].as_str().unwrap())
            .await
            .unwrap();
        assert_ne!(answer["type"], "error", "{text} was answered with {answer}");
        if command["type"] == "create_group" {
            group = answer["data"]["chat"].as_str().unwrap().to_owned();
        }
        if answer["type"] == "sent" {
            let entry = client.until("entry").await.unwrap();
            assert_eq!(entry["client_id"], command["data"]["client_id"]);
        }
    }
    for request in blocks(&page, "http") {
        let (head, body) = request.split_once('\n').unwrap_or((&request, ""));
        let (method, path) = head.split_once(' ').unwrap();
        let url = platform.http(&path.replace("{group}", &group));
        let (bearer, body, method) = (
            format!("Bearer {token}"),
            body.to_owned(),
            method.to_owned(),
        );
        let status = tokio::task::spawn_blocking(move || match method.as_str() {
            "GET" => ureq::get(&url)
                .header("Authorization", &bearer)
                .call()
                .unwrap()
                .status(),
            "POST" => ureq::post(&url)
                .header("Authorization", &bearer)
                .content_type("application/json")
                .send(&body)
                .unwrap()
                .status(),
            other => panic!("no example uses {other}"),
        });
        assert_eq!(status.await.unwrap(), 200, "{head}");
    }
    platform.shutdown().await;
}
