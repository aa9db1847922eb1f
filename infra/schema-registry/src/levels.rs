//! Levels of compatibility: what a new version of a subject must be able to do with the others.

use serde::{Deserialize, Serialize};

use crate::avro::{AvroSchema, problems};

/// A level, as registries name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Level {
    /// Nothing is checked.
    None,
    /// The new version reads what the newest wrote.
    Backward,
    /// … and what every other wrote.
    BackwardTransitive,
    /// The newest version reads what the new one writes.
    Forward,
    /// … and so does every other.
    ForwardTransitive,
    /// Both, with the newest.
    Full,
    /// Both, with every other.
    FullTransitive,
}

impl Level {
    fn new_reads_old(self) -> bool {
        match self {
            Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive => true,
            Self::None | Self::Forward | Self::ForwardTransitive => false,
        }
    }

    fn old_reads_new(self) -> bool {
        match self {
            Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive => true,
            Self::None | Self::Backward | Self::BackwardTransitive => false,
        }
    }

    /// Whether all versions count, not the newest only.
    #[must_use]
    pub fn is_transitive(self) -> bool {
        match self {
            Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive => true,
            Self::None | Self::Backward | Self::Forward | Self::Full => false,
        }
    }

    /// What is wrong with a new schema beside another version, in words; nothing when all is well.
    #[must_use]
    pub fn problems(self, new: &AvroSchema, version: u32, old: &AvroSchema) -> Vec<String> {
        let mut told = Vec::new();
        if self.new_reads_old() {
            let found = problems(new, old).into_iter();
            told.extend(found.map(|one| format!("cannot read version {version}: {one}")));
        }
        if self.old_reads_new() {
            let found = problems(old, new).into_iter();
            told.extend(found.map(|one| format!("cannot be read by version {version}: {one}")));
        }
        told
    }
}

/// What may be done with a subject, as registries name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// Everything.
    ReadWrite,
    /// Reading.
    ReadOnly,
}
