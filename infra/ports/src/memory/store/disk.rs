//! What survives a crash of the store in memory: the tables as they stand, and which of the last
//! writes are not durable yet.
//!
//! The durable tables are kept beside the current ones; a sync carries the unsynced writes over, a
//! crash carries over the oldest of them and makes that the current tables.

use std::collections::BTreeMap;

use bytes::Bytes;
use schemas::position::{Generation, Version};
use schemas::tables::TableDef;

use crate::ceilings::Ceilings;
use crate::store::{Mutation, ScanRange, StoreError, StoredRow, supersedes};

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    version: Version,
    /// None: deleted. Kept, so that an older write does not bring the row back.
    values: Option<Bytes>,
}

/// Rows by partition, then by clustering key.
type Rows = BTreeMap<Bytes, BTreeMap<Bytes, Cell>>;

/// Tables by name and generation.
#[derive(Debug, Clone, Default)]
struct Tables(BTreeMap<(&'static str, Generation), Rows>);

impl Tables {
    fn rows(&self, table: &TableDef, generation: Generation) -> Result<&Rows, StoreError> {
        self.0
            .get(&(table.name, generation))
            .ok_or(StoreError::UnknownTable {
                table: table.name,
                generation,
            })
    }

    fn apply(&mut self, mutation: &Mutation) {
        let key = (mutation.table.name, mutation.generation);
        let Some(rows) = self.0.get_mut(&key) else {
            return;
        };
        let partition = rows.entry(mutation.partition.clone()).or_default();
        let deletes = mutation.values.is_none();
        let stands = partition
            .get(&mutation.cluster)
            .is_some_and(|c| !supersedes(mutation.version, deletes, c.version, c.values.is_none()));
        if !stands {
            let cell = Cell {
                version: mutation.version,
                values: mutation.values.clone(),
            };
            partition.insert(mutation.cluster.clone(), cell);
        }
    }
}

/// Few, so that many chats share one.
const BUCKETS: usize = 8;

/// The tables with what is and what is not durable of them.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// Not needed here, but held to: what they say is compared with what keys hold.
    ceilings: BTreeMap<(&'static str, Generation), Ceilings>,
    current: Tables,
    durable: Tables,
    /// Writes that are not durable, each to one partition, oldest first.
    unsynced: Vec<Vec<Mutation>>,
    crashes: u64,
}

impl Disk {
    pub(super) fn crashes(&self) -> u64 {
        self.crashes
    }

    /// Creates tables; durable at once, with all before.
    pub(super) fn create(&mut self, tables: &[&'static TableDef], generation: Generation) {
        self.sync();
        for table in tables {
            let key = (table.name, generation);
            self.current.0.entry(key).or_default();
            self.durable.0.entry(key).or_default();
            let empty = || Ceilings::of_empty_table(BUCKETS);
            self.ceilings.entry(key).or_insert_with(empty);
        }
    }

    pub(super) fn settle(
        &mut self,
        tables: &[&'static TableDef],
        generation: Generation,
        highest: Version,
    ) {
        for table in tables {
            if let Some(ceilings) = self.ceilings.get(&(table.name, generation)) {
                ceilings.settle(highest);
            }
        }
    }

    /// Drops tables; durable at once, with all before.
    pub(super) fn drop_tables(&mut self, tables: &[&'static TableDef], generation: Generation) {
        self.sync();
        for table in tables {
            self.current.0.remove(&(table.name, generation));
            self.durable.0.remove(&(table.name, generation));
            self.ceilings.remove(&(table.name, generation));
        }
    }

    /// Answers whether all tables of the mutations exist.
    pub(super) fn check(&self, mutations: &[Mutation]) -> Result<(), StoreError> {
        mutations
            .iter()
            .try_for_each(|m| self.current.rows(m.table, m.generation).map(drop))
    }

    /// Applies mutations of one partition.
    ///
    /// # Panics
    /// When a mutation is older than what its key holds and the ceilings say that it is not: a store
    /// that believes them would have overwritten newer with older.
    pub(super) fn apply(&mut self, mutations: Vec<Mutation>) {
        for mutation in &mutations {
            self.hold_to_ceilings(mutation);
        }
        for mutation in &mutations {
            let key = (mutation.table.name, mutation.generation);
            if let Some(ceilings) = self.ceilings.get(&key) {
                ceilings.raise(mutation);
            }
        }
        mutations.iter().for_each(|m| self.current.apply(m));
        self.unsynced.push(mutations);
    }

    fn hold_to_ceilings(&self, mutation: &Mutation) {
        let key = (mutation.table.name, mutation.generation);
        let is_newer = self
            .ceilings
            .get(&key)
            .is_some_and(|c| c.are_below(mutation));
        let rows = self.current.0.get(&key);
        let held = rows.and_then(|rows| rows.get(&mutation.partition)?.get(&mutation.cluster));
        let gives_way = held.is_none_or(|held| {
            let deletes = (mutation.values.is_none(), held.values.is_none());
            supersedes(mutation.version, deletes.0, held.version, deletes.1)
        });
        assert!(
            gives_way || !is_newer,
            "{mutation:?} is older than {held:?}"
        );
    }

    pub(super) fn sync(&mut self) {
        for mutation in self.unsynced.drain(..).flatten() {
            self.durable.apply(&mutation);
        }
    }

    /// Forgets the newest of the unsynced writes: as many as `lost` chooses, below what it is given.
    pub(super) fn crash(&mut self, lost: impl FnOnce(u32) -> u32) {
        let writes = u32::try_from(self.unsynced.len()).unwrap_or(u32::MAX - 1);
        let lost = usize::try_from(lost(writes + 1)).unwrap_or(usize::MAX);
        let kept = self.unsynced.len().saturating_sub(lost);
        self.unsynced.truncate(kept);
        self.sync();
        self.current = self.durable.clone();
        // As after an opening.
        for (key, rows) in &self.current.0 {
            let ceilings = match rows.is_empty() {
                true => Ceilings::of_empty_table(BUCKETS),
                false => Ceilings::unknown(BUCKETS),
            };
            self.ceilings.insert(*key, ceilings);
        }
        self.crashes += 1;
    }

    pub(super) fn get(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        cluster: &[u8],
    ) -> Result<Option<StoredRow>, StoreError> {
        let rows = self.current.rows(table, generation)?;
        let found = rows.get_key_value(partition);
        Ok(found.and_then(|(partition, rows)| {
            let (cluster, cell) = rows.get_key_value(cluster)?;
            stored(partition, cluster, cell)
        }))
    }

    pub(super) fn scan(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
        range: &ScanRange,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let rows = self.current.rows(table, generation)?;
        let (Some((partition, rows)), Some(bounds)) =
            (rows.get_key_value(partition), range.bounds())
        else {
            return Ok(Vec::new());
        };
        let found = rows.range::<Bytes, _>(bounds);
        let row = |(cluster, cell): (&Bytes, &Cell)| stored(partition, cluster, cell);
        Ok(if range.reverse {
            found.rev().filter_map(row).take(range.limit).collect()
        } else {
            found.filter_map(row).take(range.limit).collect()
        })
    }

    pub(super) fn scan_table(
        &self,
        table: &'static TableDef,
        generation: Generation,
        after: Option<&(Bytes, Bytes)>,
        limit: usize,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let rows = self.current.rows(table, generation)?;
        let first = after
            .map(|(partition, _)| partition.clone())
            .unwrap_or_default();
        let found = rows
            .range(first..)
            .flat_map(|(partition, rows)| rows.iter().map(move |(c, cell)| (partition, c, cell)))
            .skip_while(|(p, c, _)| after.is_some_and(|(ap, ac)| (*p, *c) <= (ap, ac)));
        let rows = found.filter_map(|(partition, cluster, cell)| stored(partition, cluster, cell));
        Ok(rows.take(limit).collect())
    }
}

fn stored(partition: &Bytes, cluster: &Bytes, cell: &Cell) -> Option<StoredRow> {
    Some(StoredRow {
        partition: partition.clone(),
        cluster: cluster.clone(),
        values: cell.values.clone()?,
        version: cell.version,
    })
}
