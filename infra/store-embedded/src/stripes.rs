//! Locks striped by partition, for two ends.
//!
//! Who compares versions of a row must be alone with its partition. And a batch must be whole before
//! a reader of its partition takes a snapshot: fjall (3.1.13) publishes sequence numbers at every
//! flush and compaction, that of a batch whose rows are still being put in its place among them, so
//! that a snapshot taken then has some of the rows and not the others. Each end has locks of its own,
//! as readers need not wait while versions are compared.
//!
//! Stripes are taken in rising order, so two writers never wait for each other in a circle.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use infra_ports::Mutation;
use parking_lot::{Mutex, MutexGuard};
use schemas::position::Generation;
use schemas::tables::TableDef;

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

    /// Locks one partition.
    pub(crate) fn lock_one(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
    ) -> Option<MutexGuard<'_, ()>> {
        let stripe = stripe_of(table, generation, partition);
        self.0.get(stripe).map(Mutex::lock)
    }

    /// Locks all partitions of all tables.
    pub(crate) fn lock_all(&self) -> Vec<MutexGuard<'_, ()>> {
        self.0.iter().map(Mutex::lock).collect()
    }
}

fn stripe(mutation: &Mutation) -> usize {
    stripe_of(mutation.table, mutation.generation, &mutation.partition)
}

fn stripe_of(table: &'static TableDef, generation: Generation, partition: &[u8]) -> usize {
    let mut hasher = DefaultHasher::new();
    (table.name, generation, partition).hash(&mut hasher);
    usize::try_from(hasher.finish() % STRIPES).unwrap_or(0)
}
