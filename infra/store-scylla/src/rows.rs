//! Answers as rows of the port.

use infra_ports::store::{StoreError, StoredRow};
use schemas::position::Version;
use schemas::tables::{TableDef, cql};
use scylla::deserialize::row::ColumnIterator;
use scylla::response::query_result::QueryResult;

/// Takes an answer apart into rows: all columns in the order of the definition, then the version.
pub(crate) fn rows_of(
    table: &'static TableDef,
    answer: QueryResult,
) -> Result<Vec<StoredRow>, StoreError> {
    let damaged = |reason: String| StoreError::Damaged {
        table: table.name,
        reason,
    };
    let answer = answer
        .into_rows_result()
        .map_err(|e| damaged(e.to_string()))?;
    let rows = answer.rows::<ColumnIterator<'_, '_>>();
    let rows = rows.map_err(|e| damaged(e.to_string()))?;
    let one = |row: Result<_, _>| {
        let row = row.map_err(|e: scylla::deserialize::DeserializationError| e.to_string());
        row.and_then(|row| row_of(table, row)).map_err(damaged)
    };
    rows.map(one).collect()
}

fn row_of(table: &TableDef, columns: ColumnIterator<'_, '_>) -> Result<StoredRow, String> {
    let mut cells = Vec::with_capacity(table.cols.len() + 1);
    for column in columns {
        let column = column.map_err(|e| e.to_string())?;
        cells.push(column.slice.map(|slice| slice.as_slice()));
    }
    let version = cells
        .pop()
        .flatten()
        .and_then(|wire| wire.try_into().ok())
        .map(i64::from_be_bytes)
        .and_then(|timestamp| u64::try_from(timestamp).ok())
        .ok_or("no version")?;
    let row = cql::row_of(table, &cells).map_err(|e| e.to_string())?;
    Ok(StoredRow {
        partition: row.partition.into(),
        cluster: row.cluster.into(),
        values: row.values.into(),
        version: Version(version),
    })
}
