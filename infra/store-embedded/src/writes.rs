//! Applying mutations: compare with what the keys hold, then one atomic batch.

use std::collections::BTreeMap;

use fjall::Keyspace;
use infra_ports::store::supersedes;
use infra_ports::{Mutation, StoreError};
use schemas::position::Version;

use crate::engine::Engine;
use crate::errors::at_port;
use crate::metrics;
use crate::value::{self, Held};

/// The longest key that fjall takes.
pub(crate) const MAX_KEY_BYTES: usize = 65_535;

/// What a key will hold when the call is over.
struct Change {
    version: Version,
    deletes: bool,
    /// The bytes to stand there; none when what stands there stays.
    bytes: Option<Vec<u8>>,
}

/// Applies mutations in their order, all or none.
pub(crate) fn apply(engine: &Engine, mutations: &[Mutation]) -> Result<(), StoreError> {
    let keyspaces = keyspaces(engine, mutations)?;
    engine.room.admit(size_bytes(mutations))?;
    let _alone = engine.stripes.lock(mutations);
    let mut changes: BTreeMap<(usize, Vec<u8>), Change> = BTreeMap::new();
    let mut tallies = Tallies::default();
    for (mutation, place) in mutations.iter().zip(&keyspaces.places) {
        let Some(keyspace) = keyspaces.opened.get(*place) else {
            continue;
        };
        let key = key_of(mutation)?;
        let change = match changes.entry((*place, key)) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let held = held(keyspace, mutation, &entry.key().1)?;
                entry.insert(held)
            }
        };
        tallies.count(*place, change.merge(mutation));
    }
    let _not_seen_by_halves = engine.gates.lock(mutations);
    commit(engine, &keyspaces.opened, changes)?;
    tallies.say(mutations, &keyspaces.places);
    Ok(())
}

impl Change {
    /// True when the mutation takes effect.
    fn merge(&mut self, mutation: &Mutation) -> bool {
        let deletes = mutation.values.is_none();
        let wins = supersedes(mutation.version, deletes, self.version, self.deletes);
        if wins {
            self.version = mutation.version;
            self.deletes = deletes;
            self.bytes = Some(value::write(mutation.version, mutation.values.as_ref()));
        }
        wins
    }
}

/// How many mutations of each keyspace took effect, and how many were passed over.
#[derive(Default)]
struct Tallies(Vec<(u64, u64)>);

impl Tallies {
    fn count(&mut self, place: usize, wins: bool) {
        if self.0.len() <= place {
            self.0.resize(place + 1, (0, 0));
        }
        if let Some((written, passed_over)) = self.0.get_mut(place) {
            *written += u64::from(wins);
            *passed_over += u64::from(!wins);
        }
    }

    /// Counts them once the write is through.
    fn say(&self, mutations: &[Mutation], places: &[usize]) {
        for (at, (written, passed_over)) in self.0.iter().enumerate() {
            let first = places.iter().position(|place| *place == at);
            if let Some(mutation) = first.and_then(|first| mutations.get(first)) {
                metrics::rows(mutation.table.name, *written, *passed_over);
            }
        }
    }
}

/// The keyspaces of some mutations, each once, and which is whose.
struct Keyspaces {
    opened: Vec<Keyspace>,
    places: Vec<usize>,
}

fn keyspaces(engine: &Engine, mutations: &[Mutation]) -> Result<Keyspaces, StoreError> {
    let (mut opened, mut places) = (Vec::new(), Vec::with_capacity(mutations.len()));
    let mut known = BTreeMap::new();
    for mutation in mutations {
        let of = (mutation.table.name, mutation.generation);
        let place = match known.get(&of) {
            Some(place) => *place,
            None => {
                opened.push(engine.keyspace(mutation.table, mutation.generation)?);
                known.insert(of, opened.len() - 1);
                opened.len() - 1
            }
        };
        places.push(place);
    }
    Ok(Keyspaces { opened, places })
}

/// What the key holds now; a version below all when it holds nothing.
fn held(keyspace: &Keyspace, mutation: &Mutation, key: &[u8]) -> Result<Change, StoreError> {
    let table = mutation.table.name;
    let bytes = keyspace.get(key).map_err(|e| at_port(table, &e))?;
    let held = bytes
        .as_deref()
        .map(|bytes| Held::read(table, bytes))
        .transpose()?;
    Ok(Change {
        version: held.map_or(Version(0), |held| held.version),
        deletes: held.is_some_and(|held| held.values.is_none()),
        bytes: None,
    })
}

fn commit(
    engine: &Engine,
    keyspaces: &[Keyspace],
    changes: BTreeMap<(usize, Vec<u8>), Change>,
) -> Result<(), StoreError> {
    let mut batch = engine.database.batch();
    for ((place, key), change) in changes {
        if let (Some(keyspace), Some(bytes)) = (keyspaces.get(place), change.bytes) {
            batch.insert(keyspace, key, bytes);
        }
    }
    batch.commit().map_err(|e| at_port("", &e))
}

fn key_of(mutation: &Mutation) -> Result<Vec<u8>, StoreError> {
    let key = [&*mutation.partition, &*mutation.cluster].concat();
    check_key(mutation.table.name, &key)?;
    Ok(key)
}

/// Refuses keys that fjall does not take.
pub(crate) fn check_key(table: &'static str, key: &[u8]) -> Result<(), StoreError> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        let reason = format!("a key of {} bytes", key.len());
        return Err(StoreError::Damaged { table, reason });
    }
    Ok(())
}

fn size_bytes(mutations: &[Mutation]) -> u64 {
    let size = |m: &Mutation| {
        m.partition.len() + m.cluster.len() + m.values.as_ref().map_or(0, bytes::Bytes::len)
    };
    u64::try_from(mutations.iter().map(size).sum::<usize>()).unwrap_or(u64::MAX)
}
