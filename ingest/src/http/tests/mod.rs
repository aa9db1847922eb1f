//! The routes, through the router, over a log in memory and an oracle in the place of delivery.

mod outcomes;
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use parking_lot::Mutex;
use schemas::avro::LogEvent;
use schemas::errors::Code;
use schemas::events::ChatEvent;
use schemas::frames::Verdict;
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::Seq;
use schemas::topics::Topic;
use serde_json::Value;
use tower::ServiceExt;

use super::{Verdicts, Watch, router};
use crate::Config;
use crate::testing::House;

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
