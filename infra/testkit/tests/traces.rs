//! The spans of one message, as a collector gets them: a real node sends them over OTLP to a small
//! collector in this test. And lines on a standard error that nobody reads.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use infra_testkit::process::NodeProcess;
use infra_testkit::raw::RawClient;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// Takes requests, one a connection or several, and hands on their bodies.
fn collector() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let (bodies, received) = sync_channel(1_000);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            while let Some(body) = request(&mut stream) {
                if bodies.send(body).is_err() {
                    return;
                }
                let answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
                stream.get_mut().write_all(answer).unwrap();
            }
        }
    });
    (url, received)
}

/// The body of the next request of a connection; none when it is over.
fn request(stream: &mut BufReader<std::net::TcpStream>) -> Option<Value> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let lower = line.trim().to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if lower.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).unwrap())
}

/// A span's attributes as texts.
fn attributes(span: &Value) -> BTreeMap<String, String> {
    let pairs = span["attributes"].as_array().unwrap().iter();
    let pair = |one: &Value| {
        let value = one["value"].as_object().unwrap().values().next().unwrap();
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        (one["key"].as_str().unwrap().to_owned(), text)
    };
    pairs.map(pair).collect()
}

/// The spans of the next request, without anything that people wrote.
fn more(bodies: &Receiver<Value>, begun: Instant) -> Vec<Value> {
    let left = PATIENCE
        .checked_sub(begun.elapsed())
        .expect("spans in time");
    let body = bodies.recv_timeout(left).expect("spans in time");
    assert!(!body.to_string().contains("a-secret"), "a body in {body}");
    let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array();
    spans.unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_spans_of_a_send_and_no_body() {
    let folder = tempfile::tempdir().unwrap();
    let (url, bodies) = collector();
    let program = Path::new(env!("CARGO_BIN_EXE_cursus-under-test"));
    let mut process = NodeProcess::new(program, &folder.path().join("data"), &[]).unwrap();
    process
        .environment
        .push(("CURSUS__TELEMETRY__OTLP".into(), url));
    let token = process.token_of("ada").unwrap();
    let running = process.start().unwrap();
    let mut client = RawClient::live(&running.url(), &token).await.unwrap();
    let body = json!({ "kind": "text", "text": "a-secret" });
    let data = json!({ "chat": "d.ada.bob", "client_id": "m-1", "body": body });
    let send = json!({ "type": "send", "ref": "1", "data": data });
    client.send(send.to_string()).await.unwrap();
    assert_eq!(client.answer("1").await.unwrap()["type"], "sent");

    let wanted = ["accept", "commit", "fold", "remember", "hand_out", "push"];
    let (mut spans, begun) = (Vec::<Value>::new(), Instant::now());
    let named = |spans: &[Value], name: &str| {
        let found = spans.iter().find(|span| {
            span["name"] == name && (name != "fold" || attributes(span)["projection"] == "chats")
        });
        found.cloned()
    };
    while wanted.iter().any(|name| named(&spans, name).is_none()) {
        spans.extend(more(&bodies, begun));
    }
    let place = |name: &str| {
        let span = attributes(&named(&spans, name).unwrap());
        let of = |key: &str| span.get(key).cloned();
        (of("topic"), of("partition"), of("offset"))
    };
    let accepted = place("accept");
    assert_eq!(accepted.0.as_deref(), Some("chats"));
    assert_eq!(accepted.2.as_deref(), Some("0"));
    assert_eq!(
        accepted,
        place("fold"),
        "the message is followed by its place"
    );
    let push = named(&spans, "push").unwrap();
    assert_eq!(attributes(&push)["seq"], "1");
    let hand_out = named(&spans, "hand_out").unwrap();
    assert_eq!(push["parentSpanId"], hand_out["spanId"]);
    assert_eq!(push["traceId"], hand_out["traceId"]);

    // Over HTTP a command is the same unit of work.
    let bob = process.token_of("bob").unwrap();
    let url = format!("http://{}/v1/chats/d.ada.bob/messages", process.address);
    let body = json!({ "kind": "text", "text": "a-secret" });
    let body = json!({ "client_id": "h-1", "body": body });
    let post = ureq::post(&url).header("Authorization", &format!("Bearer {bob}"));
    assert_eq!(post.send_json(body).unwrap().status(), 200);
    let accepted = |spans: &[Value]| {
        let all = spans.iter().map(|span| (&span["name"], attributes(span)));
        let mut bobs = all.filter(|(name, of)| {
            *name == "accept" && of.get("user").is_some_and(|user| user == "bob")
        });
        bobs.next().map(|(_, of)| of)
    };
    let of = loop {
        if let Some(of) = accepted(&spans) {
            break of;
        }
        spans.extend(more(&bodies, begun));
    };
    assert_eq!((&*of["command"], &*of["topic"]), ("send", "chats"));
    assert_eq!(of["offset"], "1", "{of:?}");
    running.kill().unwrap();
}

/// How often a metric without labels was counted, as the node's page says.
fn counted(page: &str, metric: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(metric));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_nobody_reads_hold_up_no_message_and_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_cursus-under-test"));
    let data = folder.path().join("data");
    let mut process = NodeProcess::new(program, &data, &[]).unwrap();
    let everything = ("CURSUS__TRACE".into(), "trace".into());
    process.environment.push(everything);
    // What it says goes where its log would be: into a pipe that is open for somebody who does not read.
    let pipe = data.with_extension("log");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
    let unread = rustix::fs::open(&pipe, flags, rustix::fs::Mode::empty()).unwrap();
    let token = process.token_of("ada").unwrap();
    let running = process.start().unwrap();
    let mut client = RawClient::live(&running.url(), &token).await.unwrap();
    let begun = Instant::now();
    for number in 0.. {
        let body = json!({ "kind": "text", "text": "something" });
        let data = json!({ "chat": "d.ada.bob", "client_id": format!("m{number}"), "body": body });
        let send = json!({ "type": "send", "ref": "1", "data": data });
        client.send(send.to_string()).await.unwrap();
        assert_eq!(client.answer("1").await.unwrap()["type"], "sent");
        let page = ureq::get(running.http("/metrics")).call().unwrap();
        let page = page.into_body().read_to_string().unwrap();
        if counted(&page, "cursus_lines_dropped_total ") > 0.0 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing is dropped");
    }
    let (_, in_order) = running.terminate().unwrap();
    assert!(in_order, "it ends, though its last lines are not taken");
    drop(unread);
}
