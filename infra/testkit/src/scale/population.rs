//! Chats by popularity, and the partitions that the platform's hash gives them.

use schemas::topics::partition_of;

/// With so many partitions a key's partition is its hash.
const HASHES: u32 = 1 << 31;

/// Chats: the hash of each one's id, and its share of all messages.
#[derive(Debug)]
pub struct Population {
    chats: Vec<(u32, f64)>,
}

impl Population {
    /// Direct chats whose popularity falls with their rank to the power of `s`; none has a larger share
    /// than `cap`.
    #[must_use]
    pub fn of(chats: u32, s: f64, cap: f64) -> Self {
        let weight = |rank: u32| f64::from(rank).powf(-s);
        let mut shares: Vec<f64> = (1..=chats).map(weight).collect();
        // What is above the cap is cut off, which raises the others: a few rounds settle it.
        for _ in 0..8 {
            let total: f64 = shares.iter().sum();
            shares
                .iter_mut()
                .for_each(|share| *share = (*share / total).min(cap));
        }
        let total: f64 = shares.iter().sum();
        let chat = |(rank, share): (u32, f64)| {
            let id = format!("d.user-{rank}.user-{}", rank + 1);
            (partition_of(id.as_bytes(), HASHES).0, share / total)
        };
        Self {
            chats: (1..).zip(shares).map(chat).collect(),
        }
    }

    /// The share of each partition.
    #[must_use]
    pub fn loads(&self, partitions: u32) -> Vec<f64> {
        let mut loads = vec![0.0; partitions as usize];
        for (hash, share) in &self.chats {
            if let Some(load) = loads.get_mut((hash % partitions) as usize) {
                *load += share;
            }
        }
        loads
    }
}

#[cfg(test)]
mod tests {
    use schemas::position::Partition;

    use super::*;

    #[test]
    fn shares_are_capped_and_fall_where_the_platform_puts_the_chat() {
        let population = Population::of(10_000, 1.0, 0.001);
        let loads = population.loads(64);
        assert!((loads.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let most = population
            .chats
            .iter()
            .map(|(_, share)| *share)
            .fold(0.0, f64::max);
        assert!(most < 0.00101, "{most}");
        let (hash, _) = population.chats[6];
        assert_eq!(partition_of(b"d.user-7.user-8", 64), Partition(hash % 64));
    }
}
