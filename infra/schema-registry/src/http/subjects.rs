//! `/subjects`: versions of subjects, listed, found, registered and deleted.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Served;
use super::answers::{Answer, AsWriter, Parameters, Sent, Told, is_set, read, text_of, wanted};
use crate::records::Change;
use crate::refusals::Refusal;
use crate::registry::{Found, Registry, Wanted, parse};
use crate::state::State as Said;

pub(super) fn routes() -> Router<Served> {
    Router::new()
        .route("/subjects", get(list))
        .route("/subjects/{subject}", post(look_up).delete(delete_subject))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route(
            "/subjects/{subject}/versions/{version}",
            get(version).delete(delete_version),
        )
        .route("/subjects/{subject}/versions/{version}/schema", get(text))
        .route(
            "/subjects/{subject}/versions/{version}/referencedby",
            get(no_references),
        )
}

/// A schema, as clients send it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SentSchema {
    schema: String,
    schema_type: Option<String>,
    #[serde(default)]
    references: Option<Vec<Value>>,
}

impl SentSchema {
    /// Its text.
    ///
    /// # Errors
    /// When it is of another kind than Avro, or refers to others.
    pub(super) fn text(self) -> Result<String, Refusal> {
        let kind = self.schema_type.as_deref().filter(|kind| !kind.is_empty());
        if let Some(kind) = kind.filter(|kind| *kind != "AVRO") {
            return Err(Refusal::bad_schema(format!(
                "type {kind}: only AVRO is taken"
            )));
        }
        if self
            .references
            .is_some_and(|references| !references.is_empty())
        {
            let reason = "references to other subjects are not taken";
            return Err(Refusal::bad_schema(reason.to_owned()));
        }
        Ok(self.schema)
    }
}

/// A version, as it is told.
pub(super) fn told(subject: &str, found: &Found) -> Value {
    json!({
        "subject": subject,
        "version": found.version,
        "id": found.schema.id,
        "schema": text_of(&found.schema),
    })
}

async fn list(State(served): State<Served>, parameters: Parameters) -> Answer {
    let only_deleted = is_set(&parameters, "deletedOnly");
    let with_deleted = only_deleted || is_set(&parameters, "deleted");
    let prefix = parameters.get("subjectPrefix").cloned().unwrap_or_default();
    let look = |said: &Said| {
        let all = said
            .subjects
            .iter()
            .filter(|(name, _)| name.starts_with(&prefix));
        let wanted = all.filter(|(_, subject)| {
            let live = subject.live(false).next().is_some();
            let any = subject.live(with_deleted).next().is_some();
            any && !(only_deleted && live)
        });
        let names: Vec<&String> = wanted.map(|(name, _)| name).collect();
        Ok(Told(json!(names)))
    };
    served.registry.look(look).await
}

async fn versions(
    State(served): State<Served>,
    Path(subject): Path<String>,
    parameters: Parameters,
) -> Answer {
    let with_deleted = is_set(&parameters, "deleted");
    let look = |said: &Said| numbers(said, &subject, with_deleted);
    served
        .registry
        .look(look)
        .await
        .map(|numbers| Told(json!(numbers)))
}

/// The numbers of a subject's versions; at least one.
fn numbers(said: &Said, subject: &str, with_deleted: bool) -> Result<Vec<u32>, Refusal> {
    let known = said.subjects.get(subject);
    let live = known.into_iter().flat_map(|known| known.live(with_deleted));
    let numbers: Vec<u32> = live.map(|(number, _)| number).collect();
    match numbers.is_empty() {
        true => Err(Refusal::no_subject(subject)),
        false => Ok(numbers),
    }
}

async fn found(
    registry: &Registry,
    subject: &str,
    version: &str,
    parameters: &Parameters,
) -> Result<Found, Refusal> {
    let (wanted, with_deleted) = (wanted(version)?, is_set(parameters, "deleted"));
    let look = |said: &Said| said.version(subject, wanted, with_deleted);
    registry.look(look).await
}

