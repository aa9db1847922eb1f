//! Locks striped by partition: who compares versions of a row must be alone with its partition.
//!
//! Stripes are taken in rising order, so two writers never wait for each other in a circle.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use infra_ports::Mutation;
use parking_lot::{Mutex, MutexGuard};

/// More than there are writers by far.
const STRIPES: u64 = 64;

/// The locks.
#[derive(Debug)]
pub(crate) struct Stripes(Vec<Mutex<()>>);

impl Stripes {
    /// All free.
    pub(crate) fn new() -> Self {
        Self((0..STRIPES).map(|_| Mutex::default()).collect())
    }

    /// Locks the partitions of some mutations.
    pub(crate) fn lock(&self, mutations: &[Mutation]) -> Vec<MutexGuard<'_, ()>> {
        let wanted: BTreeSet<usize> = mutations.iter().map(stripe).collect();
        wanted
            .iter()
            .filter_map(|stripe| self.0.get(*stripe))
            .map(Mutex::lock)
            .collect()
    }

    /// Locks all partitions of all tables.
    pub(crate) fn lock_all(&self) -> Vec<MutexGuard<'_, ()>> {
        self.0.iter().map(Mutex::lock).collect()
    }
}

fn stripe(mutation: &Mutation) -> usize {
    let mut hasher = DefaultHasher::new();
    (
        mutation.table.name,
        mutation.generation,
        &*mutation.partition,
    )
        .hash(&mut hasher);
    usize::try_from(hasher.finish() % STRIPES).unwrap_or(0)
}
