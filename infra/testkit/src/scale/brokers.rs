//! Brokers: who leads what, and what the others have to bear when one is gone.

use std::fmt::Write;

use super::{Population, Spread};

/// Replicas of a partition.
const REPLICAS: usize = 3;
/// Partitions of the topic that is spread.
const PARTITIONS: u32 = 2_048;

/// The replicas of a partition, the leader first, as Kafka spreads them over brokers without racks
/// (`StripedReplicaPlacer`'s ancestor, `AdminUtils.assignReplicasToBrokersRackUnaware`): leaders in turn,
/// followers with a shift that grows each time round.
fn replicas(partition: usize, brokers: usize) -> [usize; REPLICAS] {
    let leader = partition % brokers;
    let shift = partition / brokers;
    [0, 1, 2].map(|nth: usize| match nth {
        0 => leader,
        nth => (leader + 1 + (shift + nth - 1) % (brokers - 1)) % brokers,
    })
}

/// What each broker leads, when one of them is gone or none.
fn led(loads: &[f64], brokers: usize, gone: Option<usize>) -> Vec<f64> {
    let mut led = vec![0.0; brokers];
    for (partition, load) in loads.iter().enumerate() {
        let all = replicas(partition, brokers);
        let leader = all.into_iter().find(|broker| Some(*broker) != gone);
        if let Some(led) = leader.and_then(|leader| led.get_mut(leader)) {
            *led += load;
        }
    }
    led
}

pub(super) fn report(out: &mut String, population: &Population) -> std::fmt::Result {
    writeln!(
        out,
        "broker lost: {PARTITIONS} partitions, {REPLICAS} replicas, s=0.8; the busiest leader, of the mean of all"
    )?;
    let loads = population.loads(PARTITIONS);
    for brokers in [3, 12, 48, 96] {
        let before = Spread::of(&led(&loads, brokers, None)).most;
        let after = |gone| {
            let led = led(&loads, brokers, Some(gone));
            led.into_iter().fold(0.0, f64::max) * super::count(brokers)
        };
        let worst = (0..brokers).map(after).fold(0.0, f64::max);
        let even = super::count(brokers) / super::count(brokers - 1);
        writeln!(
            out,
            "  {brokers:3} brokers: {before:.3} before, {worst:.3} after, {even:.3} if it were shared evenly"
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_on_different_brokers_and_a_lost_ones_load_is_shared() {
        for partition in 0..1_000 {
            let [a, b, c] = replicas(partition, 12);
            assert!(a != b && b != c && a != c);
        }
        let loads = vec![1.0; 12 * 11];
        assert_eq!(led(&loads, 12, None), vec![11.0; 12]);
        let after = led(&loads, 12, Some(5));
        assert_eq!(after.iter().sum::<f64>(), 132.0);
        let others: Vec<f64> = after.iter().copied().filter(|load| *load > 0.0).collect();
        assert_eq!(others, vec![12.0; 11], "each takes one of the eleven");
    }
}