async fn version(
    State(served): State<Served>,
    Path((subject, version)): Path<(String, String)>,
    parameters: Parameters,
) -> Answer {
    let found = found(&served.registry, &subject, &version, &parameters).await?;
    Ok(Told(told(&subject, &found)))
}

/// The schema alone, as JSON.
async fn text(
    State(served): State<Served>,
    Path((subject, version)): Path<(String, String)>,
    parameters: Parameters,
) -> Answer {
    let found = found(&served.registry, &subject, &version, &parameters).await?;
    let json = serde_json::from_str(&found.schema.text);
    Ok(Told(json.unwrap_or_else(|_| text_of(&found.schema))))
}

async fn no_references(
    State(served): State<Served>,
    Path((subject, version)): Path<(String, String)>,
    parameters: Parameters,
) -> Answer {
    found(&served.registry, &subject, &version, &parameters).await?;
    Ok(Told(json!([])))
}

async fn register(AsWriter(registry): AsWriter, Path(subject): Path<String>, sent: Sent) -> Answer {
    let text = read::<SentSchema>(sent)?.text()?;
    let found = registry.register(&subject, &text).await?;
    Ok(Told(told(&subject, &found)))
}

/// Whether a subject has this schema, and as which version.
async fn look_up(
    State(served): State<Served>,
    Path(subject): Path<String>,
    parameters: Parameters,
    sent: Sent,
) -> Answer {
    let schema = parse(&read::<SentSchema>(sent)?.text()?)?;
    let with_deleted = is_set(&parameters, "deleted");
    let look = |said: &Said| {
        numbers(said, &subject, with_deleted)?;
        let found = said.same(&subject, &schema, with_deleted);
        found.ok_or_else(Refusal::no_schema)
    };
    let found = served.registry.look(look).await?;
    Ok(Told(told(&subject, &found)))
}

async fn delete_subject(
    AsWriter(registry): AsWriter,
    Path(subject): Path<String>,
    parameters: Parameters,
) -> Answer {
    let permanent = is_set(&parameters, "permanent");
    let look = |said: &Said| {
        let all = numbers(said, &subject, true)?;
        said.may_write(&subject)?;
        match (numbers(said, &subject, false), permanent) {
            (Ok(live), false) => Ok(live),
            (Err(_), false) => Err(Refusal::subject_deleted(&subject)),
            (Ok(_), true) => Err(Refusal::subject_not_deleted(&subject)),
            (Err(_), true) => Ok(all),
        }
    };
    let deleted = registry.look(look).await?;
    for version in &deleted {
        registry
            .write(&deletion(&subject, *version, permanent))
            .await?;
    }
    Ok(Told(json!(deleted)))
}

async fn delete_version(
    AsWriter(registry): AsWriter,
    Path((subject, version)): Path<(String, String)>,
    parameters: Parameters,
) -> Answer {
    let permanent = is_set(&parameters, "permanent");
    let wanted = wanted(&version)?;
    let look = |said: &Said| {
        let with_deleted = wanted != Wanted::Latest;
        let found = said.version(&subject, wanted, with_deleted)?.version;
        said.may_write(&subject)?;
        let live = said.version(&subject, Wanted::Number(found), false).is_ok();
        match (live, permanent) {
            (true, false) | (false, true) => Ok(found),
            (false, false) => Err(Refusal::version_deleted(&subject, found)),
            (true, true) => Err(Refusal::version_not_deleted(&subject, found)),
        }
    };
    let version = registry.look(look).await?;
    registry
        .write(&deletion(&subject, version, permanent))
        .await?;
    Ok(Told(json!(version)))
}

fn deletion(subject: &str, version: u32, permanent: bool) -> Change {
    Change::Deleted {
        subject: subject.to_owned(),
        version,
        permanent,
    }
}
