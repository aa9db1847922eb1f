//! Loading a table from sorted rows, past journal and memtable: for rebuilds.

use infra_ports::StoredRow;
use schemas::position::Generation;
use schemas::tables::TableDef;

use crate::engine::Engine;
use crate::errors::{BulkError, at_port};
use crate::value;
use crate::writes::check_key;

/// Loads rows into a table that has none and returns how many. They come in the order of their
/// keys' bytes (partition key, then clustering key). All are there when it returns, or none.
pub(crate) fn load(
    engine: &Engine,
    table: &'static TableDef,
    generation: Generation,
    rows: impl IntoIterator<Item = StoredRow>,
) -> Result<u64, BulkError> {
    let keyspace = engine.keyspace(table, generation)?;
    let failed = |error: fjall::Error| BulkError::Store(at_port(table.name, &error));
    let _alone = engine.stripes.lock_all();
    if !keyspace.is_empty().map_err(failed)? {
        return Err(BulkError::NotEmpty);
    }
    let mut ingestion = keyspace.start_ingestion().map_err(failed)?;
    let (mut count, mut before) = (0, Vec::new());
    for row in rows {
        let key = [&*row.partition, &*row.cluster].concat();
        check_key(table.name, &key)?;
        if key <= before {
            return Err(BulkError::Unsorted { row: count });
        }
        let bytes = value::write(row.version, Some(&row.values));
        engine
            .room
            .admit(u64::try_from(key.len() + bytes.len()).unwrap_or(u64::MAX))?;
        ingestion.write(key.as_slice(), bytes).map_err(failed)?;
        before = key;
        count += 1;
    }
    ingestion.finish().map_err(failed)?;
    Ok(count)
}
