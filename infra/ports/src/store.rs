//! The table store: typed rows under ordered keys, versioned by the log position that made them.
//!
//! One definition of a table ([`schemas::tables::TableDef`]) serves every store. A row travels as a
//! [`StoredRow`]: the ordered bytes of its partition key, of its clustering key, and its tagged
//! values, as [`schemas::tables`] encodes them; a store with typed columns takes them apart by the
//! definition. Typed access is the extension trait's, [`TableStoreExt`].
//!
//! Ordering: rows of a partition are in clustering key order. Atomicity: mutations of one call that
//! share table, generation and partition key are applied together or not at all, up to
//! [`MAX_TOGETHER_BYTES`] of them, *not* those of different partitions. Versions: a mutation whose version is lower than the row's changes
//! nothing; an equal one is the same write again and may be applied again (a delete wins a tie).
//! Durability: what was written may be lost by a crash only as a suffix of all writes; [`TableStore::sync`]
//! makes everything durable.

use std::ops::Bound;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use schemas::position::{Generation, Version};
use schemas::tables::{Cols, Table, TableDef};

/// Mutations of one write of a [`TableStore::load`], about.
const LOADED_TOGETHER: usize = 256;

/// Bytes of mutations of one partition that every store applies together: 4 MiB, by
/// [`Mutation::size_bytes`]. What is beyond may be applied in several steps.
pub const MAX_TOGETHER_BYTES: usize = 4 << 20;

/// One row to put, or to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutation {
    /// The table.
    pub table: &'static TableDef,
    /// The build of the table's projection.
    pub generation: Generation,
    /// Ordered bytes of the partition key.
    pub partition: Bytes,
    /// Ordered bytes of the clustering key; empty when the table has none.
    pub cluster: Bytes,
    /// Tagged values; none deletes the row.
    pub values: Option<Bytes>,
    /// One more than the origin offset.
    pub version: Version,
}

impl Mutation {
    /// Puts a row.
    pub fn put<T: Table>(generation: Generation, row: &T, version: Version) -> Self {
        RowBuffer::default().put(generation, row, version)
    }

    /// Bytes of key and values.
    pub fn size_bytes(&self) -> usize {
        self.partition.len() + self.cluster.len() + self.values.as_ref().map_or(0, Bytes::len)
    }

    /// Deletes the row of a key.
    pub fn delete<T: Table>(generation: Generation, key: &T::Key, version: Version) -> Self {
        let (partition, cluster) = schemas::tables::encode_key::<T>(key);
        Self {
            table: T::DEF,
            generation,
            partition: partition.into(),
            cluster: cluster.into(),
            values: None,
            version,
        }
    }
}

/// Makes mutations of rows in blocks of memory that many share, for those who make many at a time.
/// A block lives as long as the last of its mutations.
#[derive(Debug, Default)]
pub struct RowBuffer {
    scratch: Vec<u8>,
    block: BytesMut,
    /// Bytes of the next block: a buffer for one row takes no more than the row.
    next_block: usize,
}

/// The largest block of a [`RowBuffer`].
const BLOCK_BYTES: usize = 64 << 10;

impl RowBuffer {
    /// Puts a row.
    pub fn put<T: Table>(&mut self, generation: Generation, row: &T, version: Version) -> Mutation {
        self.scratch.clear();
        let ends = schemas::tables::pack_row(row, &mut self.scratch);
        if self.block.capacity() < self.scratch.len() {
            self.block = BytesMut::with_capacity(self.scratch.len().max(self.next_block));
            self.next_block = (4 * self.block.capacity()).min(BLOCK_BYTES);
        }
        self.block.extend_from_slice(&self.scratch);
        let bytes = self.block.split().freeze();
        Mutation {
            table: T::DEF,
            generation,
            partition: bytes.slice(..ends.partition_end),
            cluster: bytes.slice(ends.partition_end..ends.key_end),
            values: Some(bytes.slice(ends.key_end..)),
            version,
        }
    }
}

/// True when a write takes the place of what a key holds: the higher version wins, a delete wins a
/// tie, and the same write again may be applied again. The one rule of every adapter.
pub fn supersedes(new: Version, new_deletes: bool, old: Version, old_deletes: bool) -> bool {
    new > old || (new == old && (new_deletes || !old_deletes))
}

/// The first bytes behind everything that begins with `prefix`; none when there are no such.
pub fn behind_prefix(prefix: &[u8]) -> Option<Bytes> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut behind = prefix.get(..=kept)?.to_vec();
    if let Some(last) = behind.last_mut() {
        *last += 1;
    }
    Some(behind.into())
}

/// A row as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// Ordered bytes of the partition key.
    pub partition: Bytes,
    /// Ordered bytes of the clustering key.
    pub cluster: Bytes,
    /// Tagged values.
    pub values: Bytes,
    /// Which write made it.
    pub version: Version,
}

impl StoredRow {
    /// Takes the row apart into its typed form.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the bytes are not those of a row of `T`.
    pub fn decode<T: Table>(&self) -> Result<T, StoreError> {
        schemas::tables::decode_row(&self.partition, &self.cluster, &self.values).map_err(|e| {
            StoreError::Damaged {
                table: T::DEF.name,
                reason: e.to_string(),
            }
        })
    }
}

/// Which rows of a partition, by ordered bytes of the clustering key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanRange {
    /// Only keys that begin with these bytes, the encoding of the first clustering columns; empty is
    /// the whole partition.
    pub prefix: Bytes,
    /// Only keys whose bytes are strictly after these, in the direction of the scan: a whole key, or
    /// the beginning of one, which is before every key that begins so.
    pub after: Option<Bytes>,
    /// From the last key to the first.
    pub reverse: bool,
    /// At most so many rows.
    pub limit: usize,
}

