//! Rows that a read found, as the port hands them out.
//!
//! The rows of one read share one block of memory, in place of three allocations each. A row keeps
//! the block alive: whoever keeps rows takes them apart first.

use bytes::Bytes;
use fjall::Guard;
use infra_ports::{StoreError, StoredRow};
use schemas::position::Version;
use schemas::tables::{TableDef, split_key};

use crate::errors::at_port;
use crate::value::Held;

/// Where a row stands in the block: partition, cluster and values side by side.
struct Place {
    begin: usize,
    cluster: usize,
    values: usize,
    end: usize,
    version: Version,
}

/// Rows of one table, in the order in which they were found.
pub(crate) struct Found {
    table: &'static TableDef,
    block: Vec<u8>,
    places: Vec<Place>,
}

impl Found {
    /// No row yet.
    pub(crate) fn in_table(table: &'static TableDef) -> Self {
        Self {
            table,
            block: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Takes in a key and what stands under it; a deleted row is none.
    pub(crate) fn add(&mut self, key: &[u8], bytes: &[u8]) -> Result<(), StoreError> {
        let held = Held::read(self.table.name, bytes)?;
        let Some(values) = held.values else {
            return Ok(());
        };
        let damaged = |reason: String| StoreError::Damaged {
            table: self.table.name,
            reason,
        };
        let (partition, _) = split_key(self.table, key).map_err(|e| damaged(e.to_string()))?;
        let begin = self.block.len();
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(values);
        self.places.push(Place {
            begin,
            cluster: begin + partition.len(),
            values: begin + key.len(),
            end: self.block.len(),
            version: held.version,
        });
        Ok(())
    }

    /// Takes in the first `limit` rows of what fjall found that are not deleted.
    pub(crate) fn take(
        mut self,
        found: impl Iterator<Item = Guard>,
        limit: usize,
    ) -> Result<Self, StoreError> {
        if limit == 0 {
            return Ok(self);
        }
        for guard in found {
            let pair = guard.into_inner();
            let (key, bytes) = pair.map_err(|e| at_port(self.table.name, &e))?;
            self.add(&key, &bytes)?;
            if self.places.len() == limit {
                break;
            }
        }
        Ok(self)
    }

    /// The rows.
    pub(crate) fn into_rows(self) -> Vec<StoredRow> {
        let block = Bytes::from(self.block);
        let row = |place: Place| StoredRow {
            partition: block.slice(place.begin..place.cluster),
            cluster: block.slice(place.cluster..place.values),
            values: block.slice(place.values..place.end),
            version: place.version,
        };
        self.places.into_iter().map(row).collect()
    }
}
