//! The table store in memory: for fast tests and for the simulation.
//!
//! What survives a crash (the disk) stands apart from the handles on it: [`MemoryStore::crash`]
//! takes down every handle and loses some of what was not synced, [`MemoryStore::reopen`] gives a
//! new one, and a second handle beside a living first one is a zombie. Every effect has a fault
//! point before and after it; nothing here needs a runtime.
//!
//! Fault sites. Points: `store.write.before`, `store.write.between` (some partitions are written,
//! others not), `store.write.after`, `store.read.before`, `store.read.after`, `store.sync.before`,
//! `store.sync.after`, `store.tables.before`, `store.tables.after`, `store.close.before`. Choices:
//! `store.write` (1 unavailable and nothing written, 2 unavailable but written), `store.write.first`
//! (which partition of a write comes first), `store.write.torn` (after how many partitions a write
//! fails; 0 none), `store.read` (1 unavailable), `store.sync` (1 unavailable and not synced, 2
//! unavailable but synced), `store.crash.lost` (how many unsynced writes are lost, each to one
//! partition).

mod around;
mod disk;
mod stale;

pub use around::{Around, AroundStore};
pub use stale::Stale;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use schemas::position::{Generation, Version};
use schemas::tables::TableDef;

use self::disk::Disk;
use super::faults::{Faults, NoFaults};
use crate::store::{Mutation, ScanRange, StoreError, StoredRow, TableStore};

/// One opening of the store; over once it was closed or has crashed.
struct Life {
    over: AtomicBool,
    /// How many crashes the disk had seen when this life began.
    crashes: u64,
}

/// A handle on a store in memory. Clones are the same handle.
#[derive(Clone)]
pub struct MemoryStore {
    disk: Arc<Mutex<Disk>>,
    life: Arc<Life>,
    faults: Arc<dyn Faults>,
}

impl MemoryStore {
    /// Makes an empty store without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::with_faults(Arc::new(NoFaults))
    }

    /// Makes an empty store whose effects pass the given faults.
    #[must_use]
    pub fn with_faults(faults: Arc<dyn Faults>) -> Self {
        Self::live(Arc::default(), faults)
    }

    /// Opens the same store again. The handle it is called on stays as it is: closed, crashed, or
    /// alive beside the new one.
    #[must_use]
    pub fn reopen(&self, faults: Arc<dyn Faults>) -> Self {
        Self::live(Arc::clone(&self.disk), faults)
    }

    /// Crashes the store: every handle answers `Closed` from now on, and of what was not synced the
    /// choice `store.crash.lost` says how many of the newest writes are lost.
    pub fn crash(&self) {
        let lost = |options| self.faults.choose("store.crash.lost", options);
        self.disk.lock().crash(lost);
    }

    fn live(disk: Arc<Mutex<Disk>>, faults: Arc<dyn Faults>) -> Self {
        let life = Life {
            over: AtomicBool::new(false),
            crashes: disk.lock().crashes(),
        };
        Self {
            disk,
            life: Arc::new(life),
            faults,
        }
    }

    /// Locks the disk, if this handle is still alive.
    fn disk(&self) -> Result<MutexGuard<'_, Disk>, StoreError> {
        let disk = self.disk.lock();
        if self.life.over.load(Ordering::Acquire) || disk.crashes() != self.life.crashes {
            return Err(StoreError::Closed);
        }
        Ok(disk)
    }

    /// Reads between two points.
    async fn read<R>(
        &self,
        read: impl FnOnce(&Disk) -> Result<R, StoreError> + Send,
    ) -> Result<R, StoreError> {
        self.faults.point("store.read.before").await;
        if self.faults.choose("store.read", 2) == 1 {
            return Err(StoreError::Unavailable("by choice".into()));
        }
        let answer = read(&*self.disk()?)?;
        self.faults.point("store.read.after").await;
        Ok(answer)
    }

    /// Changes the tables between two points.
    async fn change_tables(&self, change: impl FnOnce(&mut Disk) + Send) -> Result<(), StoreError> {
        self.faults.point("store.tables.before").await;
        change(&mut *self.disk()?);
        self.faults.point("store.tables.after").await;
        Ok(())
    }

    /// Writes partition by partition, with a point between each two.
    async fn write_torn(&self, mut groups: Vec<Vec<Mutation>>) -> Result<(), StoreError> {
        let count = u32::try_from(groups.len()).unwrap_or(u32::MAX);
        let mut fails_after = None;
        if count > 1 {
            let first = self.faults.choose("store.write.first", count);
            let first = usize::try_from(first).unwrap_or(0) % groups.len();
            groups.rotate_left(first);
            let torn = self.faults.choose("store.write.torn", count);
            fails_after = (torn > 0).then_some(torn);
        }
        for (written, group) in (0u32..).zip(groups) {
            if written > 0 {
                self.faults.point("store.write.between").await;
            }
            if fails_after == Some(written) {
                let torn = format!("by choice, {written} of {count} partitions written");
                return Err(StoreError::Unavailable(torn));
            }
            let mut disk = self.disk()?;
            disk.check(&group)?;
            disk.apply(group);
        }
        Ok(())
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

/// Mutations by partition, in the order in which the partitions come first.
fn by_partition(mutations: Vec<Mutation>) -> Vec<Vec<Mutation>> {
    let mut places = std::collections::BTreeMap::new();
    let mut groups: Vec<Vec<Mutation>> = Vec::new();
    for mutation in mutations {
        let key = (
            mutation.table.name,
            mutation.generation,
            mutation.partition.clone(),
        );
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(mutation),
            None => groups.push(vec![mutation]),
        }
    }
    groups
}

