//! Requests as handlers see them, and answers as clients do.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Served;
use crate::refusals::Refusal;
use crate::registry::{Registry, Wanted};
use crate::state::Registered;

/// The type of everything that is answered.
const KIND: &str = "application/vnd.schemaregistry.v1+json";

/// What a handler answers.
pub(super) type Answer = Result<Told, Refusal>;
/// A body as it came, or did not.
pub(super) type Sent = Result<Bytes, BytesRejection>;
/// The parameters of a request.
pub(super) type Parameters = axum::extract::Query<HashMap<String, String>>;

/// A JSON answer.
pub(super) struct Told(pub(super) Value);

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        answer(StatusCode::OK, &self.0)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status());
        answer(
            status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            &self.body(),
        )
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let kind = [(CONTENT_TYPE, HeaderValue::from_static(KIND))];
    (status, kind, Body::from(body.to_string())).into_response()
}

/// Gives a refusal that was made before a handler was reached the shape of the others.
pub(super) async fn in_one_shape(response: Response) -> Response {
    let status = response.status();
    let ours = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == KIND);
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    match status {
        StatusCode::NOT_FOUND => Refusal::no_route(),
        StatusCode::METHOD_NOT_ALLOWED => Refusal::no_method(),
        _ => Refusal::bad_request("the request's address cannot be read".to_owned()),
    }
    .into_response()
}

/// A body as what it should be.
pub(super) fn read<T: DeserializeOwned>(sent: Sent) -> Result<T, Refusal> {
    let bytes = sent.map_err(|_| Refusal::too_large())?;
    serde_json::from_slice(&bytes).map_err(|error| Refusal::bad_request(error.to_string()))
}

/// Whether a parameter says `true`.
pub(super) fn is_set(parameters: &Parameters, name: &str) -> bool {
    parameters
        .get(name)
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// A version number, or `latest`.
pub(super) fn wanted(version: &str) -> Result<Wanted, Refusal> {
    match version {
        "latest" | "-1" => Ok(Wanted::Latest),
        number => match number.parse::<i32>().map(u32::try_from) {
            Ok(Ok(number)) if number > 0 => Ok(Wanted::Number(number)),
            Ok(_) | Err(_) => Err(Refusal::bad_version(version)),
        },
    }
}

/// What of a schema is told beside its id.
pub(super) fn text_of(schema: &Registered) -> Value {
    Value::from(schema.text.as_str())
}

/// The registry, for one who may change it.
pub(super) struct AsWriter(pub(super) std::sync::Arc<Registry>);

impl FromRequestParts<Served> for AsWriter {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, served: &Served) -> Result<Self, Refusal> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer: Option<IpAddr> = peer.map(|ConnectInfo(peer)| peer.ip());
        served.writers.admit(&parts.headers, peer)?;
        Ok(Self(std::sync::Arc::clone(&served.registry)))
    }
}
