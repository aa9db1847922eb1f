//! The digest of a table: equal for equal rows, in whatever order they come, on whatever store.
//!
//! SHA-256 of each row's canonical bytes (partition key, clustering key and values, each after its
//! length), summed modulo 2^256, with the count of rows. A sum can be made in parts and merged.
//! Versions are left out: they are positions in a log, and a copy of a log may have others. This
//! compares builds that nobody forges; it is no defence against rows chosen to collide.

use sha2::{Digest as _, Sha256};

/// The digest of some rows.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest {
    /// Low bytes first.
    sum: [u8; 32],
    rows: u64,
}

impl Digest {
    /// Adds a row.
    pub fn add(&mut self, partition: &[u8], cluster: &[u8], values: &[u8]) {
        let mut hash = Sha256::new();
        for part in [partition, cluster, values] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        self.sum = add(self.sum, hash.finalize().into());
        self.rows += 1;
    }

    /// Adds the rows of another digest, as if they had been added one by one.
    pub fn merge(&mut self, other: &Self) {
        self.sum = add(self.sum, other.sum);
        self.rows += other.rows;
    }

    /// How many rows it is of.
    pub const fn rows(&self) -> u64 {
        self.rows
    }
}

/// Sum modulo 2^256, low bytes first.
fn add(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    let (mut sum, mut carry) = (a, false);
    for (to, with) in sum.iter_mut().zip(b) {
        let (once, over) = to.overflowing_add(with);
        let (twice, over_again) = once.overflowing_add(u8::from(carry));
        *to = twice;
        carry = over || over_again;
    }
    sum
}

impl std::fmt::Display for Digest {
    /// The count of rows, then the sum in hexadecimal, high bytes first.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.rows)?;
        self.sum
            .iter()
            .rev()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(rows: &[(Vec<u8>, Vec<u8>, Vec<u8>)]) -> Digest {
        let mut digest = Digest::default();
        rows.iter().for_each(|(p, c, v)| digest.add(p, c, v));
        digest
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..6)
    }

    proptest! {
        #[test]
        fn order_and_parts_do_not_matter(
            rows in proptest::collection::vec((bytes(), bytes(), bytes()), 0..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let (a, b) = rows.split_at(cut.index(rows.len() + 1));
            let mut merged = of(b);
            merged.merge(&of(a));
            prop_assert_eq!(merged, of(&rows));
            let reversed: Vec<_> = rows.iter().rev().cloned().collect();
            prop_assert_eq!(of(&reversed), of(&rows));
        }
    }

    #[test]
    fn bytes_do_not_move_between_the_parts_of_a_row() {
        let row = |p: &[u8], c: &[u8], v: &[u8]| of(&[(p.into(), c.into(), v.into())]);
        assert_ne!(row(b"ab", b"", b""), row(b"a", b"b", b""));
        assert_ne!(row(b"", b"ab", b""), row(b"", b"a", b"b"));
    }

    #[test]
    fn the_same_row_twice_is_not_nothing() {
        let row = (vec![1], vec![2], vec![3]);
        let twice = of(&[row.clone(), row]);
        assert_eq!(twice.rows(), 2);
        assert_ne!(twice, Digest::default());
    }

    #[test]
    fn sums_carry_over_all_bytes() {
        let mut one = [0; 32];
        one[0] = 1;
        assert_eq!(add([0xFF; 32], one), [0; 32]);
        assert_eq!(
            Digest::default().to_string(),
            format!("0:{}", "0".repeat(64))
        );
    }
}
