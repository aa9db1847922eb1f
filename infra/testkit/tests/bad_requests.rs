//! Malformed, oversized and unauthorised requests over HTTP, each with the status and code it must be
//! answered with, against a real node.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "a test may fail loudly"
)]

use infra_testkit::platform::Platform;
use serde_json::{Value, json};

fn text(text: &str) -> Value {
    json!({ "kind": "text", "text": text })
}

/// (method, path, content type, token, body, status, code)
type Request = (
    &'static str,
    &'static str,
    Option<&'static str>,
    bool,
    String,
    u16,
    &'static str,
);

fn refused_requests() -> Vec<Request> {
    let js = Some("application/json");
    let body = |v: Value| v.to_string();
    let message = "/v1/chats/d.ada.bob/messages";
    vec![
        (
            "GET",
            "/v1/nowhere",
            None,
            true,
            String::new(),
            404,
            "route_not_found",
        ),
        (
            "PUT",
            "/v1/chats",
            js,
            true,
            String::new(),
            405,
            "method_not_allowed",
        ),
        (
            "GET",
            "/v1/chats",
            None,
            false,
            String::new(),
            401,
            "unauthorized",
        ),
        (
            "POST",
            "/v1/chats",
            js,
            false,
            body(json!({ "client_id": "c", "title": "x" })),
            401,
            "unauthorized",
        ),
        (
            "POST",
            message,
            js,
            true,
            "{".into(),
            400,
            "malformed_frame",
        ),
        (
            "POST",
            message,
            js,
            true,
            body(json!({})),
            400,
            "invalid_field",
        ),
        (
            "POST",
            message,
            Some("text/plain"),
            true,
            body(json!({})),
            415,
            "unsupported_media",
        ),
        (
            "POST",
            message,
            js,
            true,
            "x".repeat(300 * 1024),
            413,
            "frame_too_large",
        ),
        (
            "POST",
            message,
            js,
            true,
            body(json!({ "client_id": "c", "body": text("") })),
            400,
            "invalid_field",
        ),
        (
            "POST",
            "/v1/chats/nonsense/messages",
            js,
            true,
            body(json!({ "client_id": "c", "body": text("x") })),
            400,
            "invalid_field",
        ),
        (
            "POST",
            "/v1/chats/g.00112233445566778899aabbccddeeff/messages",
            js,
            true,
            body(json!({ "client_id": "c", "body": text("x") })),
            404,
            "chat_not_found",
        ),
        (
            "POST",
            "/v1/chats/d.ada.bob/members",
            js,
            true,
            body(json!({ "client_id": "c9", "user": "eve" })),
            409,
            "not_a_group",
        ),
        (
            "POST",
            "/v1/chats",
            js,
            true,
            body(json!({ "client_id": "c", "title": "x", "max_members": 5_000 })),
            400,
            "too_many_members",
        ),
        (
            "GET",
            "/v1/chats?limit=1000",
            None,
            true,
            String::new(),
            400,
            "invalid_field",
        ),
        (
            "GET",
            "/v1/chats?limit=many",
            None,
            true,
            String::new(),
            400,
            "invalid_field",
        ),
        (
            "GET",
            "/v1/chats/d.bob.eve/messages",
            None,
            true,
            String::new(),
            403,
            "not_member",
        ),
        (
            "GET",
            "/v1/chats/d.ada.bob/messages?before=x",
            None,
            true,
            String::new(),
            400,
            "invalid_field",
        ),
        (
            "GET",
            "/v1/connect",
            None,
            true,
            String::new(),
            400,
            "unsupported_protocol",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_answered_with_their_status_and_code() {
    let platform = Platform::start().await.unwrap();
    let token = platform.token("ada", "phone").unwrap();
    for (method, path, content_type, with_token, body, status, code) in refused_requests() {
        let (url, token) = (platform.http(path), token.clone());
        let ask = move || {
            let mut request = ureq::http::Request::builder().method(method).uri(&url);
            if let Some(content_type) = content_type {
                request = request.header("Content-Type", content_type);
            }
            if with_token {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let agent = ureq::Agent::new_with_config(
                ureq::Agent::config_builder()
                    .http_status_as_error(false)
                    .build(),
            );
            let mut answer = agent.run(request.body(body.clone()).unwrap()).unwrap();
            let status = answer.status().as_u16();
            (status, answer.body_mut().read_json::<Value>().unwrap())
        };
        let answer = tokio::task::spawn_blocking(move || {
            // 202 says that the verdict is not there yet: the same command asks for it again.
            let mut answers = (0..20).map(|_| ask());
            answers.find(|(status, _)| *status != 202)
        });
        let (got, json) = answer.await.unwrap().expect("no verdict");
        assert_eq!(
            (got, json["error"]["code"].as_str()),
            (status, Some(code)),
            "{method} {path}: {json}"
        );
    }
    platform.shutdown().await;
}
