//! One port for everything: HTTP for commands and reads, the WebSocket handshake, and what
//! operators ask. Connections are hyper's; after a handshake a socket leaves HTTP for its session.

mod addresses;
mod connect;
mod doors;
mod operators;
mod server;
mod strangers;

pub(crate) use connect::connect_route;
pub(crate) use doors::{Doors, OpenDoors};
pub(crate) use operators::operator_routes;
pub(crate) use server::{Limits, Server, bind};

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse, Response};
use ingest::Ingest;
use schemas::errors::{Code, HttpRefusal, Refusal};

/// A refusal on its way to a client.
fn refuse(refusal: &Refusal) -> Response {
    let told = HttpRefusal::from(refusal);
    let status = StatusCode::from_u16(told.status);
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, AppendHeaders(told.headers), Body::from(told.body)).into_response()
}

/// What is no route, or not this route's method, is refused in the same shape as all else, and
/// counts as a request of its address.
fn with_fallbacks(routes: Router, ingest: &Ingest) -> Router {
    let refuse_as = |code| {
        let ingest = ingest.clone();
        move |ConnectInfo(peer): ConnectInfo<SocketAddr>| {
            let too_many = ingest.admit(peer.ip()).err();
            let refused = refuse(&too_many.unwrap_or_else(|| Refusal::plain(code)));
            std::future::ready(refused)
        }
    };
    routes
        .fallback(refuse_as(Code::RouteNotFound))
        .method_not_allowed_fallback(refuse_as(Code::MethodNotAllowed))
}
