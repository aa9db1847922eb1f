//! Workers: how evenly partitions of `users` are given out, and what moves when one is killed.

use std::fmt::Write;

use infra_ports::registry::{Assignment, NodeName};
use schemas::position::Partition;

use super::{Spread, count};

/// How many partitions each worker has.
fn owned(assignment: &Assignment, workers: &[NodeName]) -> Vec<f64> {
    let of = |worker| count(assignment.owned_by(worker).count());
    workers.iter().map(of).collect()
}

pub(super) fn report(out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "worker lost: partitions of `users` by rendezvous; the busiest worker, of the mean"
    )?;
    for (workers, partitions) in [(4, 64), (16, 512), (64, 2_048), (64, 4_096)] {
        let names = (0..workers).filter_map(|n| NodeName::new(&format!("worker-{n}")).ok());
        let names: Vec<NodeName> = names.collect();
        let before = Assignment::of(&names, partitions);
        let Some((lost, left)) = names.split_first() else {
            continue;
        };
        let after = Assignment::of(left, partitions);
        let all = (0..partitions).map(Partition);
        let moved = all.filter(|one| {
            let owner = |of: &Assignment| of.place(*one).map(|place| place.owner.clone());
            owner(&before) != owner(&after)
        });
        let own = before.owned_by(lost).count();
        let (was, is) = (
            Spread::of(&owned(&before, &names)).most,
            Spread::of(&owned(&after, left)).most,
        );
        writeln!(
            out,
            "  {workers:3} workers, {partitions:4} partitions: {was:.2} before, {is:.2} after; moved {} of the {own} it had",
            moved.count()
        )?;
    }
    Ok(())
}
