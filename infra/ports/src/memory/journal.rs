//! A journal in memory.

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::journal::{Entry, Journal, JournalError, NewEntry};

/// A journal that ends with the process.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    entries: Mutex<Vec<Entry>>,
}

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Drops every entry that a later one replaced, as compaction does at any time.
    pub fn compact(&self) {
        let mut entries = self.entries.lock();
        let mut seen = std::collections::HashSet::new();
        let mut kept: Vec<Entry> = entries.drain(..).rev().collect();
        kept.retain(|entry| seen.insert(entry.key.clone()));
        kept.reverse();
        *entries = kept;
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, new: Vec<NewEntry>) -> Result<(), JournalError> {
        let mut entries = self.entries.lock();
        for NewEntry { key, value } in new {
            let place = entries.last().map_or(0, |last| last.place + 1);
            entries.push(Entry { place, key, value });
        }
        Ok(())
    }

    async fn read(&self, from: u64) -> Result<Vec<Entry>, JournalError> {
        let entries = self.entries.lock();
        let at = entries.partition_point(|entry| entry.place < from);
        Ok(entries.iter().skip(at).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn journal_in_memory_keeps_the_laws() {
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
        let laws = crate::laws::journal::run(async || Arc::clone(&journal));
        laws.now_or_never().expect("it never waits");
    }
}
