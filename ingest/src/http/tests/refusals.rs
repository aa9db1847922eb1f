//! Every request that never becomes a command in the log, by its code.

use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, header};
use schemas::frames::MAX_FRAME_BYTES;
use schemas::topics::Topic;
use serde_json::json;

use super::{Door, HELLO, MESSAGES};
use crate::testing::group;
use crate::{Config, Rate};

#[tokio::test]
async fn request_without_a_good_token_is_challenged_and_nothing_else_is_looked_at() {
    let door = Door::new().await;
    let expired = door.house.token("ada");
    door.house.clock.pass(Duration::from_secs(3_600));
    let cases = [
        (None, "unauthorized"),
        (Some("Basic YWRhOmFkYQ==".to_owned()), "unauthorized"),
        (Some("Bearer".to_owned()), "unauthorized"),
        (Some("Bearer ".to_owned()), "unauthorized"),
        (Some("Bearer a.b.c".to_owned()), "unauthorized"),
        (
            Some(format!("Bearer {}", "x".repeat(8_000))),
            "unauthorized",
        ),
        (Some(format!("Bearer {expired}")), "token_expired"),
    ];
    for (authorization, code) in cases {
        let mut request = Request::builder()
            .method("POST")
            .uri("/v1/chats/wrong/messages");
        if let Some(value) = &authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let reply = door
            .send(request.body(Body::from("not JSON")).unwrap())
            .await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (401, code),
            "{authorization:?}"
        );
        assert_eq!(
            reply.headers[header::WWW_AUTHENTICATE],
            "Bearer realm=\"cursus\""
        );
    }
    assert!(door.is_untouched().await);
}

#[tokio::test]
async fn bad_bodies_are_refused_by_code_and_name_the_field() {
    let door = Door::new().await;
    let cases = [
        ("", "malformed_frame", ""),
        ("{", "malformed_frame", ""),
        ("nonsense", "malformed_frame", ""),
        (
            r#"{"client_id":"c","body":{"kind":"text","text":"x"}}x"#,
            "malformed_frame",
            "",
        ),
        ("[]", "invalid_field", ""),
        ("{}", "invalid_field", "client_id"),
        (
            r#"{"client_id":7,"body":{"kind":"text","text":"x"}}"#,
            "invalid_field",
            "client_id",
        ),
        (
            r#"{"client_id":"a b","body":{"kind":"text","text":"x"}}"#,
            "invalid_field",
            "client_id",
        ),
        (
            r#"{"client_id":"","body":{"kind":"text","text":"x"}}"#,
            "invalid_field",
            "client_id",
        ),
        (r#"{"client_id":"c"}"#, "invalid_field", "body"),
        (
            r#"{"client_id":"c","body":{"text":"x"}}"#,
            "invalid_field",
            "kind",
        ),
        (
            r#"{"client_id":"c","body":{"kind":"poem","text":"x"}}"#,
            "invalid_field",
            "body.kind",
        ),
        (
            r#"{"client_id":"c","body":{"kind":"text","text":7}}"#,
            "invalid_field",
            "body.text",
        ),
        (
            r#"{"client_id":"c","body":{"kind":"text"}}"#,
            "invalid_field",
            "text",
        ),
        (
            r#"{"client_id":"c","body":{"kind":"text","text":"x"},"reply_to":0}"#,
            "invalid_field",
            "reply_to",
        ),
        (
            r#"{"client_id":"c","body":{"kind":"text","text":"x"},"reply_to":-1}"#,
            "invalid_field",
            "reply_to",
        ),
        (
            r#"{"client_id":"c","client_id":"d","body":{"kind":"text","text":"x"}}"#,
            "invalid_field",
            "client_id",
        ),
    ];
    for (body, code, field) in cases {
        let reply = door.ask("POST", MESSAGES, body).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (400, code), "{body}");
        assert!(
            reply.message().contains(field),
            "{body}: {}",
            reply.message()
        );
        assert!(
            !reply.message().contains("Failed to"),
            "{}",
            reply.message()
        );
    }
    assert!(door.is_untouched().await);
}

#[tokio::test]
async fn refusal_does_not_echo_a_long_text_back() {
    let door = Door::new().await;
    let body = format!(
        r#"{{"client_id":"c","body":{{"kind":"{}"}}}}"#,
        "x".repeat(10_000)
    );
    let reply = door.ask("POST", MESSAGES, &body).await;
    assert_eq!(reply.code(), "invalid_field");
    assert!(reply.message().len() < 300, "{}", reply.message());
}

#[tokio::test]
async fn body_that_is_not_called_json_is_refused() {
    let door = Door::new().await;
    for media in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("json"),
    ] {
        let mut request = door.request("POST", MESSAGES);
        request.headers_mut().unwrap().remove(header::CONTENT_TYPE);
        if let Some(media) = media {
            request = request.header(header::CONTENT_TYPE, media);
        }
        let reply = door.send(request.body(Body::from(HELLO)).unwrap()).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (415, "unsupported_media"),
            "{media:?}"
        );
    }
    assert!(door.is_untouched().await);
}

