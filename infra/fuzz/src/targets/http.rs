//! Requests, through the routes of commands and of reads.
//!
//! An input is a line `METHOD target`, a line with the content type, and the body. Every answer has
//! a status that is not our fault, and a refusal says so in the shape that all refusals have.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use delivery::{Delivery, GatewayPorts, LiveGeneration};
use infra_ports::memory::{MemoryLog, MemoryStore};
use infra_ports::{BoxFuture, EventLog, Runtime, TableStore};
use infra_runtime_tokio::TokioRuntime;
use ingest::{Ingest, Keys, Rate};
use schemas::errors::{Code, Refusal};
use schemas::frames::{Command, Receipt, Settled, Verdict};
use schemas::ids::{ChatId, ClientId, DeviceId, Identity, UserId};
use schemas::position::{Generation, Offset, Partition, Timestamp};
use schemas::tables::TABLES;
use schemas::topics::{TOPICS, Topic};
use serde_json::Value;
use tower::ServiceExt;

use super::{Target, linear};

const PARTITIONS: u32 = 2;
const TOKEN: &str = "Bearer ada";
/// The most bytes of an answer that are not the client's own.
const ANSWER_BYTES: usize = 4096;
const SAMPLES: [&str; 12] = [
    "POST /v1/chats\napplication/json\n{\"client_id\":\"g-1\",\"title\":\"Sailing\",\"members\":[\"bob\"]}",
    "POST /v1/chats/d.ada.bob/messages\napplication/json\n{\"client_id\":\"m-1\",\"body\":{\"kind\":\"text\",\"text\":\"hi\"},\"reply_to\":1}",
    "POST /v1/chats/d.ada.bob/messages\napplication/json\n{\"client_id\":\"m-2\",\"body\":{\"kind\":\"image\",\"content_type\":\"image/png\",\"data\":\"AAEC\",\"fields\":{\"caption\":\"sea\"}}}",
    "POST /v1/chats/g.00112233445566778899aabbccddeeff/members\napplication/json\n{\"client_id\":\"a-1\",\"user\":\"eve\",\"role\":\"admin\"}",
    "PATCH /v1/chats/g.00112233445566778899aabbccddeeff/members/eve\napplication/json\n{\"client_id\":\"a-2\",\"role\":\"member\"}",
    "DELETE /v1/chats/g.00112233445566778899aabbccddeeff/members/eve?client_id=a-3\n\n",
    "GET /v1/chats?limit=10&cursor=u1.d.ada.bob\n\n",
    "GET /v1/chats/d.ada.bob/messages?limit=2&before=3\n\n",
    "GET /v1/chats/d.ada.bob/timeline?from=1&limit=100\n\n",
    "GET /v1/chats/d.ada.bob/messages/1/status?who=true\n\n",
    "GET /v1/chats/g.00112233445566778899aabbccddeeff/members\n\n",
    "PUT /v1/nowhere/%2e%2e/%00\ntext/plain\nx",
];

pub(super) struct Http {
    runtime: tokio::runtime::Runtime,
    router: Router,
    log: Arc<MemoryLog>,
    /// Keeps what the routes work on alive.
    _delivery: Delivery,
}

impl Http {
    pub(super) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let log = Arc::new(MemoryLog::new(PARTITIONS));
        let (router, delivery) = runtime.block_on(house(Arc::clone(&log)));
        Self {
            runtime,
            router,
            log,
            _delivery: delivery,
        }
    }
}

/// Both families of routes, over a log and a store in memory.
async fn house(log: Arc<MemoryLog>) -> (Router, Delivery) {
    let tasks = TokioRuntime::new(tokio::runtime::Handle::current());
    let runtime: Arc<dyn Runtime> = Arc::new(tasks);
    let store = Arc::new(MemoryStore::new());
    let topics = TOPICS.map(|spec| spec.topic);
    log.create_topics(&topics).await.expect("a log in memory");
    let tables = store.create_tables(&TABLES, Generation(1)).await;
    tables.expect("a store in memory");
    let ever = Rate::new(u32::MAX, u32::MAX);
    let config = ingest::Config {
        commands: ever,
        addresses: ever,
        ..ingest::Config::default()
    };
    let keys = ingest::development_key("fuzz", &[7; 32]);
    let keys = Keys::from_jwk_set(&keys).expect("a key set of our own");
    let ingest = Ingest::new(&config, keys, Arc::clone(&log) as _, Arc::clone(&runtime));
    let ports = GatewayPorts {
        config: delivery::Config::default(),
        log,
        store,
        runtime,
        commands: Arc::new(Ada),
        applied: Arc::new(Ada),
        live: LiveGeneration::new(Generation(1)),
    };
    let delivery = Delivery::start(ports).await.expect("a log in memory");
    let token = ingest.mint(&ada().user, &ada().device, Duration::from_secs(1 << 30));
    let bearer = format!("Bearer {}", token.expect("a development key"));
    let commands = ingest::router(ingest, Arc::new(Nobody)).layer(axum::middleware::map_request(
        move |mut request: Request<Body>| {
            let bearer = bearer.parse().expect("a header");
            request.headers_mut().insert("authorization", bearer);
            std::future::ready(request)
        },
    ));
    (commands.merge(delivery.gateway.router()), delivery)
}

