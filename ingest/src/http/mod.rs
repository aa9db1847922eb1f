//! The commands over HTTP: create a group, send, and who is in a group.
//!
//! A handler authenticates, checks, begins to watch for the verdict, appends, and waits for the
//! verdict: 200 with the seq, the refusal with its status, or 202 when time is over. `request` turns
//! requests into commands, `answer` outcomes into responses, `verdicts` is what the node must
//! provide; the other files are one family of routes each. Reads are delivery's.

mod answer;
mod chats;
mod members;
mod messages;
mod request;
mod verdicts;

pub use verdicts::{Verdicts, Watch};

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use axum::routing::{patch, post};
use schemas::frames::{Command, MAX_FRAME_BYTES};
use schemas::ids::Identity;

use crate::accept::Ingest;
use answer::Failure;

/// What every handler works with.
#[derive(Clone)]
struct Api {
    ingest: Ingest,
    verdicts: Arc<dyn Verdicts>,
}

/// The routes of commands. Has no fallbacks, so that it can be merged with the routes of reads. The
/// peer's address is taken from `axum::extract::ConnectInfo<SocketAddr>`, where the server adds it.
pub fn router(ingest: Ingest, verdicts: Arc<dyn Verdicts>) -> Router {
    Router::new()
        .route("/v1/chats", post(chats::create))
        .route("/v1/chats/{chat}/messages", post(messages::send))
        .route("/v1/chats/{chat}/members", post(members::add))
        .route(
            "/v1/chats/{chat}/members/{user}",
            patch(members::set_role).delete(members::remove),
        )
        .layer(DefaultBodyLimit::max(MAX_FRAME_BYTES))
        .with_state(Api { ingest, verdicts })
}

impl Api {
    /// Takes a command and answers with its verdict.
    async fn carry_out(&self, who: &Identity, command: Command) -> Result<Response, Failure> {
        let settled = verdicts::await_verdict(self, who, command).await?;
        Ok(answer::settled(settled))
    }
}

#[cfg(test)]
mod tests;