impl ScanRange {
    /// The keys that the scan may return, whatever its limit; none when there can be no such key.
    pub fn bounds(&self) -> Option<(Bound<Bytes>, Bound<Bytes>)> {
        let mut low = self.prefix.clone();
        let mut low_bound = Bound::Included(low.clone());
        let mut high = behind_prefix(&self.prefix);
        if let Some(after) = &self.after {
            if self.reverse {
                high = Some(high.map_or(after.clone(), |high| high.min(after.clone())));
            } else if *after >= low {
                low = after.clone();
                low_bound = Bound::Excluded(low.clone());
            }
        }
        match high {
            Some(high) if high <= low => None,
            Some(high) => Some((low_bound, Bound::Excluded(high))),
            None => Some((low_bound, Bound::Unbounded)),
        }
    }
}

/// What can go wrong with the store.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The table's generation was not created, or was dropped.
    #[error("unknown table {table} of generation {generation}")]
    UnknownTable {
        /// Its name.
        table: &'static str,
        /// The build.
        generation: Generation,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// It did not answer in time, or has no room; the write may have happened.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A write or a sync failed, and nobody knows what the disk holds: no write is taken until the
    /// store is opened again. Reads go on.
    #[error("the store is poisoned: {0}")]
    Poisoned(String),
    /// The store will not take this, however often it is tried: a table that is not as defined, a
    /// key that is too long.
    #[error("the store refuses {table}: {reason}")]
    Refused {
        /// The table.
        table: &'static str,
        /// Why.
        reason: String,
    },
    /// A row that a newer build wrote, in a way that this one does not know.
    #[error("a row in {table} is of a newer build: {reason}")]
    Newer {
        /// The table.
        table: &'static str,
        /// What is not known.
        reason: String,
    },
    /// Bytes that are not those of a row.
    #[error("damaged row in {table}: {reason}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// What is wrong.
        reason: String,
    },
}

impl StoreError {
    /// True when trying again later may help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// The table store. All methods may be called from many tasks at once.
#[async_trait]
pub trait TableStore: Send + Sync + 'static {
    /// Creates the tables of a generation that do not exist yet. Idempotent.
    async fn create_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError>;

    /// Drops the tables of a generation with all rows. Idempotent.
    async fn drop_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError>;

    /// Applies mutations: those of one partition together, in the order given.
    ///
    /// Cancel safety: dropping the future leaves every partition wholly written or not at all.
    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError>;

    /// Applies many mutations, as [`TableStore::write`] does but faster where the store has a door for
    /// that, in as many steps as it likes; writers to the same tables may wait meanwhile. For
    /// rebuilds. Of an error, what comes before may have been applied.
    ///
    /// Cancel safety: dropping the future leaves every partition of which all mutations stand side
    /// by side wholly written or not at all.
    async fn load(&self, mutations: &[Mutation]) -> Result<(), StoreError> {
        let side_by_side = |a: &Mutation, b: &Mutation| {
            a.table == b.table && a.generation == b.generation && a.partition == b.partition
        };
        let mut together = Vec::new();
        for partition in mutations.chunk_by(side_by_side) {
            together.extend_from_slice(partition);
            if together.len() >= LOADED_TOGETHER {
                self.write(std::mem::take(&mut together)).await?;
            }
        }
        self.write(together).await
    }

    /// Says that no row which these tables held when the store was opened has a version above
    /// `highest`. A store may then spare itself looks at what keys hold; it is no promise about
    /// what is written from now on.
    async fn settled(
        &self,
        _tables: &[&'static TableDef],
        _generation: Generation,
        _highest: Version,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    /// One row, or none.
    async fn get(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        cluster: &[u8],
    ) -> Result<Option<StoredRow>, StoreError>;

    /// Rows of one partition in key order.
    async fn scan(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        range: ScanRange,
    ) -> Result<Vec<StoredRow>, StoreError>;

    /// Rows of a whole table, each once, in an order of the store's own; `after` is the
    /// (partition, cluster) of the last row of the page before. For digests and rebuilds.
    async fn scan_table(
        &self,
        table: &'static TableDef,
        generation: Generation,
        after: Option<(Bytes, Bytes)>,
        limit: usize,
    ) -> Result<Vec<StoredRow>, StoreError>;

    /// Makes everything durable that was written before the call.
    async fn sync(&self) -> Result<(), StoreError>;

    /// Makes everything durable and closes; later calls answer `Closed`. Idempotent.
    async fn close(&self) -> Result<(), StoreError>;
}

/// Typed reads over any store.
#[async_trait]
pub trait TableStoreExt: TableStore {
    /// One typed row, or none.
    async fn get_row<T: Table>(
        &self,
        generation: Generation,
        key: &T::Key,
    ) -> Result<Option<T>, StoreError> {
        let (partition, cluster) = schemas::tables::encode_key::<T>(key);
        let row = self.get(T::DEF, generation, &partition, &cluster).await?;
        row.map(|row| row.decode()).transpose()
    }

    /// Typed rows of one partition; `partition` is the table's partition key type.
    async fn scan_rows<T: Table>(
        &self,
        generation: Generation,
        partition: &T::Partition,
        range: ScanRange,
    ) -> Result<Vec<T>, StoreError>
    where
        T::Partition: Cols + Sync,
    {
        let partition = schemas::tables::encode_partition::<T>(partition);
        let rows = self.scan(T::DEF, generation, &partition, range).await?;
        rows.iter().map(StoredRow::decode).collect()
    }
}

impl<S: TableStore + ?Sized> TableStoreExt for S {}
