//! What the journal says: a pure fold of its entries, in their order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use infra_ports::journal::Entry;
use schemas::avro::{FIRST_SCHEMA_ID, SUBJECTS};
use schemas::topics::TOPICS;

use crate::avro::AvroSchema;
use crate::levels::{Level, Mode};
use crate::records::Change;

/// Schemas, subjects and settings.
#[derive(Debug, Default)]
pub struct State {
    /// Where to read on.
    pub next: u64,
    /// By name.
    pub subjects: BTreeMap<String, Subject>,
    /// By id.
    pub schemas: BTreeMap<u32, Arc<Registered>>,
    ids: HashMap<String, u32>,
    level: Option<Level>,
    mode: Option<Mode>,
}

/// A schema with its id.
#[derive(Debug)]
pub struct Registered {
    /// Its id.
    pub id: u32,
    /// The text as it was registered.
    pub text: String,
    /// What it says.
    pub schema: AvroSchema,
}

/// A subject.
#[derive(Debug, Default)]
pub struct Subject {
    /// All but those deleted for good.
    pub versions: BTreeMap<u32, Version>,
    /// The highest number ever given: none is given twice.
    pub highest: u32,
    /// Its own level.
    pub level: Option<Level>,
    /// Its own mode.
    pub mode: Option<Mode>,
}

/// A version of a subject.
#[derive(Debug, Clone)]
pub struct Version {
    /// Its schema.
    pub schema: Arc<Registered>,
    /// Only those who ask for deleted ones find it.
    pub deleted: bool,
}

/// The level where nothing was set: that of the registries in use.
const DEFAULT_LEVEL: Level = Level::Backward;

impl State {
    /// Takes an entry in. What no build like this one wrote is left out, and said.
    pub fn apply(&mut self, entry: &Entry) {
        self.next = self.next.max(entry.place + 1);
        match Change::of(entry) {
            Ok(change) => self.change(change),
            Err(error) => {
                tracing::warn!(place = entry.place, key = %entry.key, %error, "an entry of the schema registry cannot be read");
            }
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Schema {
                subject,
                version,
                id,
                schema,
            } => self.claim(subject, version, id, schema),
            Change::Deleted {
                subject,
                version,
                permanent,
            } => self.delete(&subject, version, permanent),
            Change::Level { subject, level } => match subject {
                Some(subject) => self.subjects.entry(subject).or_default().level = level,
                None => self.level = level,
            },
            Change::Mode { subject, mode } => match subject {
                Some(subject) => self.subjects.entry(subject).or_default().mode = mode,
                None => self.mode = mode,
            },
        }
    }

    /// The first claim to a version has it, if its id is free or the schema's own.
    fn claim(&mut self, subject: String, version: u32, id: u32, text: String) {
        let Ok(schema) = AvroSchema::parse(&text) else {
            tracing::warn!(%subject, version, "a schema of the registry is none for this build");
            return;
        };
        let highest = self.subjects.get(&subject).map_or(0, |one| one.highest);
        let known = self.ids.get(&schema.canonical).copied();
        let taken = self.schemas.contains_key(&id) && known != Some(id);
        if version <= highest || taken || known.is_some_and(|known| known != id) {
            return;
        }
        self.ids.insert(schema.canonical.clone(), id);
        let new = || Arc::new(Registered { id, text, schema });
        let schema = Arc::clone(self.schemas.entry(id).or_insert_with(new));
        let subject = self.subjects.entry(subject).or_default();
        subject.highest = version;
        let deleted = false;
        subject
            .versions
            .insert(version, Version { schema, deleted });
    }

    fn delete(&mut self, subject: &str, version: u32, permanent: bool) {
        let Some(subject) = self.subjects.get_mut(subject) else {
            return;
        };
        if permanent {
            subject.versions.remove(&version);
        } else if let Some(version) = subject.versions.get_mut(&version) {
            version.deleted = true;
        }
    }

    /// The id of a schema, if it has one already.
    #[must_use]
    pub fn id_of(&self, schema: &AvroSchema) -> Option<u32> {
        self.ids.get(&schema.canonical).copied()
    }

    /// The next id for somebody else's schema; none when there are no more.
    #[must_use]
    pub fn free_id(&self) -> Option<u32> {
        let theirs = self.schemas.range(..FIRST_SCHEMA_ID).next_back();
        let next = theirs.map_or(1, |(id, _)| id + 1);
        (next < FIRST_SCHEMA_ID).then_some(next)
    }

    /// A schema by its id, while some version of some subject is it.
    #[must_use]
    pub fn by_id(&self, id: u32) -> Option<&Arc<Registered>> {
        let used = self.uses(id, true).next().is_some();
        self.schemas.get(&id).filter(|_| used)
    }

    /// Subjects and versions that are the schema of this id.
    pub fn uses(&self, id: u32, with_deleted: bool) -> impl Iterator<Item = (&str, u32)> {
        self.subjects.iter().flat_map(move |(name, subject)| {
            let versions = subject.live(with_deleted);
            let of_it = versions.filter(move |(_, version)| version.schema.id == id);
            of_it.map(move |(number, _)| (name.as_str(), number))
        })
    }

    /// The level that a subject's new versions are held to.
    #[must_use]
    pub fn level(&self, subject: &str) -> Level {
        if is_ours(subject) {
            return Level::FullTransitive;
        }
        let own = self.subjects.get(subject).and_then(|one| one.level);
        own.or(self.level).unwrap_or(DEFAULT_LEVEL)
    }

    /// The level of all subjects that have none.
    #[must_use]
    pub fn level_of_all(&self) -> Level {
        self.level.unwrap_or(DEFAULT_LEVEL)
    }

    /// What may be done with a subject.
    #[must_use]
    pub fn mode(&self, subject: &str) -> Mode {
        if is_ours(subject) {
            return Mode::ReadOnly;
        }
        let own = self.subjects.get(subject).and_then(|one| one.mode);
        own.unwrap_or(self.mode_of_all())
    }

    /// What may be done with all subjects that have no mode.
    #[must_use]
    pub fn mode_of_all(&self) -> Mode {
        self.mode.unwrap_or(Mode::ReadWrite)
    }
}

impl Subject {
    /// Versions with their numbers, from the first.
    pub fn live(&self, with_deleted: bool) -> impl DoubleEndedIterator<Item = (u32, &Version)> {
        let all = self.versions.iter().map(|(number, one)| (*number, one));
        all.filter(move |(_, version)| with_deleted || !version.deleted)
    }
}

/// True for subjects of the platform's own events, those of newer builds included: only a node
/// registers them.
#[must_use]
pub(crate) fn is_ours(subject: &str) -> bool {
    let known = SUBJECTS.iter().any(|one| one.name() == subject);
    let of = |topic: &str| subject.strip_prefix(topic)?.strip_prefix("-cursus.");
    known || TOPICS.iter().any(|spec| of(spec.name).is_some())
}
