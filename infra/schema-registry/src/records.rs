//! What the registry writes into its journal, as JSON that people can read.
//!
//! Keys are such that compaction changes nothing: a schema's entry has a key of its own for ever, so
//! that the first claim to a version stays the first; settings and deletions replace their like.

use bytes::Bytes;
use infra_ports::journal::{Entry, NewEntry};
use serde::{Deserialize, Serialize};

use crate::levels::{Level, Mode};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Change {
    /// A claim: this schema is to be this version of this subject, under this id. It counts when
    /// neither version nor id is taken.
    Schema {
        /// The subject.
        subject: String,
        /// From 1.
        version: u32,
        /// Under which readers find it.
        id: u32,
        /// Its text.
        schema: String,
    },
    /// A version is deleted.
    Deleted {
        /// The subject.
        subject: String,
        /// From 1.
        version: u32,
        /// For good: it cannot be found any more by those who ask for deleted ones.
        permanent: bool,
    },
    /// The level of a subject, or of all that have none.
    Level {
        /// None: all.
        subject: Option<String>,
        /// None: as if it had never been set.
        level: Option<Level>,
    },
    /// The mode of a subject, or of all that have none.
    Mode {
        /// None: all.
        subject: Option<String>,
        /// None: as if it had never been set.
        mode: Option<Mode>,
    },
}

impl Change {
    /// The entry; `chance` keeps claims apart that are otherwise the same.
    #[must_use]
    pub fn entry(&self, chance: u64) -> NewEntry {
        let of = |subject: &Option<String>| subject.clone().unwrap_or_default();
        let key = match self {
            Self::Schema {
                subject, version, ..
            } => format!("schema/{subject}/{version}/{chance:016x}"),
            Self::Deleted {
                subject, version, ..
            } => format!("deleted/{subject}/{version}"),
            Self::Level { subject, .. } => format!("level/{}", of(subject)),
            Self::Mode { subject, .. } => format!("mode/{}", of(subject)),
        };
        let value = serde_json::to_vec(self).unwrap_or_default();
        NewEntry {
            key,
            value: Bytes::from(value),
        }
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// When a newer build wrote it, or something else.
    pub fn of(entry: &Entry) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(&entry.value)
    }
}
