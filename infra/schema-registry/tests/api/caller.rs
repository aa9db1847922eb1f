//! A client without a network: calls a registry's routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use infra_ports::journal::Journal;
use infra_ports::memory::MemoryJournal;
use infra_ports::{BoxFuture, Runtime};
use infra_schema_registry::{Registry, Writers, router};
use schemas::position::Timestamp;
use serde_json::{Value, json};
use tower::Service as _;

/// Chance, and nothing else: no time passes, and nothing runs beside.
pub(crate) struct Dice(AtomicU64);

impl Dice {
    pub(crate) fn new(first: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(first)))
    }
}

impl Runtime for Dice {
    fn spawn(&self, _: &'static str, _: BoxFuture<'static, ()>) {}
    fn spawn_dedicated(&self, _: &'static str, _: BoxFuture<'static, ()>) {}
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
    fn random(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// A client of a registry.
pub(crate) struct Caller {
    routes: Router,
    from: SocketAddr,
    authorization: Option<String>,
    /// The site of the page that a browser shows, if it is one that asks.
    pub(crate) origin: Option<&'static str>,
}

impl Caller {
    /// Of a registry with a journal of its own.
    pub(crate) async fn new() -> Self {
        Self::on(Arc::new(MemoryJournal::new()), 0, Writers::this_machine()).await
    }

    pub(crate) async fn on(journal: Arc<dyn Journal>, dice: u64, writers: Writers) -> Self {
        let registry = Registry::open(journal, Dice::new(dice)).await.unwrap();
        Self {
            routes: router(Arc::new(registry), writers),
            from: SocketAddr::from(([127, 0, 0, 1], 5_000)),
            authorization: None,
            origin: None,
        }
    }

    pub(crate) fn from(&mut self, from: &str, authorization: Option<&str>) {
        self.from = from.parse().unwrap();
        self.authorization = authorization.map(str::to_owned);
    }

    /// Asks with a body as it is; status and answer, which is always of the registry's type.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Body) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(origin) = self.origin {
            request = request.header("origin", origin);
        }
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(ConnectInfo(self.from));
        let answer = self.routes.clone().call(request).await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap();
        assert_eq!(kind, "application/vnd.schemaregistry.v1+json", "{path}");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> (u16, Value) {
        self.ask(Method::DELETE, path, Body::empty()).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(Method::PUT, path, body.to_string().into()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(Method::POST, path, body.to_string().into()).await
    }

    /// Registers a schema; status, and id or code.
    pub(crate) async fn register(&self, subject: &str, schema: &Value) -> (u16, u64) {
        let path = format!("/subjects/{subject}/versions");
        let body = json!({ "schema": schema.to_string() });
        let (status, answer) = self.post(&path, body).await;
        let told = answer["id"].as_u64().or(answer["error_code"].as_u64());
        (status, told.unwrap())
    }
}

/// A record of these fields.
pub(crate) fn record(fields: Value) -> Value {
    json!({ "type": "record", "name": "R", "namespace": "x.y", "fields": fields })
}

/// A record of one field of this type, which has no default.
pub(crate) fn of(kind: Value) -> Value {
    record(json!([{ "name": "f", "type": kind }]))
}
