//! A large group: how many records of `users` one message becomes.

use std::collections::BTreeSet;
use std::fmt::Write;

use schemas::topics::partition_of;

use super::{PARTITIONS, count};

/// Groups whose mean is told.
const GROUPS: u32 = 50;
/// The largest group.
const MEMBERS: u32 = 1_024;

/// Records for one message to the group of this number.
fn records(group: u32, members: u32, partitions: u32) -> usize {
    let member = |n: u32| format!("member-{}", group * MEMBERS + n);
    let hashed = (0..members).map(|n| partition_of(member(n).as_bytes(), partitions));
    hashed.collect::<BTreeSet<_>>().len()
}

/// What chance alone would give: partitions that at least one of so many members falls into.
fn expected(members: u32, partitions: u32) -> f64 {
    let all = f64::from(partitions);
    all * (1.0 - (1.0 - 1.0 / all).powi(members.cast_signed()))
}

pub(super) fn report(out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "hot group: records of `users` for one message, mean of {GROUPS} groups (by the formula)"
    )?;
    for members in [32, 256, MEMBERS] {
        write!(out, "  {members:5} members:")?;
        for partitions in PARTITIONS {
            let all: usize = (0..GROUPS)
                .map(|group| records(group, members, partitions))
                .sum();
            let mean = count(all) / f64::from(GROUPS);
            write!(
                out,
                "  {mean:.1} ({:.1}) of {partitions}",
                expected(members, partitions)
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_spreads_members_as_chance_would() {
        for partitions in PARTITIONS {
            let all: usize = (0..GROUPS)
                .map(|group| records(group, 256, partitions))
                .sum();
            let mean = count(all) / f64::from(GROUPS);
            let off = mean / expected(256, partitions) - 1.0;
            assert!(off.abs() < 0.02, "{partitions}: {off}");
        }
    }
}
