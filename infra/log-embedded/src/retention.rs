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
        // One after the other: what is forgotten is counted.
        let mut forgotten = self.forgotten.lock();
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
        // Readers first: what they no longer see nobody misses.
        self.view.lock().forget(old.len());
        forgotten.extend(old);
        let mut dropped = 0;
        // The oldest first, and none before it is gone: what is left is always a chain.
        while let Some(segment) = forgotten.front() {
            self.remove(segment).map_err(|e| failed(&e))?;
            forgotten.pop_front();
            dropped += 1;
        }
        if dropped > 0 {
            let storage = &self.shared.storage;
            let synced = storage.sync_directory(&self.directory);
            synced.map_err(|e| failed(&e))?;
            tracing::info!(topic = %self.topic, segments = dropped, "old segments dropped");
        }
        Ok(dropped)
    }

    /// Removes a segment's files, which may be gone already.
    fn remove(&self, segment: &Segment) -> std::io::Result<()> {
        self.sealed.forget(segment.header.number);
        for file in [
            segment.path.clone(),
            self.directory.join(segment.index_name()),
        ] {
            match self.shared.storage.remove(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

fn failed(error: &std::io::Error) -> LogError {
    LogError::Unavailable(format!("cannot drop an old segment: {error}"))
}
