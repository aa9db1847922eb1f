//! What can go wrong when opening, and what fjall's errors mean at the port.

use std::path::PathBuf;

use infra_ports::StoreError;

/// Why the store does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("the store in {0} is in use by another process")]
    Locked(PathBuf),
    /// It was written by a later version.
    #[error("the store in {path} has format {found}, newer than {known}: upgrade needed")]
    Newer {
        /// Where.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest this build knows.
        known: u32,
    },
    /// The directory holds something else, or its format file is damaged.
    #[error("{path} is not a store: {reason}")]
    NotAStore {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A file could not be read or written.
    #[error("store file {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The tables do not open.
    #[error("the tables in {path} do not open: {source}")]
    Tables {
        /// Where.
        path: PathBuf,
        /// Why.
        source: Box<fjall::Error>,
    },
    /// The thread that opened the tables died; it said why on standard error.
    #[error("the thread that opened the tables died")]
    Abandoned,
}

/// What an error of fjall means for a caller who works on `table`. The first failed write or sync is
/// one of input and output; all after it find the store poisoned.
pub(crate) fn at_port(table: &'static str, error: &fjall::Error) -> StoreError {
    if matches!(error, fjall::Error::Poisoned) {
        return StoreError::Poisoned("a write or a sync failed before".into());
    }
    let out_of_service = matches!(
        error,
        fjall::Error::Io(_) | fjall::Error::Storage(fjall::LsmError::Io(_)) | fjall::Error::Locked
    );
    if out_of_service {
        StoreError::Unavailable(error.to_string())
    } else {
        StoreError::Damaged {
            table,
            reason: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_with_the_disk_can_be_tried_again_and_damage_cannot() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(at_port("t", &fjall::Error::Io(full())).is_retryable());
        let within = fjall::Error::Storage(fjall::LsmError::Io(full()));
        assert!(at_port("t", &within).is_retryable());
        assert!(!at_port("t", &fjall::Error::InvalidTrailer).is_retryable());
    }

    #[test]
    fn a_poisoned_store_is_no_damage_and_trying_again_does_not_help() {
        let error = at_port("t", &fjall::Error::Poisoned);
        assert!(matches!(error, StoreError::Poisoned(_)), "{error}");
        assert!(!error.is_retryable());
    }
}
