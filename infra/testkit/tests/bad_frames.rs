//! Malformed, oversized, unauthorised and out-of-order input over WebSocket, each with the code it
//! must be answered with, against a real node whose other clients must notice nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "a test may fail loudly"
)]

use infra_testkit::platform::Platform;
use infra_testkit::raw::{RawClient, RawFrame};
use schemas::frames::MAX_FRAME_BYTES;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const GROUP: &str = "g.00112233445566778899aabbccddeeff";

fn command(kind: &str, data: Value) -> String {
    json!({ "type": kind, "ref": "r", "data": data }).to_string()
}

fn text(text: &str) -> Value {
    json!({ "kind": "text", "text": text })
}

fn send(chat: &str, client_id: &str, body: Value) -> String {
    command(
        "send",
        json!({ "chat": chat, "client_id": client_id, "body": body }),
    )
}

/// What is answered with an `error` on a live session, which goes on.
fn refused_frames() -> Vec<(&'static str, String)> {
    let many: Vec<String> = (0..1_024).map(|n| format!("user-{n}")).collect();
    let group = |data: Value| command("create_group", data);
    let chat = "d.ada.bob";
    vec![
        ("malformed_frame", String::new()),
        ("malformed_frame", "hello".into()),
        ("malformed_frame", "{".into()),
        ("malformed_frame", "[]".into()),
        ("malformed_frame", "null".into()),
        ("malformed_frame", "{}".into()),
        ("malformed_frame", r#"{"type":7}"#.into()),
        ("malformed_frame", r#"{"type":"ping","ref":7}"#.into()),
        (
            "malformed_frame",
            r#"{"type":"ping"}{"type":"ping"}"#.into(),
        ),
        ("malformed_frame", "[".repeat(10_000)),
        (
            "too_long",
            format!(r#"{{"type":"ping","ref":"{}"}}"#, "r".repeat(65)),
        ),
        ("unknown_type", command("fly", json!({}))),
        ("unknown_type", command("", json!({}))),
        ("unknown_type", command("entry", json!({}))),
        ("hello_twice", command("hello", json!({}))),
        ("invalid_field", command("send", json!({}))),
        ("invalid_field", command("send", json!("text"))),
        (
            "invalid_field",
            command("send", json!({ "chat": chat, "body": text("x") })),
        ),
        ("invalid_field", send("bob", "c1", text("x"))),
        ("invalid_field", send("d.bob.ada", "c1", text("x"))),
        ("invalid_field", send("d.ada.ada", "c1", text("x"))),
        ("invalid_field", send("g.short", "c1", text("x"))),
        ("invalid_field", send("d.Ada.bob", "c1", text("x"))),
        ("invalid_field", send(chat, "", text("x"))),
        ("invalid_field", send(chat, &"c".repeat(65), text("x"))),
        ("invalid_field", send(chat, "with space", text("x"))),
        ("invalid_field", send(chat, "ünï", text("x"))),
        ("invalid_field", send(chat, "c1", json!("text"))),
        ("invalid_field", send(chat, "c1", json!({ "kind": "text" }))),
        (
            "invalid_field",
            send(chat, "c1", json!({ "kind": "smell", "text": "x" })),
        ),
        (
            "invalid_field",
            send(
                chat,
                "c1",
                json!({ "kind": "text", "text": "x", "data": "AA==" }),
            ),
        ),
        (
            "invalid_field",
            send(chat, "c1", json!({ "kind": "image", "data": "AA==" })),
        ),
        (
            "invalid_field",
            send(
                chat,
                "c1",
                json!({ "kind": "image", "content_type": "image/png", "data": "%%" }),
            ),
        ),
        (
            "invalid_field",
            send(
                chat,
                "c1",
                json!({ "kind": "text", "text": "x", "content_type": "no type" }),
            ),
        ),
        ("invalid_field", send(chat, "c1", text(""))),
        (
            "body_too_large",
            send(chat, "c1", text(&"x".repeat(64 * 1024 + 1))),
        ),
        (
            "too_long",
            send(
                chat,
                "c1",
                json!({ "kind": "text", "text": "x", "fields": { "f": "x".repeat(9_000) } }),
            ),
        ),
        (
            "invalid_field",
            command(
                "send",
                json!({ "chat": chat, "client_id": "c1", "body": text("x"), "reply_to": -1 }),
            ),
        ),
        (
            "invalid_field",
            command(
                "edit",
                json!({ "chat": chat, "client_id": "c1", "seq": "1", "body": text("x") }),
            ),
        ),
        (
            "invalid_field",
            command(
                "edit",
                json!({ "chat": chat, "client_id": "c1", "seq": 0, "body": text("x") }),
            ),
        ),
        (
            "invalid_field",
            command(
                "delete",
                json!({ "chat": chat, "client_id": "c1", "seq": 1.5 }),
            ),
        ),
        (
            "too_long",
            command(
                "react",
                json!({ "chat": chat, "client_id": "c1", "seq": 1, "reaction": "x".repeat(33) }),
            ),
        ),
        (
            "invalid_field",
            command(
                "react",
                json!({ "chat": chat, "client_id": "c1", "seq": 1, "reaction": "" }),
            ),
        ),
        (
            "invalid_field",
            group(json!({ "client_id": "c1", "title": "" })),
        ),
        ("invalid_field", group(json!({ "client_id": "c1" }))),
        (
            "too_long",
            group(json!({ "client_id": "c1", "title": "x".repeat(129) })),
        ),
        (
            "too_long",
            group(json!({ "client_id": "c1", "title": "x", "description": "x".repeat(1_025) })),
        ),
        (
            "invalid_field",
            group(json!({ "client_id": "c1", "title": "x", "members": ["Bob"] })),
        ),
        (
            "too_many_members",
            group(
                json!({ "client_id": "c1", "title": "x", "members": many, "max_members": 1_024 }),
            ),
        ),
        (
            "too_many_members",
            group(json!({ "client_id": "c1", "title": "x", "max_members": 1_025 })),
        ),
        (
            "invalid_field",
            command("change_chat", json!({ "chat": GROUP, "client_id": "c1" })),
        ),
        (
            "invalid_field",
            command(
                "add_member",
                json!({ "chat": GROUP, "client_id": "c1", "user": "" }),
            ),
        ),
        (
            "invalid_field",
            command(
                "add_member",
                json!({ "chat": GROUP, "client_id": "c1", "user": "eve", "role": "king" }),
            ),
        ),
        (
            "invalid_field",
            command("remove_member", json!({ "chat": GROUP, "client_id": "c1" })),
        ),
        (
            "not_a_group",
            command(
                "change_chat",
                json!({ "chat": chat, "client_id": "v5", "title": "x" }),
            ),
        ),
        (
            "not_a_group",
            command(
                "add_member",
                json!({ "chat": chat, "client_id": "v6", "user": "eve" }),
            ),
        ),
        (
            "not_a_group",
            command("leave", json!({ "chat": chat, "client_id": "v7" })),
        ),
        (
            "mark_ahead",
            command("delivered", json!({ "chat": chat, "seq": 1_000_000 })),
        ),
        (
            "mark_ahead",
            command(
                "read",
                json!({ "chat": chat, "seq": 9_007_199_254_740_991_u64 }),
            ),
        ),
        (
            "invalid_field",
            command("read", json!({ "chat": chat, "seq": -1 })),
        ),
        (
            "invalid_field",
            command("mute", json!({ "chat": chat, "until": "tomorrow" })),
        ),
        (
            "invalid_field",
            command("pin", json!({ "chat": chat, "pinned": 1 })),
        ),
        ("invalid_field", command("chats", json!({ "limit": 101 }))),
        (
            "invalid_field",
            command("chats", json!({ "cursor": "not a cursor" })),
        ),
        ("not_member", send("d.bob.eve", "c1", text("x"))),
        (
            "invalid_field",
            command(
                "add_member",
                json!({ "chat": GROUP, "client_id": "c1", "user": "eve", "role": "owner" }),
            ),
        ),
        (
            "invalid_field",
            group(json!({ "client_id": "c1", "title": "bell \u{7}" })),
        ),
        (
            "not_member",
            command("history", json!({ "chat": "d.bob.eve" })),
        ),
        (
            "chat_not_found",
            command("timeline", json!({ "chat": GROUP, "from": 1 })),
        ),
        (
            "chat_not_found",
            command("members", json!({ "chat": GROUP })),
        ),
        (
            "invalid_field",
            command("history", json!({ "chat": chat, "limit": 0 })),
        ),
        (
            "message_not_found",
            command("status", json!({ "chat": chat, "seq": 999 })),
        ),
    ]
}

/// What the log refuses: answered with `sent`, then with a `verdict` of this code.
fn refused_by_the_log() -> Vec<(&'static str, String)> {
    let chat = "d.ada.bob";
    vec![
        ("chat_not_found", send(GROUP, "v1", text("x"))),
        (
            "message_not_found",
            command(
                "edit",
                json!({ "chat": chat, "client_id": "v2", "seq": 999, "body": text("x") }),
            ),
        ),
        (
            "message_not_found",
            command(
                "delete",
                json!({ "chat": chat, "client_id": "v3", "seq": 999 }),
            ),
        ),
        (
            "message_not_found",
            command(
                "react",
                json!({ "chat": chat, "client_id": "v4", "seq": 999, "reaction": "x" }),
            ),
        ),
        (
            "not_allowed",
            command(
                "edit",
                json!({ "chat": chat, "client_id": "v8", "seq": 1, "body": text("x") }),
            ),
        ),
        (
            "not_allowed",
            command(
                "delete",
                json!({ "chat": chat, "client_id": "v9", "seq": 1 }),
            ),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_frames_are_answered_with_their_code_and_nobody_else_notices() {
    let platform = Platform::start().await.unwrap();
    let ada = platform.token("ada", "phone").unwrap();
    let bob = platform.token("bob", "phone").unwrap();
    let mut other = RawClient::live(&platform.url(), &bob).await.unwrap();
    let mut client = RawClient::live(&platform.url(), &ada).await.unwrap();
    other
        .send(send("d.ada.bob", "b1", text("first")))
        .await
        .unwrap();
    client.until("entry").await.unwrap();
    for (code, frame) in refused_frames() {
        client.send(frame.clone()).await.unwrap();
        let error = client.until("error").await.unwrap();
        assert_eq!(
            error["code"],
            code,
            "{} was answered with {error}",
            &frame[..frame.len().min(200)]
        );
    }
    for (code, frame) in refused_by_the_log() {
        client.send(frame.clone()).await.unwrap();
        let verdict = client.until("verdict").await.unwrap();
        assert_eq!(verdict["code"], code, "{frame} was answered with {verdict}");
    }
    client
        .send(send("d.ada.bob", "a1", text("still here")))
        .await
        .unwrap();
    let entry = client.until("entry").await.unwrap();
    assert_eq!(
        (&entry["seq"], &entry["client_id"]),
        (&json!(2), &json!("a1"))
    );
    other.until("entry").await.unwrap();
    let entry = other.until("entry").await.unwrap();
    assert_eq!(entry["client_id"], "a1", "bob saw nothing of the rest");
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_without_a_valid_token_are_closed() {
    let platform = Platform::start().await.unwrap();
    let url = platform.url();
    let good = platform.token("ada", "phone").unwrap();
    let mut parts: Vec<&str> = good.split('.').collect();
    parts[2] = "AAAA";
    let none = r#"{"alg":"none","typ":"JWT"}"#;
    let none = base64_url(none.as_bytes());
    let without = format!("{none}.{}.", good.split('.').nth(1).unwrap());
    for bad in ["x", "a.b.c", &parts.join("."), &without, &"x".repeat(5_000)] {
        let mut client = RawClient::connect(&url, None).await.unwrap();
        client
            .send(json!({ "type": "hello", "data": { "token": bad } }).to_string())
            .await
            .unwrap();
        assert_eq!(client.until("error").await.unwrap()["code"], "unauthorized");
        assert_eq!(client.until_closed().await.unwrap(), Some(4001));
    }
    let mut client = RawClient::connect(&url, None).await.unwrap();
    client
        .send(send("d.ada.bob", "c1", text("x")))
        .await
        .unwrap();
    assert_eq!(
        client.until("error").await.unwrap()["code"],
        "hello_required"
    );
    client
        .send(json!({ "type": "hello", "data": { "token": good } }).to_string())
        .await
        .unwrap();
    assert_eq!(client.until("welcome").await.unwrap()["user"], "ada");
    platform.shutdown().await;
}

fn base64_url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_protocol_closes_its_own_socket_only() {
    let platform = Platform::start().await.unwrap();
    let token = platform.token("ada", "phone").unwrap();
    let mut other = RawClient::live(&platform.url(), &token).await.unwrap();
    let too_large = Message::text("x".repeat(64 * MAX_FRAME_BYTES / 2));
    for (message, code) in [(too_large, 1009), (Message::binary(vec![1, 2, 3]), 1002)] {
        let mut client = RawClient::live(&platform.url(), &token).await.unwrap();
        client.send_message(message).await.unwrap();
        assert_eq!(client.until_closed().await.unwrap(), Some(code));
    }
    other.send(r#"{"type":"ping","ref":"p"}"#).await.unwrap();
    assert!(matches!(other.answer("p").await, Ok(frame) if frame["type"] == "pong"));
    let mut client = RawClient::live(&platform.url(), &token).await.unwrap();
    client.send_message(Message::Close(None)).await.unwrap();
    assert!(matches!(client.next().await.unwrap(), RawFrame::Closed(_)));
    platform.shutdown().await;
}
