//! Which worker has which partition: rendezvous hashing (highest random weight; Thaler and
//! Ravishankar, "Using name-based mappings to increase hit rates", 1998). Pure arithmetic: all who
//! know the same workers say the same, whoever joins takes partitions only to itself, and whoever
//! leaves gives away only its own.
//!
//! Balance is that of chance: with `m` partitions a worker in the mean, none has more than
//! `m + 3·√m + 1` over all names that the tests try.

use schemas::position::Partition;

use super::NodeName;

/// Where a partition is tailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The worker that has it.
    pub owner: NodeName,
    /// Who has it next when the owner goes, and may tail it already.
    pub standby: Option<NodeName>,
}

/// Which worker has which partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    places: Vec<Place>,
}

impl Assignment {
    /// Gives so many partitions to workers; their order is of no account, and a name counts once. Of
    /// no workers it is empty.
    #[must_use]
    pub fn of(workers: &[NodeName], partitions: u32) -> Self {
        let mut workers: Vec<_> = workers.iter().map(|name| (hash(name), name)).collect();
        workers.sort_unstable();
        workers.dedup();
        let places = (0..partitions).filter_map(|partition| place(&workers, partition));
        Self {
            places: places.collect(),
        }
    }

    /// Who has a partition; none when there are no workers or no such partition.
    #[must_use]
    pub fn place(&self, partition: Partition) -> Option<&Place> {
        self.places.get(usize::try_from(partition.0).ok()?)
    }

    /// The partitions of a worker, in order.
    pub fn owned_by(&self, worker: &NodeName) -> impl Iterator<Item = Partition> {
        self.all(move |place| place.owner == *worker)
    }

    /// The partitions for which a worker stands by, in order.
    pub fn stood_by(&self, worker: &NodeName) -> impl Iterator<Item = Partition> {
        self.all(move |place| place.standby.as_ref() == Some(worker))
    }

    fn all(&self, is_one: impl Fn(&Place) -> bool) -> impl Iterator<Item = Partition> {
        let numbered = (0..).map(Partition).zip(&self.places);
        numbered.filter_map(move |(number, place)| is_one(place).then_some(number))
    }
}

/// The two workers with the highest weights for a partition; of equal ones the larger name.
fn place(workers: &[(u64, &NodeName)], partition: u32) -> Option<Place> {
    let salt = mix(u64::from(partition));
    let weighed = workers.iter().map(|(hash, name)| (mix(hash ^ salt), *name));
    let mut best: Option<(u64, &NodeName)> = None;
    let mut second = None;
    for candidate in weighed {
        if best.is_none_or(|best| candidate > best) {
            second = best.replace(candidate);
        } else if second.is_none_or(|second| candidate > second) {
            second = Some(candidate);
        }
    }
    best.map(|(_, owner)| Place {
        owner: owner.clone(),
        standby: second.map(|(_, name)| name.clone()),
    })
}

/// FNV-1a, 64 bits, mixed: the same on every machine and in every version.
fn hash(name: &NodeName) -> u64 {
    let bytes = name.as_str().bytes();
    mix(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood, 2014).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PARTITIONS: u32 = 64;

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn workers() -> impl Strategy<Value = Vec<NodeName>> {
        prop::collection::btree_set("[a-z0-9-]{1,12}", 1..12)
            .prop_map(|names| names.iter().map(|text| name(text)).collect())
    }

    proptest! {
        #[test]
        fn whoever_joins_or_leaves_moves_only_its_own(all in workers(), which in 0_usize..12) {
            let which = which % all.len();
            let more = Assignment::of(&all, PARTITIONS);
            let mut fewer = all.clone();
            let one = fewer.remove(which);
            let fewer = Assignment::of(&fewer, PARTITIONS);
            for partition in (0..PARTITIONS).map(Partition) {
                let with = more.place(partition).unwrap();
                let without = fewer.place(partition).map(|place| &place.owner);
                match with.owner == one {
                    true => prop_assert_eq!(without, with.standby.as_ref(), "the standby follows"),
                    false => prop_assert_eq!(without, Some(&with.owner)),
                }
            }
        }

        #[test]
        fn all_who_look_say_the_same_in_whatever_order_they_see_the_workers(
            all in workers(),
            turn in 0_usize..12,
        ) {
            let mut turned = all.clone();
            turned.rotate_left(turn % all.len());
            turned.push(all[0].clone());
            let assignment = Assignment::of(&all, PARTITIONS);
            prop_assert_eq!(&Assignment::of(&turned, PARTITIONS), &assignment);
            let owned: usize = all.iter().map(|one| assignment.owned_by(one).count()).sum();
            prop_assert_eq!(owned, 64, "each partition has one owner");
        }
    }

    #[test]
    fn no_worker_has_far_more_than_its_share() {
        for family in ["worker-", "w", "10.0.0.", "host.example-", "x"] {
            for count in 2..=16_u32 {
                let names: Vec<_> = (0..count).map(|n| name(&format!("{family}{n}"))).collect();
                let assignment = Assignment::of(&names, PARTITIONS);
                let mean = f64::from(PARTITIONS) / f64::from(count);
                for one in &names {
                    let owned = assignment.owned_by(one).count() as f64;
                    let bound = mean + 3.0 * mean.sqrt() + 1.0;
                    assert!(owned <= bound, "{one} of {count}: {owned} over {bound}");
                    let stood_by = assignment.stood_by(one).count() as f64;
                    assert!(stood_by <= bound, "{one} of {count} stands by {stood_by}");
                }
            }
        }
    }

    #[test]
    fn the_weights_are_part_of_the_protocol_and_stay_as_they_are() {
        let names = ["a", "b", "c"].map(name);
        let assignment = Assignment::of(&names, 12);
        let owners: String = (0..12)
            .map(|n| assignment.place(Partition(n)).unwrap().owner.to_string())
            .collect();
        assert_eq!(owners, "bbaaabccbccc");
        assert_eq!(Assignment::of(&[], 12).place(Partition(0)), None);
        let alone = Assignment::of(&names[..1], 1);
        assert_eq!(alone.place(Partition(0)).unwrap().standby, None);
    }
}