#[async_trait]
impl TableStore for MemoryStore {
    async fn create_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        self.change_tables(|disk| disk.create(tables, generation))
            .await
    }

    async fn drop_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        self.change_tables(|disk| disk.drop_tables(tables, generation))
            .await
    }

    async fn settled(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
        highest: Version,
    ) -> Result<(), StoreError> {
        self.disk()?.settle(tables, generation, highest);
        Ok(())
    }

    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError> {
        self.disk()?.check(&mutations)?;
        self.faults.point("store.write.before").await;
        let choice = self.faults.choose("store.write", 3);
        if choice == 1 {
            return Err(StoreError::Unavailable("by choice, not written".into()));
        }
        self.write_torn(by_partition(mutations)).await?;
        self.faults.point("store.write.after").await;
        if choice == 2 {
            return Err(StoreError::Unavailable("by choice, written".into()));
        }
        Ok(())
    }

    async fn get(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        cluster: &[u8],
    ) -> Result<Option<StoredRow>, StoreError> {
        self.read(|disk| disk.get(table, generation, partition, cluster))
            .await
    }

    async fn scan(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        range: ScanRange,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.read(|disk| disk.scan(table, generation, partition, &range))
            .await
    }

    async fn scan_table(
        &self,
        table: &'static TableDef,
        generation: Generation,
        after: Option<(Bytes, Bytes)>,
        limit: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.read(|disk| disk.scan_table(table, generation, after.as_ref(), limit))
            .await
    }

    async fn sync(&self) -> Result<(), StoreError> {
        drop(self.disk()?);
        self.faults.point("store.sync.before").await;
        let choice = self.faults.choose("store.sync", 3);
        if choice == 1 {
            return Err(StoreError::Unavailable("by choice, not synced".into()));
        }
        self.disk()?.sync();
        self.faults.point("store.sync.after").await;
        if choice == 2 {
            return Err(StoreError::Unavailable("by choice, synced".into()));
        }
        Ok(())
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.faults.point("store.close.before").await;
        if let Ok(mut disk) = self.disk() {
            disk.sync();
            self.life.over.store(true, Ordering::Release);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
