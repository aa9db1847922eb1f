//! Why a log could not be opened. What goes wrong later is a `LogError` of the port.

use std::io;
use std::path::{Path, PathBuf};

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The settings contradict themselves.
    #[error("bad settings of the log: {0}")]
    Config(String),
    /// Another process, or another handle in this one, has it open.
    #[error("the log in {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// It was created with another partition count, which is part of its format.
    #[error("the log in {} was created with {found} partitions, not {configured}", directory.display())]
    Partitions {
        /// The log.
        directory: PathBuf,
        /// What it was created with.
        found: u32,
        /// What the settings say.
        configured: u32,
    },
    /// It was written by a newer program.
    #[error("{} has format {found}, this program knows formats up to {known}", file.display())]
    Newer {
        /// The file that says so.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// The newest known here.
        known: u32,
    },
    /// Bytes that were durable are not what was written.
    #[error("{} is damaged at byte {position}: {reason}", file.display())]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// Where in it.
        position: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", file.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io(action: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Io {
            action,
            file,
            source,
        }
    }

    pub(crate) fn damaged(file: &Path, position: u64, reason: impl Into<String>) -> Self {
        Self::Damaged {
            file: file.to_owned(),
            position,
            reason: reason.into(),
        }
    }
}
