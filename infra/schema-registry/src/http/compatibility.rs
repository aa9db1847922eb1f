//! `/compatibility`: whether a schema could be the next version of a subject.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;
use serde_json::json;

use super::Served;
use super::answers::{Answer, Parameters, Sent, Told, is_set, read, wanted};
use super::subjects::SentSchema;
use crate::registry::parse;
use crate::state::State as Said;

pub(super) fn routes() -> Router<Served> {
    let path = "/compatibility/subjects/{subject}/versions";
    Router::new()
        .route(path, post(with_all))
        .route(&format!("{path}/{{version}}"), post(with_one))
}

async fn with_one(
    State(served): State<Served>,
    Path((subject, version)): Path<(String, String)>,
    parameters: Parameters,
    sent: Sent,
) -> Answer {
    let wanted = wanted(&version)?;
    let schema = parse(&read::<SentSchema>(sent)?.text()?)?;
    let look = |said: &Said| {
        let old = said.version(&subject, wanted, false)?;
        Ok(said.problems_with(&subject, &schema, &old))
    };
    let problems = served.registry.look(look).await?;
    Ok(told(&problems, &parameters))
}

/// With those versions that the subject's level asks for; a subject that is not there has none.
async fn with_all(
    State(served): State<Served>,
    Path(subject): Path<String>,
    parameters: Parameters,
    sent: Sent,
) -> Answer {
    let schema = parse(&read::<SentSchema>(sent)?.text()?)?;
    let look = |said: &Said| Ok(said.problems(&subject, &schema));
    let problems = served.registry.look(look).await?;
    Ok(told(&problems, &parameters))
}

fn told(problems: &[String], parameters: &Parameters) -> Told {
    let fits = problems.is_empty();
    Told(match is_set(parameters, "verbose") {
        true => json!({ "is_compatible": fits, "messages": problems }),
        false => json!({ "is_compatible": fits }),
    })
}
