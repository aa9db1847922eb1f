//! What becomes of a command: its seq, its refusal by the log, or 202.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use schemas::errors::Code;
use schemas::events::{ChatEvent, Role};
use schemas::ids::ChatId;
use schemas::topics::Topic;
use serde_json::json;
use tower::ServiceExt;

use super::{Door, HELLO, MESSAGES};
use crate::testing::{client, device, group, user};

#[tokio::test]
async fn message_is_sent_and_its_seq_is_answered() {
    let door = Door::new().await;
    let reply = door.ask("POST", MESSAGES, HELLO).await;
    assert_eq!(reply.status, StatusCode::OK);
    let chat = ChatId::new("d.ada.bob").unwrap();
    let watched = (user("ada"), chat, device("phone"), client("h-1"));
    assert_eq!(*door.oracle.watched.lock(), [watched]);
    let event = door.event().await;
    assert_eq!(
        reply.body,
        json!({"chat": "d.ada.bob", "client_id": "h-1", "seq": 4,
            "id": event.origin().message_id().to_string()})
    );
    assert!(matches!(event, ChatEvent::MessageSent(sent) if sent.body.bytes == b"hello"));
}

#[tokio::test]
async fn verdict_that_does_not_come_in_time_is_answered_with_202() {
    let door = Door::new().await;
    *door.oracle.says.lock() = None;
    let reply = door.ask("POST", MESSAGES, HELLO).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    let id = door.event().await.origin().message_id().to_string();
    assert_eq!(
        reply.body,
        json!({"chat": "d.ada.bob", "client_id": "h-1", "id": id})
    );
}

#[tokio::test]
async fn refusal_of_the_log_is_answered_with_its_status() {
    let refusals = [
        (Code::NotMember, 403),
        (Code::ChatNotFound, 404),
        (Code::AlreadyMember, 409),
        (Code::GroupFull, 409),
    ];
    for (code, status) in refusals {
        let door = Door::new().await;
        *door.oracle.says.lock() = Some(Err(code));
        let reply = door.ask("POST", MESSAGES, HELLO).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (status, code.as_str())
        );
        assert_eq!(door.house.records(Topic::Chats).await.len(), 1);
    }
}

#[tokio::test]
async fn resend_is_answered_with_the_same_id_and_seq() {
    let door = Door::new().await;
    let first = door.ask("POST", MESSAGES, HELLO).await;
    door.house.clock.pass(Duration::from_secs(9));
    let second = door.ask("POST", MESSAGES, HELLO).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.body, second.body);
}

#[tokio::test]
async fn append_that_fails_is_answered_with_an_error() {
    let door = Door::new().await;
    for (fault, code, status) in [(1, Code::LogFull, 507), (2, Code::Unavailable, 503)] {
        door.house.on_append.0.store(fault, Ordering::SeqCst);
        let reply = door.ask("POST", MESSAGES, HELLO).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code()),
            (status, code.as_str())
        );
    }
    assert_eq!(door.house.records(Topic::Chats).await, []);
    // Watched for all the same: the watch comes first, or a verdict might be missed.
    assert_eq!(door.oracle.watched.lock().len(), 2);
}

#[tokio::test]
async fn group_is_created() {
    let door = Door::new().await;
    let body = r#"{"client_id":"h-2","title":"Made over HTTP","members":["bob"]}"#;
    let reply = door.ask("POST", "/v1/chats", body).await;
    assert_eq!(reply.status, StatusCode::OK);
    let chat = ChatId::group(&user("ada"), &device("phone"), &client("h-2"));
    assert_eq!(reply.body["chat"], chat.as_str());
    assert_eq!(
        door.oracle
            .watched
            .lock()
            .first()
            .map(|watched| watched.1.clone()),
        Some(chat)
    );
    assert!(matches!(door.event().await, ChatEvent::ChatCreated(c) if c.title == "Made over HTTP"));
}

#[tokio::test]
async fn member_is_added_promoted_and_removed() {
    let chat = group();
    let path = format!("/v1/chats/{chat}/members");
    let door = Door::new().await;
    let reply = door
        .ask(
            "POST",
            &path,
            r#"{"client_id":"c","user":"eve","role":"admin"}"#,
        )
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    let event = door.event().await;
    assert!(
        matches!(event, ChatEvent::MemberAdded(e) if e.user == user("eve") && e.role == Role::Admin)
    );
    let door = Door::new().await;
    let eve = format!("{path}/eve");
    let reply = door
        .ask("PATCH", &eve, r#"{"client_id":"c","role":"owner"}"#)
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    let event = door.event().await;
    assert!(matches!(event, ChatEvent::MemberRoleChanged(e) if e.role == Role::Owner));
    let door = Door::new().await;
    let reply = door.ask("DELETE", &format!("{eve}?client_id=c"), "").await;
    assert_eq!(reply.status, StatusCode::OK);
    let event = door.event().await;
    assert!(matches!(event, ChatEvent::MemberRemoved(e) if e.user == user("eve")));
}

#[tokio::test]
async fn who_removes_themselves_leaves() {
    let door = Door::new().await;
    let path = format!("/v1/chats/{}/members/ada?client_id=c", group());
    assert_eq!(door.ask("DELETE", &path, "").await.status, StatusCode::OK);
    assert!(matches!(door.event().await, ChatEvent::MemberLeft(_)));
}

#[tokio::test]
async fn scheme_of_the_token_is_read_in_any_case() {
    let door = Door::new().await;
    let request = Request::builder()
        .method("POST")
        .uri(MESSAGES)
        .header(
            header::AUTHORIZATION,
            format!("bearer  {}", door.house.token("ada")),
        )
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8");
    let reply = door.send(request.body(Body::from(HELLO)).unwrap()).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn router_leaves_reads_and_fallbacks_to_others() {
    let door = Door::new().await;
    let reads = Router::new().route("/v1/chats", axum::routing::get(async || "the chat list"));
    let whole = door
        .router
        .clone()
        .merge(reads)
        .fallback(async || StatusCode::IM_A_TEAPOT);
    let ask = |method: &str, path: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::empty())
            .unwrap();
        whole.clone().oneshot(request)
    };
    assert_eq!(
        ask("GET", "/v1/chats").await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(
        ask("GET", "/v1/nowhere").await.unwrap().status(),
        StatusCode::IM_A_TEAPOT
    );
    assert_eq!(
        ask("POST", "/v1/chats").await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
}
