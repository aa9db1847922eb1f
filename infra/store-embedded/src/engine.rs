//! An open store: fjall's database and the keyspaces of all tables, by generation and name.

use std::collections::BTreeMap;
use std::sync::Arc;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Snapshot};
use infra_ports::StoreError;
use infra_ports::ceilings::Ceilings;
use parking_lot::RwLock;
use schemas::position::Generation;
use schemas::tables::TableDef;

use crate::config::Config;
use crate::directory::Directory;
use crate::errors::{OpenError, at_port};
use crate::horizon::Horizon;
use crate::room::Room;
use crate::stripes::Stripes;

/// Keyspaces by generation, then by the table's name.
type Keyspaces = BTreeMap<Generation, BTreeMap<String, Opened>>;

/// The keyspace of a table.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) keyspace: Keyspace,
    /// Held by each write to the table, and alone by a load of it.
    pub(crate) loads: Arc<RwLock<()>>,
    /// What spares looks at what keys hold.
    pub(crate) ceilings: Arc<Ceilings>,
}

/// Half a MiB a table: enough that chats at work at the same time seldom share one.
const CEILINGS: usize = 1 << 16;

impl Opened {
    fn new(keyspace: Keyspace) -> fjall::Result<Self> {
        let ceilings = match keyspace.is_empty()? {
            true => Ceilings::of_empty_table(CEILINGS),
            false => Ceilings::unknown(CEILINGS),
        };
        Ok(Self {
            keyspace,
            loads: Arc::default(),
            ceilings: Arc::new(ceilings),
        })
    }
}

/// Everything an open store has. Field order is drop order: the lock on the directory goes last.
pub(crate) struct Engine {
    keyspaces: RwLock<Keyspaces>,
    pub(crate) database: Database,
    horizon: Horizon,
    /// Held by a writer from its comparison of versions to the end of its batch.
    pub(crate) stripes: Stripes,
    /// Held while a batch goes in, and while a snapshot is taken.
    pub(crate) gates: Stripes,
    pub(crate) room: Room,
    memtable_bytes: u64,
    _directory: Directory,
}

