//! Digests of tables, and two generations beside each other.

use infra_ports::{StoreError, TableStore};
use schemas::position::Generation;
use schemas::tables::{Digest, TableDef};

use super::tables;

/// Rows that a digest reads at once.
const PAGE_ROWS: usize = 4_096;

/// The digest of one table of a generation, in pages.
///
/// # Errors
/// Those of the store.
pub async fn digest(
    store: &dyn TableStore,
    table: &'static TableDef,
    generation: Generation,
) -> Result<Digest, StoreError> {
    let mut digest = Digest::default();
    let mut after = None;
    loop {
        let page = store
            .scan_table(table, generation, after.take(), PAGE_ROWS)
            .await?;
        for row in &page {
            digest.add(&row.partition, &row.cluster, &row.values);
        }
        match page.last() {
            Some(last) if page.len() == PAGE_ROWS => {
                after = Some((last.partition.clone(), last.cluster.clone()));
            }
            Some(_) | None => return Ok(digest),
        }
    }
}

/// A table in two generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// Its projection.
    pub projection: &'static str,
    /// Its name.
    pub table: &'static str,
    /// In the one generation.
    pub one: Digest,
    /// In the other.
    pub other: Digest,
}

impl Compared {
    /// True when both hold the same rows, bit for bit.
    pub fn is_equal(&self) -> bool {
        self.one == self.other
    }
}

/// Compares every table of two generations. Both must have applied the same positions.
///
/// # Errors
/// Those of the store.
pub async fn compare(
    store: &dyn TableStore,
    one: Generation,
    other: Generation,
) -> Result<Vec<Compared>, StoreError> {
    let mut compared = Vec::new();
    for (projection, tables) in tables() {
        for table in tables {
            compared.push(Compared {
                projection,
                table: table.name,
                one: digest(store, table, one).await?,
                other: digest(store, table, other).await?,
            });
        }
    }
    Ok(compared)
}
