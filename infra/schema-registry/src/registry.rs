//! The registry: decides on what the journal says, appends, and looks who was first.
//!
//! Any number of nodes serve one journal at once. Each request first reads the journal to its end, so
//! all of them answer alike; a change is made by an entry, and counts if it stands before those that
//! contradict it. What never changes, the text under an id, is answered from memory even while the
//! journal does not answer.

use std::sync::Arc;

use infra_ports::Runtime;
use infra_ports::journal::{Journal, JournalError};
use parking_lot::RwLock;
use schemas::avro::{SUBJECTS, schema_id};
use tokio::sync::Mutex;

use crate::avro::AvroSchema;
use crate::levels::{Level, Mode};
use crate::records::Change;
use crate::refusals::Refusal;
use crate::state::{Registered, State, Version};

/// How often a claim is made anew after others were first.
const CLAIMS: u32 = 16;
/// The longest name of a subject, in characters.
const MAX_SUBJECT_CHARS: usize = 255;

/// A schema registry over a journal.
pub struct Registry {
    journal: Arc<dyn Journal>,
    runtime: Arc<dyn Runtime>,
    state: RwLock<State>,
    reading: Mutex<()>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// Which version is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The newest that is not deleted.
    Latest,
    /// This one.
    Number(u32),
}

/// A version of a subject that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its number.
    pub version: u32,
    /// Its schema.
    pub schema: Arc<Registered>,
}

/// What is to be done about a wish to register.
enum Decision {
    /// It is there.
    Stands(Found),
    /// It is to be claimed.
    Claim(Change),
}

impl Registry {
    /// A registry over a journal, with all that this build ever released.
    ///
    /// # Errors
    /// When the journal does not answer, or somebody else has an id or version of ours.
    pub async fn open(
        journal: Arc<dyn Journal>,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Self, JournalError> {
        let registry = Self {
            journal,
            runtime,
            state: RwLock::default(),
            reading: Mutex::default(),
        };
        registry.release_ours().await?;
        Ok(registry)
    }

    /// Registers the platform's own schemas under their own ids.
    async fn release_ours(&self) -> Result<(), JournalError> {
        self.catch_up().await?;
        let missing = ours().filter(|ours| !self.state.read().has(ours));
        let entries = missing.map(|ours| ours.entry(self.runtime.random()));
        let entries: Vec<_> = entries.collect();
        if !entries.is_empty() {
            tracing::info!(
                schemas = entries.len(),
                "registering the platform's own schemas"
            );
            self.journal.append(entries).await?;
            self.catch_up().await?;
        }
        let state = self.state.read();
        match ours().find(|ours| !state.has(ours)) {
            None => Ok(()),
            Some(ours) => Err(JournalError::Damaged(format!(
                "the schema registry has something else in the place of {ours:?}"
            ))),
        }
    }

    /// Reads the journal to its end.
    async fn catch_up(&self) -> Result<(), JournalError> {
        let _one_at_a_time = self.reading.lock().await;
        let from = self.state.read().next;
        let entries = self.journal.read(from).await?;
        if !entries.is_empty() {
            let mut state = self.state.write();
            entries.iter().for_each(|entry| state.apply(entry));
        }
        Ok(())
    }

    /// Looks at what the journal says now.
    ///
    /// # Errors
    /// When it does not answer, or what `look` refuses.
    pub async fn look<T>(
        &self,
        look: impl FnOnce(&State) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.catch_up().await?;
        look(&self.state.read())
    }

    /// A schema by its id; from memory when it is known, which never changes but by deletion.
    ///
    /// # Errors
    /// When there is none, or the journal does not answer.
    pub async fn by_id(&self, id: u32) -> Result<Arc<Registered>, Refusal> {
        let known = self.state.read().by_id(id).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let found = self.look(|state| Ok(state.by_id(id).cloned())).await?;
        found.ok_or_else(Refusal::no_schema)
    }

    /// Registers a schema as the next version of a subject; one that is there already stays as it is.
    ///
    /// # Errors
    /// When it is no schema, breaks the subject's rule, may not be changed, or the journal does not
    /// answer: then it may stand or not.
    pub async fn register(&self, subject: &str, text: &str) -> Result<Found, Refusal> {
        check_subject(subject)?;
        let schema = parse(text)?;
        for _ in 0..CLAIMS {
            let decided = self
                .look(|state| decide(state, subject, text, &schema))
                .await?;
            match decided {
                Decision::Stands(found) => return Ok(found),
                Decision::Claim(change) => self.write(&change).await?,
            }
        }
        Err(Refusal::store("others were first each time".to_owned()))
    }

    /// Writes a change that needs no answer but that it stands.
    ///
    /// # Errors
    /// When the journal does not answer; it may stand or not.
    pub async fn write(&self, change: &Change) -> Result<(), Refusal> {
        let entry = change.entry(self.runtime.random());
        Ok(self.journal.append(vec![entry]).await?)
    }
}

/// All that this build ever released.
fn ours() -> impl Iterator<Item = Change> {
    SUBJECTS.iter().flat_map(|subject| {
        (1..)
            .zip(subject.released())
            .map(|(version, text)| Change::Schema {
                subject: subject.name().to_owned(),
                version,
                id: schema_id(*subject, version),
                schema: (*text).to_owned(),
            })
    })
}

/// Reads a schema.
///
/// # Errors
/// When it is none.
pub(crate) fn parse(text: &str) -> Result<AvroSchema, Refusal> {
    AvroSchema::parse(text).map_err(|unfit| Refusal::bad_schema(unfit.0))
}

/// Checks the name of a subject.
///
/// # Errors
/// When it is too long, empty or has what breaks lines.
pub(crate) fn check_subject(subject: &str) -> Result<(), Refusal> {
    let length = subject.chars().count();
    let fits = (1..=MAX_SUBJECT_CHARS).contains(&length) && !subject.contains(char::is_control);
    fits.then_some(()).ok_or_else(Refusal::bad_subject)
}

fn decide(
    state: &State,
    subject: &str,
    text: &str,
    schema: &AvroSchema,
) -> Result<Decision, Refusal> {
    if let Some(found) = state.same(subject, schema, false) {
        return Ok(Decision::Stands(found));
    }
    state.may_write(subject)?;
    let problems = state.problems(subject, schema);
    if !problems.is_empty() {
        return Err(Refusal::incompatible(subject, problems.join("; ")));
    }
    let known = state.subjects.get(subject);
    let id = state.id_of(schema).or_else(|| state.free_id());
    Ok(Decision::Claim(Change::Schema {
        subject: subject.to_owned(),
        version: known.map_or(1, |known| known.highest + 1),
        id: id.ok_or_else(|| Refusal::store("there are no ids left".to_owned()))?,
        schema: text.to_owned(),
    }))
}

impl State {
    /// Whether a claim stands.
    fn has(&self, claim: &Change) -> bool {
        let Change::Schema {
            subject,
            version,
            id,
            schema,
        } = claim
        else {
            return false;
        };
        let subject = self.subjects.get(subject);
        let there = subject.and_then(|subject| subject.versions.get(version));
        there.is_some_and(|there| there.schema.id == *id && there.schema.text == *schema)
    }