impl Engine {
    /// Opens the tables in a directory.
    pub(crate) fn open_in(config: &Config, directory: Directory) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Tables {
            path: config.path.clone(),
            source: Box::new(source),
        };
        directory.make_tables(|place| Database::builder(place).worker_threads(1).open())?;
        let database = Database::builder(&directory.tables)
            .cache_size(config.block_cache_bytes)
            .max_journaling_size(config.journal_limit())
            .worker_threads(config.worker_threads.max(1))
            .open()
            .map_err(failed)?;
        let horizon = Horizon::reach(&config.path, &database)?;
        let mut engine = Self {
            keyspaces: RwLock::default(),
            database,
            horizon,
            stripes: Stripes::new(),
            gates: Stripes::new(),
            room: Room::of(&config.path, config.min_free_bytes),
            memtable_bytes: config.memtable_bytes,
            _directory: directory,
        };
        engine.find_tables().map_err(failed)?;
        Ok(engine)
    }

    /// Opens the keyspaces there are.
    fn find_tables(&mut self) -> fjall::Result<()> {
        for name in self.database.list_keyspace_names() {
            let Some((table, generation)) = table_of(&name) else {
                tracing::warn!(
                    keyspace = &*name,
                    "a keyspace that is no table is left alone"
                );
                continue;
            };
            let keyspace = self.database.keyspace(&name, || self.options())?;
            let tables = self.keyspaces.get_mut().entry(generation).or_default();
            tables.insert(table.to_owned(), Opened::new(keyspace)?);
        }
        Ok(())
    }

    fn options(&self) -> KeyspaceCreateOptions {
        KeyspaceCreateOptions::default().max_memtable_size(self.memtable_bytes)
    }

    /// The keyspace of a table.
    pub(crate) fn keyspace(
        &self,
        table: &'static TableDef,
        generation: Generation,
    ) -> Result<Keyspace, StoreError> {
        Ok(self.opened(table, generation)?.keyspace)
    }

    /// The keyspace of a table, with its lock.
    pub(crate) fn opened(
        &self,
        table: &'static TableDef,
        generation: Generation,
    ) -> Result<Opened, StoreError> {
        let keyspaces = self.keyspaces.read();
        let found = keyspaces
            .get(&generation)
            .and_then(|tables| tables.get(table.name));
        found.cloned().ok_or(StoreError::UnknownTable {
            table: table.name,
            generation,
        })
    }

    /// What all tables hold now; of this partition no half of a batch.
    pub(crate) fn snapshot(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
    ) -> Snapshot {
        let _whole = self.gates.lock_one(table, generation, partition);
        self.database.snapshot()
    }

    /// Creates the tables of a generation that do not exist.
    pub(crate) fn create(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        let mut keyspaces = self.keyspaces.write();
        let there = keyspaces.entry(generation).or_default();
        for table in tables {
            if !there.contains_key(table.name) {
                self.about_to_change()?;
                let name = keyspace_name(table, generation);
                let keyspace = self.database.keyspace(&name, || self.options());
                let opened = keyspace.and_then(Opened::new);
                let opened = opened.map_err(|e| at_port(table.name, &e))?;
                there.insert(table.name.into(), opened);
            }
        }
        Ok(())
    }

    /// What comes next creates or drops a table.
    fn about_to_change(&self) -> Result<(), StoreError> {
        let kept = self.horizon.stay_ahead(&self.database);
        kept.map_err(|e| StoreError::Unavailable(format!("the horizon of tables: {e}")))
    }

    /// Drops the tables of a generation that exist.
    pub(crate) fn drop_tables(
        &self,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        // Nobody writes to a table while it goes.
        let _alone = self.stripes.lock_all();
        let mut keyspaces = self.keyspaces.write();
        let Some(there) = keyspaces.get_mut(&generation) else {
            return Ok(());
        };
        for table in tables {
            if let Some(opened) = there.get(table.name) {
                let not_loaded = opened.loads.write();
                self.about_to_change()?;
                let dropped = self.database.delete_keyspace(opened.keyspace.clone());
                dropped.map_err(|e| at_port(table.name, &e))?;
                drop(not_loaded);
                // Only now: a drop that failed is tried again.
                there.remove(table.name);
            }
        }
        Ok(())
    }

    /// Blocks of all tables' files that were read since the store was opened: from the cache, and
    /// from disk.
    pub(crate) fn blocks_read(&self) -> (u64, u64) {
        let keyspaces = self.keyspaces.read();
        let all = keyspaces.values().flat_map(BTreeMap::values);
        let counts = all.map(|opened| {
            let read = opened.keyspace.metrics();
            (read.block_load_cached_count(), read.block_load_io_count())
        });
        let (cached, from_disk) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        (cached as u64, from_disk as u64)
    }

    /// Makes everything durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.database
            .persist(PersistMode::SyncData)
            .map_err(|e| at_port("", &e))
    }
}

fn keyspace_name(table: &TableDef, generation: Generation) -> String {
    format!("{}_g{generation}", table.name)
}

/// The table and the generation that a keyspace's name stands for.
fn table_of(keyspace: &str) -> Option<(&str, Generation)> {
    let (table, generation) = keyspace.rsplit_once("_g")?;
    Some((table, Generation(generation.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use schemas::tables::TABLES;

    use super::*;

    #[test]
    fn keyspace_names_are_read_as_they_are_written() {
        for table in TABLES {
            for generation in [0, 1, 4_000_000_000].map(Generation) {
                let name = keyspace_name(table, generation);
                assert_eq!(table_of(&name), Some((table.name, generation)));
            }
        }
        assert_eq!(table_of("messages"), None);
        assert_eq!(table_of("messages_gx"), None);
    }
}
