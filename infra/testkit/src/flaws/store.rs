//! A store that forgets, or that remembers in the wrong order.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use infra_ports::{Mutation, Runtime, ScanRange, StoreError, StoredRow, TableStore};
use schemas::position::Generation;
use schemas::tables::TableDef;
use tokio::sync::mpsc;

use super::Flaw;

/// The kind under which the chats fold remembers verdicts in its state.
const VERDICT_KIND: &[u8] = b"verdict";
/// How long rows are held back behind their checkpoint.
const LATE: Duration = Duration::from_millis(400);
/// Writes that may be held back at once.
const HELD: usize = 10_000;

/// A sound store behind a forgetful one.
pub struct FlawedStore {
    flaw: Flaw,
    store: Arc<dyn TableStore>,
    held: mpsc::Sender<Vec<Mutation>>,
}

impl FlawedStore {
    /// Wraps a sound store.
    pub fn new(flaw: Flaw, store: Arc<dyn TableStore>, runtime: Arc<dyn Runtime>) -> Self {
        let (held, mut late) = mpsc::channel::<Vec<Mutation>>(HELD);
        let (inner, clock) = (Arc::clone(&store), Arc::clone(&runtime));
        let task = async move {
            while let Some(first) = late.recv().await {
                clock.sleep(LATE).await;
                let mut mutations = first;
                while let Ok(more) = late.try_recv() {
                    mutations.extend(more);
                }
                if let Err(error) = inner.write(mutations).await {
                    tracing::debug!(%error, "the late write failed, as it may");
                }
            }
        };
        runtime.spawn("late-rows", Box::pin(task));
        Self { flaw, store, held }
    }
}

/// Rows of the fold state that hold verdicts, not the head or members of a chat.
fn is_verdict(mutation: &Mutation) -> bool {
    mutation.table.name == "chat_states" && mutation.cluster.starts_with(VERDICT_KIND)
}

#[async_trait]
impl TableStore for FlawedStore {
    async fn create_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        self.store.create_tables(tables, generation).await
    }

    async fn drop_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        self.store.drop_tables(tables, generation).await
    }

    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError> {
        if self.flaw == Flaw::NoDedupe {
            let kept = mutations.into_iter().filter(|m| !is_verdict(m)).collect();
            return self.store.write(kept).await;
        }
        let (early, late): (Vec<_>, Vec<_>) = mutations
            .into_iter()
            .partition(|m| m.table.name == "checkpoints");
        if !late.is_empty() && self.held.send(late).await.is_err() {
            return Err(StoreError::Closed);
        }
        self.store.write(early).await
    }

    async fn get(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        cluster: &[u8],
    ) -> Result<Option<StoredRow>, StoreError> {
        self.store.get(table, generation, partition, cluster).await
    }

    async fn scan(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        range: ScanRange,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.store.scan(table, generation, partition, range).await
    }

    async fn scan_table(
        &self,
        table: &'static TableDef,
        generation: Generation,
        after: Option<(Bytes, Bytes)>,
        limit: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.store.scan_table(table, generation, after, limit).await
    }

    async fn sync(&self) -> Result<(), StoreError> {
        self.store.sync().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await
    }
}
