//! `/healthz`, `/readyz` and `/metrics`: no token, nothing about users.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use ingest::Ingest;
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;

use super::refuse;
use crate::health::Health;

/// The routes of operators.
pub(crate) fn operator_routes(health: Arc<Health>, metrics: PrometheusHandle) -> Router {
    let ready = {
        let health = Arc::clone(&health);
        move || {
            let report = health.report();
            async move { answer(report.ready, &report) }
        }
    };
    let alive = {
        let health = Arc::clone(&health);
        move || {
            let report = health.report();
            async move { answer(report.is_alive(), &report) }
        }
    };
    let exposition = move || {
        let text = exposition(&health, &metrics);
        async move { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text) }
    };
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposition))
}

/// The same routes where clients can reach them: free on loopback, elsewhere each request counts as
/// one of its address.
pub(super) fn limited(routes: Router, ingest: Ingest) -> Router {
    routes.route_layer(axum::middleware::from_fn_with_state(ingest, admit))
}

async fn admit(
    State(ingest): State<Ingest>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    if !peer.ip().to_canonical().is_loopback()
        && let Err(refusal) = ingest.admit(peer.ip())
    {
        return refuse(&refusal);
    }
    next.run(request).await
}

/// All metrics now. Whether the node is ready is asked here and not where it watches itself: a watch
/// that hangs would leave it as it was.
fn exposition(health: &Health, metrics: &PrometheusHandle) -> String {
    /// Two nodes of one process, as tests have, share the gauges.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    metrics.run_upkeep();
    let _alone = ONE_AT_A_TIME.lock();
    crate::metrics::ready(&health.report());
    metrics.render()
}

fn answer(good: bool, report: &crate::health::Report) -> Response {
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use infra_ports::memory::MemoryLog;
    use infra_runtime_tokio::TokioRuntime;
    use ingest::{Config, Keys, Rate};

    use super::*;

    #[tokio::test]
    async fn strangers_share_the_rate_of_their_address_and_this_machine_is_free() {
        let config = Config {
            addresses: Rate::new(1, 1),
            ..Config::default()
        };
        let runtime = Arc::new(TokioRuntime::new(tokio::runtime::Handle::current()));
        let log = Arc::new(MemoryLog::new(1));
        let ingest = Ingest::new(&config, Keys::default(), log, runtime);
        let mut routes = limited(Router::new().route("/x", get(async || "x")), ingest);
        let mut asks = Vec::new();
        for from in [
            "192.0.2.1:1",
            "192.0.2.1:2",
            "192.0.2.2:1",
            "127.0.0.1:1",
            "[::1]:1",
        ] {
            for _ in 0..2 {
                let mut request = Request::get("/x").body(Body::empty()).unwrap();
                let peer: SocketAddr = from.parse().unwrap();
                request.extensions_mut().insert(ConnectInfo(peer));
                let answer = tower::Service::call(&mut routes, request).await.unwrap();
                asks.push(answer.status().as_u16());
            }
        }
        assert_eq!(asks, [200, 429, 429, 429, 200, 429, 200, 200, 200, 200]);
    }
}
