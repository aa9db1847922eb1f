//! The routes, through the router: every outcome of a command, every refusal of a request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use parking_lot::Mutex;
use schemas::avro::LogEvent;
use schemas::errors::Code;
use schemas::events::{ChatEvent, Role};
use schemas::frames::{MAX_FRAME_BYTES, Verdict};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::Seq;
use schemas::topics::Topic;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Verdicts, Watch, router};
use crate::testing::{House, client, device, group, user};
use crate::{Config, Rate};

/// What the log will say, and whom was watched for.
#[derive(Default)]
struct Oracle {
    says: Mutex<Option<Result<Seq, Code>>>,
    watched: Mutex<Vec<(UserId, ChatId, DeviceId, ClientId)>>,
}

impl Verdicts for Arc<Oracle> {
    fn watch(
        &self,
        user: &UserId,
        chat: &ChatId,
        device: &DeviceId,
        client_id: &ClientId,
    ) -> Box<dyn Watch> {
        let asked = (
            user.clone(),
            chat.clone(),
            device.clone(),
            client_id.clone(),
        );
        self.watched.lock().push(asked.clone());
        let (_, chat, device, client_id) = asked;
        Box::new(Answer(self.says.lock().map(|said| Verdict {
            chat,
            device,
            client_id,
            seq: said.ok(),
            code: said.err(),
        })))
    }
}

struct Answer(Option<Verdict>);

#[async_trait]
impl Watch for Answer {
    async fn settled(self: Box<Self>, within: Duration) -> Option<Verdict> {
        assert_eq!(within, Duration::from_secs(5));
        self.0
    }
}

struct Door {
    house: House,
    oracle: Arc<Oracle>,
    router: Router,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Reply {
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or("none")
    }

    fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or("none")
    }
}

impl Door {
    async fn new() -> Self {
        Self::with(&Config::default()).await
    }

    async fn with(config: &Config) -> Self {
        let (house, oracle) = (House::new(config).await, Arc::new(Oracle::default()));
        *oracle.says.lock() = Some(Ok(Seq(4)));
        let router = router(house.ingest.clone(), Arc::new(Arc::clone(&oracle)));
        Self {
            house,
            oracle,
            router,
        }
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    /// Ada asks.
    async fn ask(&self, method: &str, path: &str, body: &str) -> Reply {
        self.send(
            self.request(method, path)
                .body(Body::from(body.to_owned()))
                .unwrap(),
        )
        .await
    }

    fn request(&self, method: &str, path: &str) -> axum::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.house.token("ada")),
            )
            .header(header::CONTENT_TYPE, "application/json")
    }

    async fn event(&self) -> ChatEvent {
        let (_, record) = self.house.only(Topic::Chats).await;
        ChatEvent::decode(&record.value).unwrap()
    }

    async fn is_untouched(&self) -> bool {
        self.house.records(Topic::Chats).await.is_empty() && self.oracle.watched.lock().is_empty()
    }
}

const MESSAGES: &str = "/v1/chats/d.ada.bob/messages";
const HELLO: &str = r#"{"client_id":"h-1","body":{"kind":"text","text":"hello"}}"#;

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
