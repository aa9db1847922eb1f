//! The worker's pulse: since when it has been handing out one batch. A batch that never ends is the
//! one trouble that the worker cannot tell of itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Set while a batch is handed out.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Milliseconds of the runtime's elapsed time, plus one; 0 between batches.
    since_ms: AtomicU64,
}

impl Pulse {
    /// A batch begins.
    pub(crate) fn begin(&self, now: Duration) {
        let since = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.since_ms
            .store(since.saturating_add(1), Ordering::Relaxed);
    }

    /// The batch was handed out.
    pub(crate) fn end(&self) {
        self.since_ms.store(0, Ordering::Relaxed);
    }

    /// How long the batch at hand has taken until now.
    pub(crate) fn handing_out_for(&self, now: Duration) -> Duration {
        match self.since_ms.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => now.saturating_sub(Duration::from_millis(since - 1)),
        }
    }
}
