//! `/config` and `/mode`: the level of compatibility and what may be done, for all subjects or one.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{MethodRouter, get};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Served;
use super::answers::{Answer, AsWriter, Parameters, Sent, Told, is_set, read};
use crate::levels::{Level, Mode};
use crate::records::Change;
use crate::refusals::Refusal;
use crate::registry::check_subject;
use crate::state::{State as Said, Subject, is_ours};

pub(super) fn routes() -> Router<Served> {
    let level_of_all = get(of_all::<Level>).put(set_of_all::<Level>);
    Router::new()
        .route("/config", level_of_all.delete(unset_of_all::<Level>))
        .route("/config/{subject}", routes_of_one::<Level>())
        .route("/mode", get(of_all::<Mode>).put(set_of_all::<Mode>))
        .route("/mode/{subject}", routes_of_one::<Mode>())
}

fn routes_of_one<S: Setting>() -> MethodRouter<Served> {
    get(of_one::<S>)
        .put(set_of_one::<S>)
        .delete(unset_of_one::<S>)
}

/// What is set for all subjects, and for one otherwise.
trait Setting: Copy + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What it is called when it is sent, and in the answer to that.
    const SENT: &str;
    /// What it is called in all other answers.
    const TOLD: &str;

    fn of_all(said: &Said) -> Self;
    /// What holds for a subject, whoever set it.
    fn of(said: &Said, subject: &str) -> Self;
    /// What was set for this subject alone.
    fn own(subject: &Subject) -> Option<Self>;
    fn change(subject: Option<String>, to: Option<Self>) -> Change;
    fn refuse_value() -> Refusal;
    fn refuse_unset(subject: &str) -> Refusal;
}

impl Setting for Level {
    const SENT: &str = "compatibility";
    const TOLD: &str = "compatibilityLevel";

    fn of_all(said: &Said) -> Self {
        said.level_of_all()
    }

    fn of(said: &Said, subject: &str) -> Self {
        said.level(subject)
    }

    fn own(subject: &Subject) -> Option<Self> {
        subject.level
    }

    fn change(subject: Option<String>, level: Option<Self>) -> Change {
        Change::Level { subject, level }
    }

    fn refuse_value() -> Refusal {
        Refusal::bad_level()
    }

    fn refuse_unset(subject: &str) -> Refusal {
        Refusal::no_level(subject)
    }
}

impl Setting for Mode {
    const SENT: &str = "mode";
    const TOLD: &str = "mode";

    fn of_all(said: &Said) -> Self {
        said.mode_of_all()
    }

    fn of(said: &Said, subject: &str) -> Self {
        said.mode(subject)
    }

    fn own(subject: &Subject) -> Option<Self> {
        subject.mode
    }

    fn change(subject: Option<String>, mode: Option<Self>) -> Change {
        Change::Mode { subject, mode }
    }

    fn refuse_value() -> Refusal {
        Refusal::bad_mode()
    }

    fn refuse_unset(subject: &str) -> Refusal {
        Refusal::no_mode(subject)
    }
}

fn sent<S: Setting>(sent: Sent) -> Result<S, Refusal> {
    let body: Value = read(sent)?;
    let Some(value) = body.get(S::SENT) else {
        return Err(Refusal::bad_request(format!("missing field `{}`", S::SENT)));
    };
    let upper = Value::from(value.as_str().unwrap_or_default().to_uppercase());
    serde_json::from_value(upper).map_err(|_| S::refuse_value())
}

/// An answer that holds a setting under this name.
fn told<S: Setting>(name: &str, setting: S) -> Answer {
    Ok(Told(json!({ name: setting })))
}

fn own<S: Setting>(said: &Said, subject: &str) -> Option<S> {
    said.subjects.get(subject).and_then(S::own)
}

/// Refuses what nobody may set: the rules of the platform's own subjects are part of its format.
fn check(subject: &str) -> Result<(), Refusal> {
    check_subject(subject)?;
    match is_ours(subject) {
        true => Err(Refusal::read_only(subject)),
        false => Ok(()),
    }
}

async fn of_all<S: Setting>(State(served): State<Served>) -> Answer {
    let look = |said: &Said| told(S::TOLD, S::of_all(said));
    served.registry.look(look).await
}

async fn of_one<S: Setting>(
    State(served): State<Served>,
    Path(subject): Path<String>,
    parameters: Parameters,
) -> Answer {
    let or_of_all = is_set(&parameters, "defaultToGlobal");
    let look = |said: &Said| {
        let is_own = own::<S>(said, &subject).is_some();
        match is_own || or_of_all || is_ours(&subject) {
            true => told(S::TOLD, S::of(said, &subject)),
            false => Err(S::refuse_unset(&subject)),
        }
    };
    served.registry.look(look).await
}

async fn set_of_all<S: Setting>(AsWriter(registry): AsWriter, body: Sent) -> Answer {
    let to = sent::<S>(body)?;
    registry.write(&S::change(None, Some(to))).await?;
    told(S::SENT, to)
}

async fn set_of_one<S: Setting>(
    AsWriter(registry): AsWriter,
    Path(subject): Path<String>,
    body: Sent,
) -> Answer {
    let to = sent::<S>(body)?;
    check(&subject)?;
    registry.write(&S::change(Some(subject), Some(to))).await?;
    told(S::SENT, to)
}

async fn unset_of_all<S: Setting>(AsWriter(registry): AsWriter) -> Answer {
    let before = registry.look(|said| Ok(S::of_all(said))).await?;
    registry.write(&S::change(None, None)).await?;
    told(S::TOLD, before)
}

async fn unset_of_one<S: Setting>(
    AsWriter(registry): AsWriter,
    Path(subject): Path<String>,
) -> Answer {
    check(&subject)?;
    let look = |said: &Said| own::<S>(said, &subject).ok_or_else(|| S::refuse_unset(&subject));
    let before = registry.look(look).await?;
    registry.write(&S::change(Some(subject), None)).await?;
    told(S::TOLD, before)
}
