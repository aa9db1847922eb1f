//! `/healthz`, `/readyz` and `/metrics`: no token, nothing about users.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;

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
    let alive = move || {
        let report = health.report();
        async move { answer(report.is_alive(), &report) }
    };
    let exposition = move || {
        metrics.run_upkeep();
        let text = metrics.render();
        async move { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text) }
    };
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(exposition))
}

fn answer(good: bool, report: &crate::health::Report) -> Response {
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report)).into_response()
}
