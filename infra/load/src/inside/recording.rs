//! The rows that projectors write, taken down on their way into the store, so that the bare store
//! loop can write the very same rows in the same batches from as many threads, without a fold.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use infra_ports::{Mutation, ScanRange, StoreError, StoredRow, TableStore};
use parking_lot::Mutex;
use schemas::position::Generation;
use schemas::tables::TableDef;

/// The batches that one thread wrote, in its order.
type Batches = Vec<Vec<Mutation>>;

/// A store that keeps a copy of every batch written through it.
pub(super) struct RecordingStore {
    inner: Arc<dyn TableStore>,
    written: Mutex<HashMap<ThreadId, Batches>>,
}

impl RecordingStore {
    pub(super) fn new(inner: Arc<dyn TableStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            written: Mutex::default(),
        })
    }

    /// What was written so far, by the thread that wrote it.
    pub(super) fn take(&self) -> Recording {
        let written = std::mem::take(&mut *self.written.lock());
        Recording(written.into_values().collect())
    }
}

/// Rows to be written again.
pub(super) struct Recording(Vec<Batches>);

impl Recording {
    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.0.iter().flatten().map(Vec::len).sum()
    }

    /// Writes all of it, a thread for each that wrote it first, and returns how long it took.
    pub(super) async fn write(&self, store: &Arc<dyn TableStore>) -> anyhow::Result<Duration> {
        let lists = self.0.clone();
        let runtime = tokio::runtime::Handle::current();
        let begun = Instant::now();
        let threads = lists.into_iter().map(|batches| {
            let (store, runtime) = (Arc::clone(store), runtime.clone());
            tokio::task::spawn_blocking(move || {
                runtime.block_on(async {
                    for batch in batches {
                        store.write(batch).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
        });
        let threads: Vec<_> = threads.collect();
        for thread in threads {
            thread.await??;
        }
        Ok(begun.elapsed())
    }
}

#[async_trait]
impl TableStore for RecordingStore {
    async fn create_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        self.inner.create_tables(tables, generation).await
    }

    async fn drop_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        self.inner.drop_tables(tables, generation).await
    }

    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError> {
        let copy = mutations.clone();
        let writer = std::thread::current().id();
        self.written.lock().entry(writer).or_default().push(copy);
        self.inner.write(mutations).await
    }

    async fn get(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        cluster: &[u8],
    ) -> Result<Option<StoredRow>, StoreError> {
        self.inner.get(table, generation, partition, cluster).await
    }

    async fn scan(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        range: ScanRange,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.inner.scan(table, generation, partition, range).await
    }

    async fn scan_table(
        &self,
        table: &'static TableDef,
        generation: Generation,
        after: Option<(Bytes, Bytes)>,
        limit: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.inner.scan_table(table, generation, after, limit).await
    }

    async fn sync(&self) -> Result<(), StoreError> {
        self.inner.sync().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
