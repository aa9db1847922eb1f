//! Room on the disk, looked at before it is gone.
//!
//! A journal whose write failed takes no further one before the store is opened again. So writes are
//! refused a little earlier; reads go on, and writes too as soon as there is room again.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use infra_ports::StoreError;

use crate::metrics;

/// Bytes that may be written without looking again.
const UNSEEN_BYTES: u64 = 1024 * 1024;

/// Free bytes of the disk, by asking it.
type Probe = Box<dyn Fn() -> std::io::Result<u64> + Send + Sync>;

/// Lets writes pass while there is room.
pub(crate) struct Room {
    probe: Probe,
    min_free_bytes: u64,
    /// Bytes written since the last look.
    unseen: AtomicU64,
    /// What the last look said.
    full: AtomicBool,
}

impl Room {
    /// Watches the disk that a directory is on.
    pub(crate) fn of(path: &Path, min_free_bytes: u64) -> Self {
        let path = path.to_owned();
        let probe = move || {
            let disk = rustix::fs::statvfs(&path)?;
            Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
        };
        Self::new(Box::new(probe), min_free_bytes)
    }

    fn new(probe: Probe, min_free_bytes: u64) -> Self {
        let (unseen, full) = (AtomicU64::new(UNSEEN_BYTES), AtomicBool::new(false));
        Self {
            probe,
            min_free_bytes,
            unseen,
            full,
        }
    }

    /// Lets a write of so many bytes pass, or says that there is no room.
    pub(crate) fn admit(&self, size_bytes: u64) -> Result<(), StoreError> {
        let unseen = self.unseen.fetch_add(size_bytes, Ordering::Relaxed);
        if unseen < UNSEEN_BYTES && !self.full.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.unseen.store(0, Ordering::Relaxed);
        let free = (self.probe)().map_err(|e| StoreError::Unavailable(e.to_string()))?;
        metrics::free(free);
        let full = free < self.min_free_bytes;
        if full != self.full.swap(full, Ordering::Relaxed) {
            tracing::warn!(full, free_bytes = free, "room on the store's disk");
        }
        if full {
            let left = format!(
                "{free} bytes left on the disk, {} needed",
                self.min_free_bytes
            );
            return Err(StoreError::Unavailable(left));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn writes_stop_before_the_disk_is_full_and_go_on_when_there_is_room() {
        let free = Arc::new(AtomicU64::new(1_000));
        let seen = Arc::clone(&free);
        let room = Room::new(Box::new(move || Ok(seen.load(Ordering::Relaxed))), 500);
        room.admit(10).unwrap();
        free.store(400, Ordering::Relaxed);
        room.admit(10).unwrap();
        room.admit(UNSEEN_BYTES).unwrap();
        assert!(
            room.admit(1).is_err_and(|e| e.is_retryable()),
            "looked again after 1 MiB"
        );
        assert!(room.admit(1).is_err(), "looks at every write while full");
        free.store(500, Ordering::Relaxed);
        room.admit(1).unwrap();
    }

    #[test]
    fn a_real_disk_says_how_much_is_free() {
        let dir = tempfile::tempdir().unwrap();
        Room::of(dir.path(), 1).admit(1).unwrap();
        assert!(Room::of(dir.path(), u64::MAX).admit(1).is_err());
        assert!(Room::of(&dir.path().join("none"), 1).admit(1).is_err());
    }
}
