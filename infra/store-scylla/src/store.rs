//! The store behind the port.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use infra_ports::TableStore;
use infra_ports::store::{Mutation, ScanRange, StoreError, StoredRow};
use schemas::position::Generation;
use schemas::tables::TableDef;
use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::Config;
use crate::connect::connect;
use crate::errors::{ConnectError, refusal, unavailable};
use crate::lock::Claim;
use crate::prepared::{Builds, Prepared, exists};
use crate::schema;
use crate::slot::Slot;

/// Tables in a keyspace of Cassandra or ScyllaDB.
pub struct ScyllaStore {
    config: Config,
    slot: Arc<Slot>,
    builds: Builds,
    turns: Semaphore,
}

impl std::fmt::Debug for ScyllaStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScyllaStore")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl ScyllaStore {
    /// Connects, and creates the keyspace when there is none.
    ///
    /// # Errors
    /// When settings are wrong, no node answers in time, none lets us in, or there is no keyspace
    /// and it cannot be made.
    pub async fn connect(config: Config) -> Result<Self, ConnectError> {
        config.check()?;
        let slot = Slot::of(connect(&config).await?);
        Ok(Self::new(config, slot))
    }

    /// Connects beside, again and again until it works: a node serves sockets meanwhile. Until then
    /// calls wait, no longer than a request may take, and then answer `Unavailable`.
    ///
    /// # Errors
    /// When settings are wrong, which waiting does not mend.
    pub fn connect_behind(config: Config) -> Result<Self, ConnectError> {
        config.check()?;
        let slot = Slot::filled_behind(config.clone());
        Ok(Self::new(config, slot))
    }

    fn new(config: Config, slot: Arc<Slot>) -> Self {
        Self {
            slot,
            builds: Builds::default(),
            turns: Semaphore::new(config.writes_at_once.min(Semaphore::MAX_PERMITS)),
            config,
        }
    }

    /// Whether it still waits for its first session and, once a try has failed, why.
    pub fn awaits(&self) -> Option<Option<String>> {
        self.slot.awaited()
    }

    /// Claims something that one process at a time may do, under a name that all of them use. One
    /// that a process had which is no more ends within 20 s; so long it is waited for.
    ///
    /// # Errors
    /// When somebody else has it, or nobody answers.
    pub async fn claim(&self, name: &'static str) -> Result<Claim, StoreError> {
        Claim::take(self.session().await?, &self.config.keyspace, name).await
    }

    pub(crate) async fn session(&self) -> Result<Arc<Session>, StoreError> {
        self.slot.session(self.config.answer_within).await
    }

    pub(crate) fn writes_at_once(&self) -> usize {
        self.config.writes_at_once
    }

    /// Waits for a place among the writes under way, no longer than a request may take.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        let turn = tokio::time::timeout(self.config.answer_within, self.turns.acquire());
        let turn = turn.await.map_err(|_| {
            let at_once = self.config.writes_at_once;
            StoreError::Unavailable(format!("{at_once} writes are under way and none ends"))
        })?;
        turn.map_err(|_| StoreError::Closed)
    }

    /// The statements of a build.
    pub(crate) async fn build(
        &self,
        table: &'static TableDef,
        generation: Generation,
    ) -> Result<Arc<Prepared>, StoreError> {
        let session = self.session().await?;
        let keyspace = &self.config.keyspace;
        self.builds.of(&session, keyspace, table, generation).await
    }

    /// What a failed request means. A refused one may speak of a build that somebody dropped.
    pub(crate) async fn failed(
        &self,
        error: &ExecutionError,
        table: &'static TableDef,
        generation: Generation,
    ) -> StoreError {
        let Some(reason) = refusal(error) else {
            return unavailable(error);
        };
        self.builds.forget(table, generation);
        let session = match self.session().await {
            Ok(session) => session,
            Err(closed) => return closed,
        };
        match exists(&session, &self.config.keyspace, table, generation).await {
            Ok(true) => StoreError::Refused {
                table: table.name,
                reason,
            },
            Ok(false) => StoreError::UnknownTable {
                table: table.name,
                generation,
            },
            Err(error) => error,
        }
    }
}

#[async_trait]
impl TableStore for ScyllaStore {
    async fn create_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        let session = self.session().await?;
        schema::create(&session, &self.config, tables, generation).await?;
        self.builds
            .prepare(&session, &self.config.keyspace, tables, generation)
            .await
    }

    async fn drop_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        let session = self.session().await?;
        let dropped = schema::drop(&session, &self.config, tables, generation).await;
        for table in tables {
            self.builds.forget(table, generation);
        }
        dropped
    }

    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError> {
        self.session().await?;
        self.write_all(mutations).await
    }

    async fn get(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        cluster: &[u8],
    ) -> Result<Option<StoredRow>, StoreError> {
        self.read_one(table, generation, partition, cluster).await
    }

    async fn scan(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        range: ScanRange,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.read_range(table, generation, partition, &range).await
    }

    async fn scan_table(
        &self,
        table: &'static TableDef,
        generation: Generation,
        after: Option<(Bytes, Bytes)>,
        limit: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.read_table(table, generation, after, limit).await
    }

    async fn sync(&self) -> Result<(), StoreError> {
        self.session().await.map(drop)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.slot.close();
        Ok(())
    }
}
