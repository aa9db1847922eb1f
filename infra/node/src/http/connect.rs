//! `GET /v1/connect`: from an HTTP request to a session.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Extension, Request, State};
use axum::http::header::{AUTHORIZATION, HeaderMap};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use delivery::GatewayRole;
use hyper::upgrade::OnUpgrade;
use infra_ports::Runtime;
use infra_transport_websocket::{Config, handshake, open};
use ingest::Ingest;
use schemas::errors::{Code, Refusal};

use super::addresses::Place;
use super::refuse;
use super::strangers::{Strangers, UntilKnown};

struct Connect {
    delivery: GatewayRole,
    runtime: Arc<dyn Runtime>,
    ingest: Ingest,
    strangers: Strangers,
}

/// The route that turns a handshake into a session; so many sockets at once, at most, have not said
/// who they are.
pub(crate) fn connect_route(
    delivery: GatewayRole,
    runtime: Arc<dyn Runtime>,
    ingest: Ingest,
    sockets_without_hello: u32,
) -> Router {
    let state = Arc::new(Connect {
        delivery,
        runtime,
        ingest,
        strangers: Strangers::new(sockets_without_hello),
    });
    Router::new()
        .route("/v1/connect", any(connect))
        .with_state(state)
}

async fn connect(
    State(state): State<Arc<Connect>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Extension(place): Extension<Arc<Place>>,
    mut request: Request,
) -> Response {
    if let Err(refusal) = state.ingest.admit(peer.ip()) {
        return refuse(&refusal);
    }
    if !state.delivery.is_delivering() {
        return refuse(&Refusal::plain(Code::ShuttingDown));
    }
    if !state.delivery.may_accept() {
        return refuse(&Refusal::plain(Code::TooManySessions));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, _) = request.into_parts();
    let switching = match handshake(&head) {
        Ok(switching) => switching,
        Err(error) => {
            let mut answer = refuse(&Refusal::new(Code::UnsupportedProtocol, error.to_string()));
            *answer.status_mut() = error.status();
            answer.headers_mut().extend(error.header());
            return answer;
        }
    };
    let token = bearer(&head.headers).or_else(|| head.uri.query().and_then(token_of));
    let Some(until_known) = until_known(&state, token.is_some(), place) else {
        return refuse(&Refusal::plain(Code::TooManySessions));
    };
    let runtime = Arc::clone(&state.runtime);
    runtime.spawn(
        "handshake",
        Box::pin(take_over(state, upgrade, token, until_known)),
    );
    switching.map(|()| Body::empty()).into_response()
}

/// What a socket holds until it has said who it is; none when too many have not. One with a token
/// is known, or gone, as soon as it is a session.
fn until_known(state: &Connect, has_token: bool, place: Arc<Place>) -> Option<UntilKnown> {
    let stranger = match has_token {
        true => None,
        false => Some(state.strangers.enter()?),
    };
    Some(UntilKnown::new(place, stranger))
}

/// Makes a session of a connection once HTTP is through with it. The session is a task of its own:
/// it lasts, and holds nothing of the handshake.
async fn take_over(
    state: Arc<Connect>,
    upgrade: OnUpgrade,
    token: Option<String>,
    until_known: UntilKnown,
) {
    let opened = match upgrade.await {
        Ok(upgraded) => open(upgraded, &Config::default()).map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match opened {
        Ok((reader, writer)) => {
            let until_known = Some(Arc::new(until_known) as Arc<dyn Send + Sync>);
            let session = state.delivery.serve(reader, writer, token, until_known);
            state.runtime.spawn("session", Box::pin(session));
        }
        Err(error) => tracing::debug!(%error, "the connection did not become a session"),
    }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

/// Tokens are base64url and dots, so the query needs no decoding.
fn token_of(query: &str) -> Option<String> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("token="));
    value.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_taken_from_header_or_query() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers), None);
        headers.insert(AUTHORIZATION, "bearer a.b.c".parse().unwrap());
        assert_eq!(bearer(&headers).as_deref(), Some("a.b.c"));
        headers.insert(AUTHORIZATION, "Basic a.b.c".parse().unwrap());
        assert_eq!(bearer(&headers), None);
        assert_eq!(token_of("x=1&token=a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(token_of("nottoken=a"), None);
    }
}
