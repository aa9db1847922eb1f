//! Locks striped by partition, for two ends.
//!
//! Who compares versions of a row must be alone with its partition. And a batch must be whole before
//! a reader of its partition takes a snapshot: fjall (3.1.13) publishes sequence numbers at every
//! flush and compaction, that of a batch whose rows are still being put in its place among them, so
//! that a snapshot taken then has some of the rows and not the others. Each end has locks of its own,
//! as readers need not wait while versions are compared.
//!
//! Stripes are taken in rising order, so two writers never wait for each other in a circle.

use infra_ports::Mutation;
use parking_lot::{Mutex, MutexGuard};
use schemas::position::Generation;
use schemas::tables::TableDef;

/// More than there are writers by far; as many as a word has bits.
const STRIPES: u32 = u64::BITS;

/// The locks.
#[derive(Debug)]
pub(crate) struct Stripes(Vec<Mutex<()>>);

/// Which stripes some mutations are of: one bit a stripe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted(u64);

impl Wanted {
    /// Those of the partitions of some mutations.
    pub(crate) fn by(mutations: &[Mutation]) -> Self {
        let stripe = |m: &Mutation| stripe_of(m.table, m.generation, &m.partition);
        Self(
            mutations
                .iter()
                .fold(0, |wanted, m| wanted | 1 << stripe(m)),
        )
    }

    fn has(self, stripe: u32) -> bool {
        self.0 >> stripe & 1 == 1
    }
}

impl Stripes {
    /// All free.
    pub(crate) fn new() -> Self {
        Self((0..STRIPES).map(|_| Mutex::default()).collect())
    }

    /// Locks the partitions of some mutations.
    pub(crate) fn lock(&self, wanted: &Wanted) -> Vec<MutexGuard<'_, ()>> {
        let stripes = (0..).zip(&self.0);
        let of_these = stripes.filter(|(stripe, _)| wanted.has(*stripe));
        of_these.map(|(_, stripe)| stripe.lock()).collect()
    }

    /// Locks one partition.
    pub(crate) fn lock_one(
        &self,
        table: &'static TableDef,
        generation: Generation,
        partition: &[u8],
    ) -> Option<MutexGuard<'_, ()>> {
        let stripe = usize::try_from(stripe_of(table, generation, partition)).ok()?;
        self.0.get(stripe).map(Mutex::lock)
    }

    /// Locks all partitions of all tables.
    pub(crate) fn lock_all(&self) -> Vec<MutexGuard<'_, ()>> {
        self.0.iter().map(Mutex::lock).collect()
    }
}

/// FNV-1a over what names a partition: short keys, no attacker who gains by a collision.
fn stripe_of(table: &'static TableDef, generation: Generation, partition: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    let name = table.name.as_bytes().iter();
    let generation = generation.0.to_le_bytes();
    let all = name.chain(&generation).chain(partition);
    let hash = all.fold(0x811c_9dc5, step);
    (hash ^ hash >> 16) % STRIPES
}