#[tokio::test]
async fn request_over_256_kib_is_refused_and_a_body_over_64_kib_too() {
    let door = Door::new().await;
    let padded = |size: usize| {
        let text = HELLO.trim_end_matches('}');
        format!(
            r#"{text}}},"more":"{}"}}"#,
            "x".repeat(size - HELLO.len() - 10)
        )
    };
    assert_eq!(padded(MAX_FRAME_BYTES).len(), MAX_FRAME_BYTES);
    assert_eq!(
        door.ask("POST", MESSAGES, &padded(MAX_FRAME_BYTES))
            .await
            .status,
        StatusCode::OK
    );
    let reply = door
        .ask("POST", MESSAGES, &padded(MAX_FRAME_BYTES + 1))
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (413, "frame_too_large")
    );
    let text = "x".repeat(64 * 1024 + 1);
    let body = json!({"client_id": "c", "body": {"kind": "text", "text": text}}).to_string();
    let reply = door.ask("POST", MESSAGES, &body).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (413, "body_too_large")
    );
    assert_eq!(door.house.records(Topic::Chats).await.len(), 1);
}

#[tokio::test]
async fn body_that_breaks_off_is_refused() {
    let door = Door::new().await;
    let lost = std::io::Error::other("connection lost");
    let broken = futures_util::stream::iter([Ok(HELLO), Err(lost)]);
    let request = door
        .request("POST", MESSAGES)
        .body(Body::from_stream(broken));
    let reply = door.send(request.unwrap()).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (400, "malformed_frame")
    );
    assert!(door.is_untouched().await);
}

#[tokio::test]
async fn ids_of_the_path_are_checked() {
    let door = Door::new().await;
    let chat = group();
    let eve = r#"{"client_id":"c","user":"eve","role":"member"}"#;
    let cases = [
        (
            "POST",
            "/v1/chats/d.bob.ada/messages".to_owned(),
            HELLO,
            "chat",
        ),
        (
            "POST",
            "/v1/chats/nothing/messages".to_owned(),
            HELLO,
            "chat",
        ),
        ("POST", "/v1/chats/%ff/messages".to_owned(), HELLO, "path"),
        ("POST", "/v1/chats/g.12/members".to_owned(), eve, "chat"),
        (
            "PATCH",
            format!("/v1/chats/{chat}/members/Eve"),
            eve,
            "user",
        ),
        ("PATCH", "/v1/chats/x/members/eve".to_owned(), eve, "chat"),
        (
            "DELETE",
            format!("/v1/chats/{chat}/members/eve%20?client_id=c"),
            "",
            "user",
        ),
        (
            "DELETE",
            format!("/v1/chats/{chat}/members/eve"),
            "",
            "client_id",
        ),
        (
            "DELETE",
            format!("/v1/chats/{chat}/members/eve?client_id=a%20b"),
            "",
            "client id",
        ),
    ];
    for (method, path, body, field) in cases {
        let reply = door.ask(method, &path, body).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (400, "invalid_field"),
            "{path}"
        );
        assert!(
            reply.message().contains(field),
            "{path}: {}",
            reply.message()
        );
    }
    assert!(door.is_untouched().await);
}

#[tokio::test]
async fn what_a_command_alone_shows_is_refused_before_anything_is_watched() {
    let door = Door::new().await;
    let cases = [
        (
            "POST",
            "/v1/chats/d.bob.eve/messages",
            HELLO,
            403,
            "not_member",
        ),
        (
            "POST",
            "/v1/chats/d.ada.bob/members",
            r#"{"client_id":"c","user":"eve"}"#,
            409,
            "not_a_group",
        ),
        (
            "DELETE",
            "/v1/chats/d.ada.bob/members/ada?client_id=c",
            "",
            409,
            "not_a_group",
        ),
        (
            "POST",
            "/v1/chats",
            r#"{"client_id":"c","title":" "}"#,
            400,
            "invalid_field",
        ),
        (
            "POST",
            "/v1/chats",
            r#"{"client_id":"c","title":"T","max_members":2000}"#,
            400,
            "too_many_members",
        ),
    ];
    for (method, path, body, status, code) in cases {
        let reply = door.ask(method, path, body).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (status, code),
            "{path}"
        );
    }
    assert!(door.is_untouched().await);
}

#[tokio::test]
async fn too_many_commands_are_told_when_to_come_back() {
    let door = Door::with(&Config {
        commands: Rate::new(1, 1),
        ..Config::default()
    })
    .await;
    assert_eq!(
        door.ask("POST", MESSAGES, HELLO).await.status,
        StatusCode::OK
    );
    door.house.clock.pass(Duration::from_millis(1));
    let reply = door.ask("POST", MESSAGES, HELLO).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (429, "rate_limited"));
    assert_eq!(reply.body["error"]["retry_after_ms"], 999);
    assert_eq!(reply.headers[header::RETRY_AFTER], "1");
    door.house.clock.pass(Duration::from_millis(999));
    assert_eq!(
        door.ask("POST", MESSAGES, HELLO).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn address_that_asks_too_often_is_refused_before_its_token_is_read() {
    let door = Door::with(&Config {
        addresses: Rate::new(1, 1),
        ..Config::default()
    })
    .await;
    let from = |address: &str| {
        let peer = ConnectInfo(std::net::SocketAddr::new(address.parse().unwrap(), 1));
        let request = Request::builder()
            .method("POST")
            .uri(MESSAGES)
            .extension(peer);
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(door.send(from("10.0.0.1")).await.code(), "unauthorized");
    assert_eq!(door.send(from("10.0.0.1")).await.code(), "rate_limited");
    assert_eq!(door.send(from("10.0.0.2")).await.code(), "unauthorized");
}
