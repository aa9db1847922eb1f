//! The store as the port sees it.
//!
//! Nothing here awaits but the opening of the tables: after it a call is over when it is first
//! polled, so no call can be cancelled half way. Why that is right for blocking work stands at the
//! top of the crate.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use fjall::Readable;
use infra_ports::{Mutation, ScanRange, StoreError, StoredRow, TableStore};
use schemas::position::{Generation, Version};
use schemas::tables::TableDef;

use crate::config::Config;
use crate::directory::Directory;
use crate::engine::Engine;
use crate::errors::{OpenError, at_port};
use crate::found::Found;
use crate::slot::Slot;
use crate::store::Bound::{Excluded, Included, Unbounded};
use crate::{bulk, metrics, writes};

/// The embedded table store. Clones are the same store.
#[derive(Clone)]
pub struct EmbeddedStore(Arc<Slot>);

impl EmbeddedStore {
    /// Opens the store in the configured directory; makes it when it is not there. Blocks for as
    /// long as it takes to read the journal.
    ///
    /// # Errors
    /// When another process has it open, its format is newer, or it cannot be read.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        let engine = Engine::open_in(config, Directory::take(&config.path)?)?;
        tracing::info!(path = %config.path.display(), "the embedded store is open");
        Ok(Self(Slot::of(engine)))
    }

    /// Takes the configured directory, as [`open`](Self::open) does, and has its tables opened by a
    /// thread beside. Whoever calls the store earlier waits until they are open; when they do not
    /// open, every call answers [`Closed`](StoreError::Closed), and [`opened`](Self::opened) why.
    ///
    /// # Errors
    /// When another process has it open, its format is newer, or its directory cannot be read.
    pub fn open_behind(config: &Config) -> Result<Self, OpenError> {
        let directory = Directory::take(&config.path)?;
        Slot::open_behind(config.clone(), directory).map(Self)
    }

    /// Waits until the tables are open. Cancel safe.
    ///
    /// # Errors
    /// When they do not open.
    pub async fn opened(&self) -> Result<(), Arc<OpenError>> {
        self.0.opened().await
    }

    /// True while the tables are open: no call waits for them.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.now(|_| ()).is_some()
    }

    /// Takes stock for the metrics: blocks read since the store was opened, from the cache and from
    /// disk. To be called every few seconds, once the store is open, until it answers false: the
    /// store is closed.
    #[must_use]
    pub fn take_stock(&self) -> bool {
        let read = self.0.now(Engine::blocks_read);
        if let Some((cached, from_disk)) = read {
            metrics::blocks(cached, from_disk);
        }
        read.is_some()
    }
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedStore")
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

/// Bounds of clustering keys as bounds of whole keys.
fn within(
    partition: &[u8],
    bounds: (Bound<Bytes>, Bound<Bytes>),
) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let key = |cluster: &Bytes| [partition, cluster].concat();
    let low = match &bounds.0 {
        Included(cluster) => Included(key(cluster)),
        Excluded(cluster) => Excluded(key(cluster)),
        Unbounded => Included(partition.to_vec()),
    };
    let high = match &bounds.1 {
        Included(cluster) => Included(key(cluster)),
        Excluded(cluster) => Excluded(key(cluster)),
        Unbounded => infra_ports::store::behind_prefix(partition)
            .map_or(Unbounded, |behind| Excluded(behind.to_vec())),
    };
    (low, high)
}

#[async_trait]
impl TableStore for EmbeddedStore {
    async fn create_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        self.0
            .with(|engine| engine.create(tables, generation))
            .await
    }

    async fn drop_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        self.0
            .with(|engine| engine.drop_tables(tables, generation))
            .await
    }

    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError> {
        let begun = Instant::now();
        let written = self
            .0
            .with(|engine| writes::apply(engine, &mutations))
            .await;
        written
            .inspect(|()| metrics::wrote(begun.elapsed()))
            .inspect_err(|_| metrics::refused())
    }

    async fn settled(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
        highest: Version,
    ) -> Result<(), StoreError> {
        let call = |engine: &Engine| {
            for table in tables {
                engine.opened(table, generation)?.ceilings.settle(highest);
            }
            Ok(())
        };
        self.0.with(call).await
    }

    async fn load(&self, mutations: &[Mutation]) -> Result<(), StoreError> {
        let loaded = self.0.with(|engine| bulk::load(engine, mutations)).await;
        loaded.inspect_err(|_| metrics::refused())
    }

    async fn get(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        cluster: &[u8],
    ) -> Result<Option<StoredRow>, StoreError> {
        let call = |engine: &Engine| {
            let keyspace = engine.keyspace(table, generation)?;
            let key = [partition, cluster].concat();
            // Not the keyspace's own `get`: it sees rows of a batch that is not whole yet.
            let snapshot = engine.snapshot(table, generation, partition);
            let found = snapshot.get(&keyspace, &key);
            let mut row = Found::in_table(table);
            if let Some(bytes) = found.map_err(|e| at_port(table.name, &e))? {
                row.add(&key, &bytes)?;
            }
            Ok(row.into_rows().pop())
        };
        self.0.with(call).await
    }

    async fn scan(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        range: ScanRange,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let call = |engine: &Engine| {
            let keyspace = engine.keyspace(table, generation)?;
            let Some(bounds) = range.bounds() else {
                return Ok(Vec::new());
            };
            let snapshot = engine.snapshot(table, generation, partition);
            let found = snapshot.range(&keyspace, within(partition, bounds));
            let rows = Found::in_table(table);
            let rows = match range.reverse {
                true => rows.take(found.rev(), range.limit)?,
                false => rows.take(found, range.limit)?,
            };
            Ok(rows.into_rows())
        };
        self.0.with(call).await
    }

    async fn scan_table(
        &self,
        table: &'static TableDef,
        generation: Generation,
        after: Option<(Bytes, Bytes)>,
        limit: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let call = |engine: &Engine| {
            let keyspace = engine.keyspace(table, generation)?;
            let low = after.map_or(Unbounded, |(partition, cluster)| {
                Excluded([&*partition, &*cluster].concat())
            });
            // Pages of a table written to are no picture of one moment, so no gate is waited for.
            let found = engine
                .database
                .snapshot()
                .range(&keyspace, (low, Unbounded));
            Ok(Found::in_table(table).take(found, limit)?.into_rows())
        };
        self.0.with(call).await
    }

    async fn sync(&self) -> Result<(), StoreError> {
        self.0.with(Engine::sync).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        // Waits for calls under way; all after answer `Closed`.
        let Some(engine) = self.0.take().await else {
            return Ok(());
        };
        let synced = engine.sync();
        drop(engine);
        tracing::info!("the embedded store is closed");
        synced
    }
}
