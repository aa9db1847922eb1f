//! The reads over HTTP: the same answers as over frames. The peer's address is taken from
//! `ConnectInfo<SocketAddr>`, where the server adds it. `Authorization: Bearer` says who asks;
//! errors are `{"error": …}` with the code's status.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use schemas::errors::{Code, HttpRefusal, Refusal};
use schemas::frames::{
    Chats, ChatsQuery, Entries, History, HistoryQuery, Members, Status, StatusQuery, TimelineQuery,
};
use schemas::ids::{ChatId, Identity};
use schemas::position::Seq;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::gateway::Gateway;

type Api = Arc<Gateway>;

/// The routes of reads.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/v1/chats", get(chats))
        .route("/v1/chats/{chat}/messages", get(history))
        .route("/v1/chats/{chat}/timeline", get(timeline))
        .route("/v1/chats/{chat}/messages/{seq}/status", get(status))
        .route("/v1/chats/{chat}/members", get(members))
        .with_state(gateway)
}

/// A refusal on its way to a client.
struct Failure(Refusal);

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let told = HttpRefusal::from(&self.0);
        let status = StatusCode::from_u16(told.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, AppendHeaders(told.headers), Body::from(told.body)).into_response()
    }
}

type Answer<T> = Result<Json<T>, Failure>;

/// Who asks, if their address and they may ask at all.
struct Asker(Identity);

impl FromRequestParts<Api> for Asker {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        if let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() {
            api.commands.admit(peer.ip())?;
        }
        let token = bearer(&parts.headers).ok_or_else(|| Refusal::plain(Code::Unauthorized))?;
        let who = api.commands.authenticate(token)?;
        api.commands.may_read(&who)?;
        Ok(Self(who))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The query of a request, or what is wrong with it in our own shape.
struct Asked<T>(T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Failure> {
        let query = Query::<T>::try_from_uri(&parts.uri);
        let invalid = |e: axum::extract::rejection::QueryRejection| {
            Refusal::new(Code::InvalidField, format!("query: {}", e.body_text()))
        };
        Ok(Self(query.map_err(invalid)?.0))
    }
}

/// The parts of a request's path, or what is wrong with them in our own shape.
struct Named<T>(T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for Named<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        let path = Path::<T>::from_request_parts(parts, api).await;
        let invalid = |e: axum::extract::rejection::PathRejection| {
            Refusal::new(Code::InvalidField, format!("path: {}", e.body_text()))
        };
        Ok(Self(path.map_err(invalid)?.0))
    }
}

fn chat_id(text: &str) -> Result<ChatId, Failure> {
    let invalid = |e| Failure(Refusal::new(Code::InvalidField, format!("chat: {e}")));
    ChatId::new(text).map_err(invalid)
}

async fn chats(
    State(api): State<Api>,
    Asker(who): Asker,
    Asked(query): Asked<ChatsQuery>,
) -> Answer<Chats> {
    let behind = !api.inbox_is_current(&who.user).await;
    let list = api.reads.chats(&who.user, &query).await?;
    Ok(Json(Chats { behind, ..list }))
}

#[derive(Deserialize)]
struct HistoryPage {
    before: Option<Seq>,
    limit: Option<u32>,
}

async fn history(
    State(api): State<Api>,
    Asker(who): Asker,
    Named(chat): Named<String>,
    Asked(HistoryPage { before, limit }): Asked<HistoryPage>,
) -> Answer<History> {
    let query = HistoryQuery {
        chat: chat_id(&chat)?,
        before,
        limit,
    };
    Ok(Json(api.reads.history(&who.user, &query).await?))
}

#[derive(Deserialize)]
struct TimelinePage {
    #[serde(default)]
    from: Seq,
    limit: Option<u32>,
}

async fn timeline(
    State(api): State<Api>,
    Asker(who): Asker,
    Named(chat): Named<String>,
    Asked(TimelinePage { from, limit }): Asked<TimelinePage>,
) -> Answer<Entries> {
    let query = TimelineQuery {
        chat: chat_id(&chat)?,
        from,
        limit,
    };
    Ok(Json(api.reads.timeline(&who.user, &query).await?))
}

#[derive(Deserialize)]
struct Who {
    #[serde(default)]
    who: bool,
}

async fn status(
    State(api): State<Api>,
    Asker(identity): Asker,
    Named((chat, seq)): Named<(String, String)>,
    Asked(Who { who }): Asked<Who>,
) -> Answer<Status> {
    let invalid = |_| Refusal::new(Code::InvalidField, "seq: a number");
    let seq = Seq(seq.parse().map_err(invalid)?);
    let query = StatusQuery {
        chat: chat_id(&chat)?,
        seq,
        who,
    };
    Ok(Json(api.reads.status(&identity.user, &query).await?))
}

async fn members(
    State(api): State<Api>,
    Asker(who): Asker,
    Named(chat): Named<String>,
) -> Answer<Members> {
    Ok(Json(api.reads.members(&who.user, &chat_id(&chat)?).await?))
}
