//! A store around another, for tests: every call is passed on, but for those that a test changes.

use async_trait::async_trait;
use bytes::Bytes;
use schemas::position::{Generation, Version};
use schemas::tables::TableDef;

use crate::store::{Mutation, ScanRange, StoreError, StoredRow, TableStore};

/// What a store around another does otherwise.
#[async_trait]
pub trait Around: Send + Sync + 'static {
    /// The store that all else goes to.
    fn inner(&self) -> &dyn TableStore;

    /// The store that answers the next read of a row or of a partition of a table; asked once a read.
    fn reads(&self, _table: &'static TableDef) -> &dyn TableStore {
        self.inner()
    }

    /// Takes a write.
    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError> {
        self.inner().write(mutations).await
    }
}

/// The store that an [`Around`] makes.
pub struct AroundStore<A>(pub A);

#[async_trait]
impl<A: Around> TableStore for AroundStore<A> {
    async fn create_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        self.0.inner().create_tables(tables, generation).await
    }

    async fn drop_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        self.0.inner().drop_tables(tables, generation).await
    }

    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError> {
        self.0.write(mutations).await
    }

    async fn settled(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
        highest: Version,
    ) -> Result<(), StoreError> {
        let store = self.0.inner();
        store.settled(tables, generation, highest).await
    }

    async fn get(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        cluster: &[u8],
    ) -> Result<Option<StoredRow>, StoreError> {
        let store = self.0.reads(table);
        store.get(table, generation, partition, cluster).await
    }

    async fn scan(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        range: ScanRange,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let store = self.0.reads(table);
        store.scan(table, generation, partition, range).await
    }

    async fn scan_table(
        &self,
        table: &'static TableDef,
        generation: Generation,
        after: Option<(Bytes, Bytes)>,
        limit: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let store = self.0.inner();
        store.scan_table(table, generation, after, limit).await
    }

    async fn sync(&self) -> Result<(), StoreError> {
        self.0.inner().sync().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.inner().close().await
    }
}
