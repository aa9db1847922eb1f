//! `/config` and `/mode`: the level of compatibility and what may be done, for all subjects or one.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Served;
use super::answers::{Answer, AsWriter, Parameters, Sent, Told, is_set, read};
use crate::levels::{Level, Mode};
use crate::records::Change;
use crate::refusals::Refusal;
use crate::registry::check_subject;
use crate::state::{State as Said, is_ours};

pub(super) fn routes() -> Router<Served> {
    Router::new()
        .route(
            "/config",
            get(level_of_all)
                .put(set_level_of_all)
                .delete(unset_level_of_all),
        )
        .route(
            "/config/{subject}",
            get(level).put(set_level).delete(unset_level),
        )
        .route("/mode", get(mode_of_all).put(set_mode_of_all))
        .route(
            "/mode/{subject}",
            get(mode).put(set_mode).delete(unset_mode),
        )
}

#[derive(Deserialize)]
struct SentLevel {
    compatibility: Value,
}

#[derive(Deserialize)]
struct SentMode {
    mode: Value,
}

fn sent_level(sent: Sent) -> Result<Level, Refusal> {
    let SentLevel { compatibility } = read(sent)?;
    let upper = Value::from(compatibility.as_str().unwrap_or_default().to_uppercase());
    serde_json::from_value(upper).map_err(|_| Refusal::bad_level())
}

fn sent_mode(sent: Sent) -> Result<Mode, Refusal> {
    let SentMode { mode } = read(sent)?;
    let upper = Value::from(mode.as_str().unwrap_or_default().to_uppercase());
    serde_json::from_value(upper).map_err(|_| Refusal::bad_mode())
}

/// Refuses what nobody may set: the rules of the platform's own subjects are part of its format.
fn check(subject: &str) -> Result<(), Refusal> {
    check_subject(subject)?;
    match is_ours(subject) {
        true => Err(Refusal::read_only(subject)),
        false => Ok(()),
    }
}

async fn level_of_all(State(served): State<Served>) -> Answer {
    let look = |said: &Said| Ok(Told(json!({ "compatibilityLevel": said.level_of_all() })));
    served.registry.look(look).await
}

async fn level(
    State(served): State<Served>,
    Path(subject): Path<String>,
    parameters: Parameters,
) -> Answer {
    let or_of_all = is_set(&parameters, "defaultToGlobal");
    let look = |said: &Said| {
        let own = said.subjects.get(&subject).and_then(|known| known.level);
        match own.is_some() || or_of_all || is_ours(&subject) {
            true => Ok(Told(json!({ "compatibilityLevel": said.level(&subject) }))),
            false => Err(Refusal::no_level(&subject)),
        }
    };
    served.registry.look(look).await
}

async fn set_level_of_all(AsWriter(registry): AsWriter, sent: Sent) -> Answer {
    let (subject, level) = (None, Some(sent_level(sent)?));
    registry.write(&Change::Level { subject, level }).await?;
    Ok(Told(json!({ "compatibility": level })))
}

async fn set_level(
    AsWriter(registry): AsWriter,
    Path(subject): Path<String>,
    sent: Sent,
) -> Answer {
    let level = Some(sent_level(sent)?);
    check(&subject)?;
    let subject = Some(subject);
    registry.write(&Change::Level { subject, level }).await?;
    Ok(Told(json!({ "compatibility": level })))
}

async fn unset_level_of_all(AsWriter(registry): AsWriter) -> Answer {
    let before = registry.look(|said| Ok(said.level_of_all())).await?;
    let (subject, level) = (None, None);
    registry.write(&Change::Level { subject, level }).await?;
    Ok(Told(json!({ "compatibilityLevel": before })))
}

async fn unset_level(AsWriter(registry): AsWriter, Path(subject): Path<String>) -> Answer {
    check(&subject)?;
    let look = |said: &Said| {
        let own = said.subjects.get(&subject).and_then(|known| known.level);
        own.ok_or_else(|| Refusal::no_level(&subject))
    };
    let before = registry.look(look).await?;
    let (subject, level) = (Some(subject), None);
    registry.write(&Change::Level { subject, level }).await?;
    Ok(Told(json!({ "compatibilityLevel": before })))
}

async fn mode_of_all(State(served): State<Served>) -> Answer {
    let look = |said: &Said| Ok(Told(json!({ "mode": said.mode_of_all() })));
    served.registry.look(look).await
}

async fn mode(
    State(served): State<Served>,
    Path(subject): Path<String>,
    parameters: Parameters,
) -> Answer {
    let or_of_all = is_set(&parameters, "defaultToGlobal");
    let look = |said: &Said| {
        let own = said.subjects.get(&subject).and_then(|known| known.mode);
        match own.is_some() || or_of_all || is_ours(&subject) {
            true => Ok(Told(json!({ "mode": said.mode(&subject) }))),
            false => Err(Refusal::no_mode(&subject)),
        }
    };
    served.registry.look(look).await
}

async fn set_mode_of_all(AsWriter(registry): AsWriter, sent: Sent) -> Answer {
    let (subject, mode) = (None, Some(sent_mode(sent)?));
    registry.write(&Change::Mode { subject, mode }).await?;
    Ok(Told(json!({ "mode": mode })))
}

async fn set_mode(AsWriter(registry): AsWriter, Path(subject): Path<String>, sent: Sent) -> Answer {
    let mode = Some(sent_mode(sent)?);
    check(&subject)?;
    let subject = Some(subject);
    registry.write(&Change::Mode { subject, mode }).await?;
    Ok(Told(json!({ "mode": mode })))
}

async fn unset_mode(AsWriter(registry): AsWriter, Path(subject): Path<String>) -> Answer {
    check(&subject)?;
    let look = |said: &Said| {
        let own = said.subjects.get(&subject).and_then(|known| known.mode);
        own.ok_or_else(|| Refusal::no_mode(&subject))
    };
    let before = registry.look(look).await?;
    let (subject, mode) = (Some(subject), None);
    registry.write(&Change::Mode { subject, mode }).await?;
    Ok(Told(json!({ "mode": before })))
}
