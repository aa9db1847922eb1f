//! Leases: who of a group is alive, by name, and which of two that claim a name is the newer.

use std::collections::BTreeMap;

use super::NodeName;

/// A number that only grows over the leases of a group: of two that claim the same thing the one with
/// the larger number is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// A lease that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The name it is for.
    pub name: NodeName,
    /// Its number.
    pub fence: Fence,
    /// What its holder says of itself, as an address.
    pub detail: String,
}

/// The answer to who wants a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is the asker's.
    Yes(Fence),
    /// Another has it.
    Held(Fence),
}

/// The live leases of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leases {
    /// By name.
    pub live: Vec<Lease>,
    /// The group has had a live lease without a break for a time to live: who is not in it is gone. Else
    /// it may be that others have not come back yet.
    pub settled: bool,
}

/// Who is to be taken for alive, by name: of a settled look those it shows; else those known before as
/// well, with the newer lease of each name.
#[must_use]
pub fn members(known: &[Lease], seen: &Leases) -> Vec<Lease> {
    if seen.settled {
        return seen.live.clone();
    }
    let mut all: BTreeMap<&NodeName, &Lease> = BTreeMap::new();
    for lease in known.iter().chain(&seen.live) {
        let newest = all.entry(&lease.name).or_insert(lease);
        if lease.fence >= newest.fence {
            *newest = lease;
        }
    }
    all.into_values().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(name: &str, fence: u64) -> Lease {
        Lease {
            name: NodeName::new(name).unwrap(),
            fence: Fence(fence),
            detail: String::new(),
        }
    }

    #[test]
    fn a_registry_that_came_back_empty_takes_nobody_away_until_it_is_settled() {
        let known = [lease("a", 1), lease("b", 2)];
        let mut seen = Leases {
            live: vec![lease("b", 5), lease("c", 6)],
            settled: false,
        };
        let all = [lease("a", 1), lease("b", 5), lease("c", 6)];
        assert_eq!(members(&known, &seen), all);
        seen.settled = true;
        assert_eq!(members(&known, &seen), seen.live);
        assert_eq!(members(&known, &Leases::default()), known);
    }
}
