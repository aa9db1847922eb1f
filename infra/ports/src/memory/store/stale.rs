//! A store that shows its reader each chat's fold state as it was when it was first read, with what
//! the reader wrote since: what an engine would see that kept its states while others went on.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use schemas::position::{Generation, Version};
use schemas::tables::{ChatStateRow, Table, TableDef};

use super::MemoryStore;
use crate::store::{Mutation, ScanRange, StoreError, StoredRow, TableStore};

/// One engine's view of the store that it shares.
pub struct Stale {
    shared: Arc<dyn TableStore>,
    own: MemoryStore,
    seen: Mutex<BTreeSet<Bytes>>,
}

impl Stale {
    /// The view of who begins to look now.
    pub fn new(shared: Arc<dyn TableStore>) -> Self {
        Self {
            shared,
            own: MemoryStore::new(),
            seen: Mutex::default(),
        }
    }

    /// The store that answers a read: the own one for states, once it has them.
    async fn reads(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
    ) -> Result<&dyn TableStore, StoreError> {
        if table.name != ChatStateRow::DEF.name {
            return Ok(&*self.shared);
        }
        let partition = Bytes::copy_from_slice(partition);
        if self.seen.lock().contains(&partition) {
            return Ok(&self.own);
        }
        let range = ScanRange {
            limit: usize::MAX,
            ..ScanRange::default()
        };
        let shared = &self.shared;
        let rows = shared.scan(table, generation, &partition, range).await?;
        let copied = rows.into_iter().map(|row| Mutation {
            table,
            generation,
            partition: row.partition,
            cluster: row.cluster,
            values: Some(row.values),
            version: row.version,
        });
        self.own.write(copied.collect()).await?;
        self.seen.lock().insert(partition);
        Ok(&self.own)
    }
}

#[async_trait]
impl TableStore for Stale {
    async fn create_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        self.own.create_tables(tables, generation).await?;
        self.shared.create_tables(tables, generation).await
    }

    async fn drop_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        self.shared.drop_tables(tables, generation).await
    }

    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError> {
        self.own.write(mutations.clone()).await?;
        self.shared.write(mutations).await
    }

    async fn settled(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
        highest: Version,
    ) -> Result<(), StoreError> {
        self.shared.settled(tables, generation, highest).await
    }

    async fn get(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        cluster: &[u8],
    ) -> Result<Option<StoredRow>, StoreError> {
        let reads = self.reads(table, generation, partition).await?;
        reads.get(table, generation, partition, cluster).await
    }

    async fn scan(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        range: ScanRange,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let reads = self.reads(table, generation, partition).await?;
        reads.scan(table, generation, partition, range).await
    }

    async fn scan_table(
        &self,
        table: &'static TableDef,
        generation: Generation,
        after: Option<(Bytes, Bytes)>,
        limit: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let shared = &self.shared;
        shared.scan_table(table, generation, after, limit).await
    }

    async fn sync(&self) -> Result<(), StoreError> {
        self.shared.sync().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.shared.close().await
    }
}
