//! `/healthz`, `/readyz` and `/metrics`: no token, nothing about users.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;

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
