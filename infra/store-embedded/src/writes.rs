//! Applying mutations: compare with what the keys hold, then one atomic batch.

use fjall::Keyspace;
use infra_ports::store::supersedes;
use infra_ports::{Mutation, StoreError};
use schemas::position::Version;

use crate::engine::{Engine, Opened};
use crate::errors::at_port;
use crate::metrics;
use crate::stripes::Wanted;
use crate::value::{self, Held};

/// The longest key that fjall takes.
const MAX_KEY_BYTES: usize = 65_535;

/// Applies mutations in their order, all or none.
pub(crate) fn apply(engine: &Engine, mutations: &[Mutation]) -> Result<(), StoreError> {
    let mut tables: Vec<Opened> = Vec::new();
    let rows = sorted(engine, mutations, &mut tables)?;
    let size: usize = mutations.iter().map(Mutation::size_bytes).sum();
    engine.room.admit(u64::try_from(size).unwrap_or(u64::MAX))?;
    let wanted = Wanted::by(mutations);
    let _alone = engine.stripes.lock(&wanted);
    let _not_loaded: Vec<_> = tables.iter().map(|table| table.loads.read()).collect();
    let mut batch = engine.database.batch();
    let mut tallies = Vec::with_capacity(tables.len());
    for of_table in rows.chunk_by(|a, b| a.place == b.place) {
        let place = of_table.first().map_or(0, |row| row.place);
        if let Some(table) = tables.get(place) {
            tallies.push(decide(table, of_table, &mut batch)?);
        }
    }
    for row in &rows {
        if let Some(table) = tables.get(row.place) {
            table.ceilings.raise(row.mutation);
        }
    }
    let _not_seen_by_halves = engine.gates.lock(&wanted);
    batch.commit().map_err(|e| at_port("", &e))?;
    // Once the write is through.
    for tally in tallies {
        metrics::rows(tally.table, tally.written, tally.passed_over);
    }
    Ok(())
}

/// How many mutations of a table took effect, and how many were passed over.
struct Tally {
    table: &'static str,
    written: u64,
    passed_over: u64,
}

/// A mutation, and which of the tables of its call it is of.
struct Row<'a> {
    place: usize,
    mutation: &'a Mutation,
}

/// By table, then by key; mutations of one key stay in their order. Opens the tables.
fn sorted<'a>(
    engine: &Engine,
    mutations: &'a [Mutation],
    tables: &mut Vec<Opened>,
) -> Result<Vec<Row<'a>>, StoreError> {
    let mut known: Vec<&Mutation> = Vec::new();
    let mut rows = Vec::with_capacity(mutations.len());
    for mutation in mutations {
        check_key(mutation)?;
        // By name: one definition may stand at several places in memory.
        let of = (mutation.table.name, mutation.generation);
        let same = |k: &&Mutation| (k.table.name, k.generation) == of;
        let place = match known.iter().rposition(same) {
            Some(place) => place,
            None => {
                tables.push(engine.opened(mutation.table, mutation.generation)?);
                known.push(mutation);
                known.len() - 1
            }
        };
        rows.push(Row { place, mutation });
    }
    let key = |row: &Row<'a>| (row.place, &row.mutation.partition, &row.mutation.cluster);
    rows.sort_by(|a, b| key(a).cmp(&key(b)));
    Ok(rows)
}

/// Puts what takes the place of what the keys of a table hold into the batch.
fn decide(
    opened: &Opened,
    rows: &[Row<'_>],
    batch: &mut fjall::OwnedWriteBatch,
) -> Result<Tally, StoreError> {
    let Opened {
        keyspace, ceilings, ..
    } = opened;
    let table = rows.first().map_or("", |row| row.mutation.table.name);
    let (mut key, mut bytes) = (Vec::new(), Vec::new());
    let (mut written, mut passed_over) = (0, 0);
    let same_key = |a: &Row<'_>, b: &Row<'_>| {
        a.mutation.partition == b.mutation.partition && a.mutation.cluster == b.mutation.cluster
    };
    for same in rows.chunk_by(same_key) {
        let Some(first) = same.first() else { continue };
        key.clear();
        key.extend_from_slice(&first.mutation.partition);
        key.extend_from_slice(&first.mutation.cluster);
        let is_newer = same.iter().any(|row| ceilings.are_below(row.mutation));
        let (mut version, mut deletes) = match is_newer {
            true => (Version(0), false),
            false => held(keyspace, table, &key)?,
        };
        let mut winner = None;
        for row in same {
            let new = row.mutation;
            let wins = supersedes(new.version, new.values.is_none(), version, deletes);
            if wins {
                (version, deletes) = (new.version, new.values.is_none());
                winner = Some(new);
                written += 1;
            } else {
                passed_over += 1;
            }
        }
        if let Some(winner) = winner {
            value::write(winner.version, winner.values.as_deref(), &mut bytes);
            batch.insert(keyspace, &*key, &*bytes);
        }
    }
    Ok(Tally {
        table,
        written,
        passed_over,
    })
}

/// The version that a key holds, and whether that is a delete; a version below all when it holds
/// nothing.
fn held(
    keyspace: &Keyspace,
    table: &'static str,
    key: &[u8],
) -> Result<(Version, bool), StoreError> {
    let bytes = keyspace.get(key).map_err(|e| at_port(table, &e))?;
    let held = bytes.as_deref().map(|bytes| Held::read(table, bytes));
    Ok(held.transpose()?.map_or((Version(0), false), |held| {
        (held.version, held.values.is_none())
    }))
}

/// Refuses keys that fjall does not take.
pub(crate) fn check_key(mutation: &Mutation) -> Result<(), StoreError> {
    let bytes = mutation.partition.len() + mutation.cluster.len();
    if bytes == 0 || bytes > MAX_KEY_BYTES {
        return Err(StoreError::Damaged {
            table: mutation.table.name,
            reason: format!("a key of {bytes} bytes"),
        });
    }
    Ok(())
}
