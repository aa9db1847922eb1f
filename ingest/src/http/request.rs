//! Requests as commands: who asks, which chat and user the path names, what the body says.
//!
//! Each part is an extractor that refuses in the house's shape. Handlers name them in the order
//! address and token, path, body, so that a stranger learns nothing about paths and bodies.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use schemas::errors::{Code, Refusal};
use schemas::ids::{ChatId, Identity, UserId};
use serde::de::DeserializeOwned;

use super::Api;
use super::answer::Failure;

/// Who asks, by the bearer token (RFC 6750, 2.1), if their address may ask at all.
pub(super) struct Caller(pub(super) Identity);

impl FromRequestParts<Api> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        if let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() {
            api.ingest.admit(peer.ip())?;
        }
        let token = bearer(parts).ok_or_else(|| Refusal::plain(Code::Unauthorized))?;
        Ok(Self(api.ingest.authenticate(token)?))
    }
}

fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The chat of the path.
pub(super) struct InChat(pub(super) ChatId);

impl FromRequestParts<Api> for InChat {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let path = Path::<String>::from_request_parts(parts, api).await;
        let Path(chat) = path.map_err(|rejection| bad_path(&rejection))?;
        Ok(Self(chat_of(&chat)?))
    }
}

/// The chat and the user of the path.
pub(super) struct MemberOf(pub(super) ChatId, pub(super) UserId);

impl FromRequestParts<Api> for MemberOf {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let path = Path::<(String, String)>::from_request_parts(parts, api).await;
        let Path((chat, user)) = path.map_err(|rejection| bad_path(&rejection))?;
        let user = UserId::new(user).map_err(|e| invalid(format!("user: {e}")))?;
        Ok(Self(chat_of(&chat)?, user))
    }
}

/// The fields of the query.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let query = Query::<T>::from_request_parts(parts, api).await;
        let Query(fields) = query.map_err(|rejection: QueryRejection| {
            invalid(short(
                &rejection.body_text(),
                "Failed to deserialize query string: ",
            ))
        })?;
        Ok(Self(fields))
    }
}

/// The fields of the body, which is JSON of at most [`schemas::frames::MAX_FRAME_BYTES`].
pub(super) struct Fields<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Fields<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        match Json::<T>::from_request(request, api).await {
            Ok(Json(fields)) => Ok(Self(fields)),
            Err(rejection) => Err(Failure(bad_body(&rejection))),
        }
    }
}

fn bad_body(rejection: &JsonRejection) -> Refusal {
    const PREFIX: &str = "Failed to deserialize the JSON body into the target type: ";
    match rejection {
        JsonRejection::JsonDataError(_) => invalid(short(&rejection.body_text(), PREFIX)),
        JsonRejection::JsonSyntaxError(_) => {
            let prefix = "Failed to parse the request body as JSON: ";
            let reason = format!("not JSON: {}", short(&rejection.body_text(), prefix));
            Refusal::new(Code::MalformedFrame, reason)
        }
        JsonRejection::MissingJsonContentType(_) => Refusal::plain(Code::UnsupportedMedia),
        other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal::plain(Code::FrameTooLarge)
        }
        JsonRejection::BytesRejection(_) | _ => Refusal::new(
            Code::MalformedFrame,
            "the body could not be read to its end",
        ),
    }
}

fn bad_path(rejection: &PathRejection) -> Refusal {
    invalid(format!(
        "path: {}",
        short(&rejection.body_text(), "Invalid URL: ")
    ))
}

fn chat_of(text: &str) -> Result<ChatId, Refusal> {
    ChatId::new(text).map_err(|e| invalid(format!("chat: {e}")))
}

fn invalid(reason: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidField, reason)
}

/// The reason itself, without the library's preface and at most 200 characters of it: a client's
/// own bytes may stand in it.
fn short(text: &str, prefix: &str) -> String {
    text.strip_prefix(prefix)
        .unwrap_or(text)
        .chars()
        .take(200)
        .collect()
}
