//! Outcomes as HTTP responses: `{"error": …}` with the code's status, or what became of a command.

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{AppendHeaders, IntoResponse, Response};
use compact_str::CompactString;
use schemas::errors::{HttpRefusal, Refusal};
use schemas::ids::{ChatId, ClientId};
use schemas::position::Seq;
use serde::Serialize;

use super::verdicts::Outcome;

/// A refusal on its way to a client.
#[derive(Debug)]
pub(super) struct Failure(pub(super) Refusal);

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

/// What became of a command: without a seq it is not known yet.
#[derive(Serialize)]
struct Done {
    chat: ChatId,
    client_id: ClientId,
    id: CompactString,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<Seq>,
}

/// 200 with the seq, the refusal of the log, or 202 when neither is known in time.
pub(super) fn settled(outcome: Outcome) -> Response {
    let Outcome { accepted, verdict } = outcome;
    if let Some(code) = verdict.as_ref().and_then(|verdict| verdict.code) {
        return Failure(Refusal::plain(code)).into_response();
    }
    let seq = verdict.and_then(|verdict| verdict.seq);
    let status = if seq.is_some() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let (chat, client_id, id) = (accepted.chat, accepted.client_id, accepted.id);
    (
        status,
        Json(Done {
            chat,
            client_id,
            id,
            seq,
        }),
    )
        .into_response()
}
