//! Retention: the oldest sealed segments of a topic go when all that stands in them is old enough.

use std::sync::Arc;

use infra_ports::log::LogError;
use schemas::position::Timestamp;

use crate::segment::Segment;
use crate::topic::TopicLog;

const DAY_MILLISECONDS: i64 = 24 * 60 * 60 * 1000;

impl TopicLog {
    /// Drops sealed segments whose newest record is older than the topic keeps; returns how many.
    pub(crate) fn enforce_retention(&self, now: Timestamp) -> Result<usize, LogError> {
        let Some(days) = self.topic.spec().retention_days else {
            return Ok(0);
        };
        let oldest_kept = now
            .0
            .saturating_sub(i64::from(days).saturating_mul(DAY_MILLISECONDS));
        let view = self.view.lock();
        if view.closed {
            return Err(LogError::Closed);
        }
        let segments = Arc::clone(&view.segments);
        drop(view);
        let mut old = Vec::new();
        for segment in segments.iter().take(segments.len().saturating_sub(1)) {
            let sealed = self.open_sealed(segment).map_err(|e| failed(&e))?;
            if sealed.index.newest() >= oldest_kept {
                break;
            }
            old.push(Arc::clone(segment));
        }
        if old.is_empty() {
            return Ok(0);
        }
        // Readers first: what they no longer see nobody misses.
        self.view.lock().forget(old.len());
        for segment in &old {
            self.remove(segment).map_err(|e| failed(&e))?;
        }
        self.shared
            .storage
            .sync_directory(&self.directory)
            .map_err(|e| failed(&e))?;
        tracing::info!(topic = %self.topic, segments = old.len(), "old segments dropped");
        Ok(old.len())
    }

    /// Removes a segment's files, oldest first, so that what is left is always a chain.
    fn remove(&self, segment: &Segment) -> std::io::Result<()> {
        let storage = &self.shared.storage;
        self.sealed.forget(segment.header.number);
        storage.remove(&segment.path)?;
        match storage.remove(&self.directory.join(segment.index_name())) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn failed(error: &std::io::Error) -> LogError {
    LogError::Unavailable(format!("cannot drop an old segment: {error}"))
}