    /// Refuses a change of a subject that may be read only.
    ///
    /// # Errors
    /// When it is one of ours, or set so.
    pub fn may_write(&self, subject: &str) -> Result<(), Refusal> {
        match self.mode(subject) {
            Mode::ReadWrite => Ok(()),
            Mode::ReadOnly => Err(Refusal::read_only(subject)),
        }
    }

    /// The newest version of a subject that is this schema.
    #[must_use]
    pub fn same(&self, subject: &str, schema: &AvroSchema, with_deleted: bool) -> Option<Found> {
        let mut versions = self.subjects.get(subject)?.live(with_deleted).rev();
        let of_it = |one: &Version| one.schema.schema.canonical == schema.canonical;
        let (version, found) = versions.find(|(_, one)| of_it(one))?;
        let schema = Arc::clone(&found.schema);
        Some(Found { version, schema })
    }

    /// A version of a subject.
    ///
    /// # Errors
    /// When there is no such subject or version.
    pub fn version(
        &self,
        subject: &str,
        wanted: Wanted,
        with_deleted: bool,
    ) -> Result<Found, Refusal> {
        let none = || Refusal::no_subject(subject);
        let known = self.subjects.get(subject).ok_or_else(none)?;
        let mut versions = known.live(with_deleted).peekable();
        versions.peek().ok_or_else(none)?;
        let found = match wanted {
            Wanted::Latest => versions.next_back(),
            Wanted::Number(number) => versions.find(|(version, _)| *version == number),
        };
        let told = match wanted {
            Wanted::Latest => "latest".to_owned(),
            Wanted::Number(number) => number.to_string(),
        };
        let (version, found) = found.ok_or_else(|| Refusal::no_version(&told))?;
        let schema = Arc::clone(&found.schema);
        Ok(Found { version, schema })
    }

    /// What is wrong with a new version of a subject.
    #[must_use]
    pub fn problems(&self, subject: &str, new: &AvroSchema) -> Vec<String> {
        let level = self.level(subject);
        let known = self.subjects.get(subject);
        let versions = known.into_iter().flat_map(|known| known.live(false).rev());
        let counted = if level.is_transitive() { usize::MAX } else { 1 };
        let against =
            |(number, one): (u32, &Version)| level.problems(new, number, &one.schema.schema);
        versions.take(counted).flat_map(against).collect()
    }

    /// What is wrong with a new version of a subject beside this one.
    #[must_use]
    pub fn problems_with(&self, subject: &str, new: &AvroSchema, old: &Found) -> Vec<String> {
        let level: Level = self.level(subject);
        level.problems(new, old.version, &old.schema.schema)
    }
}
