//! How high the versions of a table's rows reach, so that a store need not look at what a key holds
//! before it writes something newer.
//!
//! The rows of one chat rise together: whatever makes them stands in one partition of the log. So a
//! table keeps, for each of many buckets of chats, the highest version ever written there since the
//! store was opened, and one bound for everything from before. A write above both is newer than what
//! its key holds, whoever wrote that; any other write is compared with what the key holds. A bucket
//! that two chats share, or a bound that is too high, costs a look and nothing else.
//!
//! ```text
//!  version ─▶ above what was there when the store was opened? ─▶ at or above its bucket? ─▶ newer
//!                              └──────────── no ───────────────────────┴─▶ look at the key
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use schemas::position::Version;
use schemas::tables::TableDef;

use crate::store::Mutation;

/// The ceilings of one table.
#[derive(Debug)]
pub struct Ceilings {
    /// No row that the table had when the store was opened has a higher version.
    before: AtomicU64,
    /// By bucket: no row written since then has a higher version.
    since: Vec<AtomicU64>,
}

impl Ceilings {
    /// Of a table without rows.
    #[must_use]
    pub fn of_empty_table(buckets: usize) -> Self {
        let since = (0..buckets.max(1)).map(|_| AtomicU64::new(0)).collect();
        Self {
            before: AtomicU64::new(0),
            since,
        }
    }

    /// Of a table of whose rows nothing is known yet.
    #[must_use]
    pub fn unknown(buckets: usize) -> Self {
        let ceilings = Self::of_empty_table(buckets);
        ceilings.before.store(u64::MAX, Ordering::Relaxed);
        ceilings
    }

    /// Takes in that no row had a higher version when the store was opened.
    pub fn settle(&self, highest: Version) {
        self.before.fetch_min(highest.0, Ordering::Relaxed);
    }

    /// True when the key of this mutation holds nothing that it would not take the place of. To be
    /// asked by whoever is alone with the key, before [`Self::raise`].
    #[must_use]
    pub fn are_below(&self, mutation: &Mutation) -> bool {
        let since = self.since.get(self.bucket(mutation));
        let since = since.map_or(u64::MAX, |since| since.load(Ordering::Relaxed));
        let version = mutation.version.0;
        version > self.before.load(Ordering::Relaxed) && version >= since
    }

    /// Takes in a mutation that is written. A delete beats the put of its version, so it counts as
    /// one higher.
    pub fn raise(&self, mutation: &Mutation) {
        let version = mutation
            .version
            .0
            .saturating_add(u64::from(mutation.values.is_none()));
        if let Some(since) = self.since.get(self.bucket(mutation)) {
            since.fetch_max(version, Ordering::Relaxed);
        }
    }

    fn bucket(&self, mutation: &Mutation) -> usize {
        let (partition, cluster) = up_to_chat(mutation.table, mutation);
        // FNV-1a: short keys, no attacker who gains by a collision.
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = partition
            .iter()
            .chain(cluster)
            .fold(0xcbf2_9ce4_8422_2325, step);
        let buckets = u64::try_from(self.since.len()).unwrap_or(1);
        usize::try_from((hash ^ hash >> 32) % buckets).unwrap_or(0)
    }
}

/// The key up to and including its chat; all of it when there is no chat in it.
fn up_to_chat<'a>(table: &TableDef, mutation: &'a Mutation) -> (&'a [u8], &'a [u8]) {
    let (partition, cluster) = (&*mutation.partition, &*mutation.cluster);
    match table.end_of("chat", partition, cluster) {
        Some(end) if end <= partition.len() => (partition.get(..end).unwrap_or(partition), &[]),
        Some(end) => {
            let end = end - partition.len();
            (partition, cluster.get(..end).unwrap_or(cluster))
        }
        None => (partition, cluster),
    }
}

#[cfg(test)]
mod tests {
    use schemas::ids::{ChatId, UserId};
    use schemas::position::{Generation, Seq, Timestamp};
    use schemas::tables::{HiddenRow, Table};

    use super::*;

    fn row(user: &str, chat: &str, seq: u64) -> HiddenRow {
        HiddenRow {
            user: UserId::new(user).unwrap(),
            chat: ChatId::new(chat).unwrap(),
            seq: Seq(seq),
            at: Timestamp(0),
        }
    }

    fn put(chat: &str, seq: u64, version: u64) -> Mutation {
        Mutation::put(Generation(1), &row("ada", chat, seq), Version(version))
    }

    #[test]
    fn rows_of_a_chat_rise_together_and_other_chats_do_not_matter() {
        let ceilings = Ceilings::of_empty_table(1 << 16);
        ceilings.raise(&put("d.ada.bob", 1, 10));
        assert!(ceilings.are_below(&put("d.ada.bob", 2, 11)));
        assert!(
            ceilings.are_below(&put("d.ada.bob", 2, 10)),
            "the same write again"
        );
        assert!(!ceilings.are_below(&put("d.ada.bob", 2, 9)));
        assert!(ceilings.are_below(&put("d.ada.cyd", 1, 1)));
    }

    #[test]
    fn a_delete_beats_a_put_of_its_version() {
        let ceilings = Ceilings::of_empty_table(1);
        let key = row("ada", "d.ada.bob", 1).key();
        ceilings.raise(&Mutation::delete::<HiddenRow>(
            Generation(1),
            &key,
            Version(5),
        ));
        assert!(!ceilings.are_below(&put("d.ada.bob", 1, 5)));
        assert!(ceilings.are_below(&put("d.ada.bob", 1, 6)));
    }

    #[test]
    fn what_was_there_before_is_looked_at_until_its_bound_is_known() {
        let ceilings = Ceilings::unknown(1);
        assert!(!ceilings.are_below(&put("d.ada.bob", 1, 1_000)));
        ceilings.settle(Version(100));
        ceilings.settle(Version(200));
        assert!(!ceilings.are_below(&put("d.ada.bob", 1, 100)));
        assert!(ceilings.are_below(&put("d.ada.bob", 1, 101)));
    }
}
