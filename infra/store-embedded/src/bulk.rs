//! Loading many rows past journal and memtable, sorted, a table at a time: for rebuilds.
//!
//! A load is alone with its table: writers to it wait, those to others do not. It compares versions
//! as every write does. All rows of a table become
//! visible together, and durable; what was written before is made durable first, so that a crash
//! still takes nothing but a suffix of all writes.

use std::collections::BTreeMap;

use infra_ports::store::supersedes;
use infra_ports::{Mutation, StoreError};
use schemas::position::Generation;

use crate::engine::{Engine, Opened};
use crate::errors::at_port;
use crate::metrics;
use crate::value::{self, Held};
use crate::writes::check_key;

/// Below this many rows of a table a file of its own costs more than it brings.
const FEWEST_ROWS: usize = 512;

/// Applies mutations, table by table, in the order in which tables first occur.
pub(crate) fn load(engine: &Engine, mutations: &[Mutation]) -> Result<(), StoreError> {
    let mut places: BTreeMap<(&'static str, Generation), usize> = BTreeMap::new();
    let mut tables: Vec<Vec<&Mutation>> = Vec::new();
    for mutation in mutations {
        check_key(mutation)?;
        let place = *places
            .entry((mutation.table.name, mutation.generation))
            .or_insert(tables.len());
        match tables.get_mut(place) {
            Some(rows) => rows.push(mutation),
            None => tables.push(vec![mutation]),
        }
    }
    for rows in tables {
        load_table(engine, rows)?;
    }
    Ok(())
}

fn load_table(engine: &Engine, mut rows: Vec<&Mutation>) -> Result<(), StoreError> {
    let Some(first) = rows.first() else {
        return Ok(());
    };
    if rows.len() < FEWEST_ROWS {
        let few: Vec<Mutation> = rows.into_iter().cloned().collect();
        return crate::writes::apply(engine, &few);
    }
    let opened = engine.opened(first.table, first.generation)?;
    let size = rows.iter().map(|row| row.size_bytes()).sum::<usize>();
    engine.room.admit(u64::try_from(size).unwrap_or(u64::MAX))?;
    // Stable: mutations of one key stay in their order.
    rows.sort_by(|a, b| (&a.partition, &a.cluster).cmp(&(&b.partition, &b.cluster)));
    let _alone = opened.loads.write();
    ingest(engine, &opened, &rows)
}

fn ingest(engine: &Engine, opened: &Opened, rows: &[&Mutation]) -> Result<(), StoreError> {
    let table = rows.first().map_or("", |row| row.table.name);
    let failed = |error: fjall::Error| at_port(table, &error);
    engine.sync()?;
    let is_empty = opened.keyspace.is_empty().map_err(failed)?;
    let mut ingestion = opened.keyspace.start_ingestion().map_err(failed)?;
    let (mut key, mut bytes) = (Vec::new(), Vec::new());
    let (mut written, mut passed_over) = (0, 0);
    for same in rows.chunk_by(|a, b| a.partition == b.partition && a.cluster == b.cluster) {
        let Some(winner) = winner(same) else { continue };
        key.clear();
        key.extend_from_slice(&winner.partition);
        key.extend_from_slice(&winner.cluster);
        let held = match is_empty || opened.ceilings.are_below(winner) {
            true => None,
            false => opened.keyspace.get(&key).map_err(failed)?,
        };
        let held = held.as_deref().map(|bytes| Held::read(table, bytes));
        if held
            .transpose()?
            .is_some_and(|held| !held.gives_way_to(winner))
        {
            passed_over += 1;
            continue;
        }
        value::write(winner.version, winner.values.as_deref(), &mut bytes);
        ingestion.write(&*key, &*bytes).map_err(failed)?;
        written += 1;
    }
    rows.iter().for_each(|row| opened.ceilings.raise(row));
    ingestion.finish().map_err(failed)?;
    metrics::rows(table, written, passed_over);
    Ok(())
}

/// Of mutations of one key, in their order, the one that stands in the end.
fn winner<'a>(same: &[&'a Mutation]) -> Option<&'a Mutation> {
    same.iter().copied().reduce(|held, new| {
        let deletes = (new.values.is_none(), held.values.is_none());
        if supersedes(new.version, deletes.0, held.version, deletes.1) {
            new
        } else {
            held
        }
    })
}
