//! One port for everything: HTTP for commands and reads, the WebSocket handshake, and what
//! operators ask. Connections are hyper's; after a handshake a socket leaves HTTP for its session.

mod addresses;
mod connect;
mod operators;
mod server;

pub(crate) use connect::connect_route;
pub(crate) use operators::operator_routes;
pub(crate) use server::{Limits, Server, bind};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use schemas::errors::{Code, Refusal};

/// A refusal as HTTP: the code's status and `{"error": …}`.
pub(crate) fn refuse(refusal: Refusal) -> Response {
    #[derive(serde::Serialize)]
    struct Envelope {
        error: Refusal,
    }
    let status = StatusCode::from_u16(refusal.code.status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(Envelope { error: refusal })).into_response()
}

/// What is no route, or not this route's method, is refused in the same shape as all else.
pub(crate) fn with_fallbacks(routes: Router) -> Router {
    routes
        .fallback(async || refuse(Refusal::plain(Code::RouteNotFound)))
        .method_not_allowed_fallback(async || refuse(Refusal::plain(Code::MethodNotAllowed)))
}