fn ada() -> Identity {
    Identity {
        user: UserId::new("ada").expect("canonical"),
        device: DeviceId::new("phone").expect("canonical"),
        expires_at: Timestamp(i64::MAX),
    }
}

/// Whoever asks is Ada, and may; the tables are as new as they will ever be.
struct Ada;

#[async_trait]
impl delivery::Commands for Ada {
    fn authenticate(&self, _: &str) -> Result<Identity, Refusal> {
        Ok(ada())
    }

    fn admit(&self, _: IpAddr) -> Result<(), Refusal> {
        Ok(())
    }

    fn may_read(&self, _: &Identity) -> Result<(), Refusal> {
        Ok(())
    }

    fn accept(&self, _: &Identity, _: Command) -> BoxFuture<'static, Result<Receipt, Refusal>> {
        Box::pin(async { Err(Refusal::plain(Code::Unavailable)) })
    }

    async fn mark_all(
        &self,
        marks: Vec<(Identity, delivery::StampedMark)>,
    ) -> Vec<Result<Settled, Refusal>> {
        let refused = |_| Err(Refusal::plain(Code::Unavailable));
        marks.iter().map(refused).collect()
    }
}

#[async_trait]
impl delivery::Applied for Ada {
    fn applied(&self, _: &'static str, _: Partition) -> Offset {
        Offset(u64::MAX)
    }

    async fn wait_applied(&self, _: &'static str, _: Partition, _: Offset, _: Duration) -> bool {
        true
    }
}

/// No verdict ever comes.
struct Nobody;

impl ingest::Verdicts for Nobody {
    fn watch(&self, _: &UserId, _: &ChatId, _: &DeviceId, _: &ClientId) -> Box<dyn ingest::Watch> {
        Box::new(Nobody)
    }
}

#[async_trait]
impl ingest::Watch for Nobody {
    async fn settled(self: Box<Self>, _: Duration) -> Option<Verdict> {
        None
    }
}

impl Target for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        SAMPLES.map(|text| text.as_bytes().to_vec()).to_vec()
    }

    fn bound_bytes(&self, input_bytes: usize) -> u64 {
        linear(input_bytes, 128)
    }

    fn run(&self, input: &[u8]) {
        let Some(request) = request(input) else {
            return;
        };
        let (status, body) = self.runtime.block_on(async {
            let answered = self.router.clone().oneshot(request).await;
            let (head, body) = answered.expect("routes do not fail").into_parts();
            let body = to_bytes(body, usize::MAX).await;
            (head.status, body.expect("a body in memory"))
        });
        for partition in (0..PARTITIONS).map(Partition) {
            // What was taken is not kept: the next case finds the log as this one did.
            let dropped = self
                .log
                .drop_before(Topic::Chats, partition, Offset(u64::MAX));
            dropped.expect("a log in memory");
        }
        assert!(!status.is_server_error(), "{status}");
        assert!(
            body.len() <= ANSWER_BYTES + input.len(),
            "{} bytes",
            body.len()
        );
        let from_routes = !matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
        );
        if status.is_client_error() && (from_routes || !body.is_empty()) {
            let answer: Value = serde_json::from_slice(&body).expect("a refusal is JSON");
            let code = answer.pointer("/error/code").and_then(Value::as_str);
            assert!(code.is_some_and(|code| !code.is_empty()), "{answer}");
        }
    }
}

/// The request that the lines make, as far as a server would have let it through.
fn request(input: &[u8]) -> Option<Request<Body>> {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let first = std::str::from_utf8(parts.next()?).ok()?;
    let (method, target) = first.split_once(' ')?;
    let content_type = parts.next().unwrap_or_default();
    let body = parts.next().unwrap_or_default().to_vec();
    let request = Request::builder().method(method).uri(target);
    let request = request.header("authorization", TOKEN);
    let request = request.header("content-type", content_type);
    request.body(Body::from(body)).ok()
}
