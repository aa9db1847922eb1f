//! `/schemas`: schemas by their ids.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::{Value, json};

use super::Served;
use super::answers::{Answer, Parameters, Told, is_set, text_of};
use super::subjects::told;
use crate::refusals::Refusal;
use crate::registry::Found;
use crate::state::State as Said;

pub(super) fn routes() -> Router<Served> {
    Router::new()
        .route("/", get(nothing))
        .route("/contexts", get(contexts))
        .route("/schemas", get(list))
        .route("/schemas/types", get(kinds))
        .route("/schemas/ids/{id}", get(by_id))
        .route("/schemas/ids/{id}/schema", get(text))
        .route("/schemas/ids/{id}/versions", get(versions))
        .route("/schemas/ids/{id}/subjects", get(subjects))
}

async fn nothing() -> Told {
    Told(json!({}))
}

async fn contexts() -> Told {
    Told(json!(["."]))
}

async fn kinds() -> Told {
    Told(json!(["AVRO"]))
}

/// An id; what is none is no schema's.
fn id(path: &str) -> Result<u32, Refusal> {
    path.parse().map_err(|_| Refusal::no_schema())
}

async fn by_id(State(served): State<Served>, Path(path): Path<String>) -> Answer {
    let schema = served.registry.by_id(id(&path)?).await?;
    Ok(Told(json!({ "schema": text_of(&schema) })))
}

/// The schema alone, as JSON.
async fn text(State(served): State<Served>, Path(path): Path<String>) -> Answer {
    let schema = served.registry.by_id(id(&path)?).await?;
    let json = serde_json::from_str(&schema.text);
    Ok(Told(json.unwrap_or_else(|_| text_of(&schema))))
}

async fn versions(
    State(served): State<Served>,
    Path(path): Path<String>,
    parameters: Parameters,
) -> Answer {
    let told = |(subject, version): (&str, u32)| json!({"subject": subject, "version": version});
    uses(&served, &path, &parameters, told).await
}

async fn subjects(
    State(served): State<Served>,
    Path(path): Path<String>,
    parameters: Parameters,
) -> Answer {
    uses(&served, &path, &parameters, |(subject, _)| json!(subject)).await
}

async fn uses(
    served: &Served,
    path: &str,
    parameters: &Parameters,
    told: impl Fn((&str, u32)) -> Value,
) -> Answer {
    let (id, with_deleted) = (id(path)?, is_set(parameters, "deleted"));
    let look = |said: &Said| {
        said.by_id(id).ok_or_else(Refusal::no_schema)?;
        let mut uses: Vec<Value> = said.uses(id, with_deleted).map(told).collect();
        uses.dedup();
        Ok(Told(json!(uses)))
    };
    served.registry.look(look).await
}

/// All versions of all subjects.
async fn list(State(served): State<Served>, parameters: Parameters) -> Answer {
    let with_deleted = is_set(&parameters, "deleted");
    let latest = is_set(&parameters, "latestOnly");
    let prefix = parameters.get("subjectPrefix").cloned().unwrap_or_default();
    let look = |said: &Said| {
        let mut all = Vec::new();
        let subjects = said
            .subjects
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix));
        for (name, subject) in subjects {
            let first = all.len();
            all.extend(subject.live(with_deleted).map(|(version, one)| {
                let schema = std::sync::Arc::clone(&one.schema);
                told(name, &Found { version, schema })
            }));
            if latest && all.len() > first {
                all.drain(first..all.len() - 1);
            }
        }
        Ok(Told(Value::from(all)))
    };
    served.registry.look(look).await
}
