//! Whether the log may still be written to.
//!
//! After a write or an fsync failed, nobody knows what the disk holds: the kernel may have dropped
//! the pages and call the next fsync a success. So the first failure of any topic stops all writes
//! until the log is opened again, which reads what is really there. Reads go on.

use std::path::Path;
use std::sync::OnceLock;

use infra_ports::log::LogError;

use crate::metrics;

/// The first failure, if there was one.
#[derive(Default)]
pub(crate) struct Poison(OnceLock<String>);

impl Poison {
    /// An error when the log is poisoned.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        self.0
            .get()
            .map_or(Ok(()), |reason| Err(LogError::Poisoned(reason.clone())))
    }

    /// Poisons the log and says so.
    pub(crate) fn spread(
        &self,
        action: &'static str,
        file: &Path,
        error: &std::io::Error,
    ) -> LogError {
        let reason = format!("cannot {action} {}: {error}", file.display());
        tracing::error!(
            reason,
            "the log takes no more appends until it is opened again"
        );
        metrics::poisoned();
        let reason = self.0.get_or_init(|| reason);
        LogError::Poisoned(reason.clone())
    }
}
