//! The REST API: one file a family of routes.
//!
//! Answers are of the type that registries send. Whatever is refused, by a handler or before one is
//! reached, has the same shape: a code and words.

mod answers;
mod compatibility;
mod schemas;
mod settings;
mod subjects;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::map_response;

use crate::registry::Registry;
use crate::writers::Writers;

/// The longest body of a request: the text of a schema, written as JSON in JSON.
const MAX_BODY_BYTES: usize = 1 << 20;

/// What handlers share.
#[derive(Clone)]
struct Served {
    registry: Arc<Registry>,
    writers: Writers,
}

/// The routes of a registry. Changes are taken from these writers; who asks must stand in the
/// request's `ConnectInfo`, else it is nobody of this machine.
pub fn router(registry: Arc<Registry>, writers: Writers) -> Router {
    let served = Served { registry, writers };
    Router::new()
        .merge(subjects::routes())
        .merge(schemas::routes())
        .merge(settings::routes())
        .merge(compatibility::routes())
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(map_response(answers::in_one_shape))
        .with_state(served)
}
