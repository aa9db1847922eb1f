//! Step functions against counting one by one.

use proptest::prelude::*;

use super::*;
use crate::position::Seq;

/// Marks of members as (member, by how much the mark grows), with joins.
fn marks() -> impl Strategy<Value = (Vec<u64>, Vec<(usize, u64)>)> {
    let joins = proptest::collection::vec(0u64..20, 1..6);
    (
        joins,
        proptest::collection::vec((0usize..6, 0u64..15), 0..40),
    )
}

proptest! {
    #[test]
    fn counts_are_those_of_counting((joins, marks) in marks()) {
        let mut ends = joins.clone();
        let mut steps = Steps::default();
        for (member, by) in marks {
            let member = member % ends.len();
            let end = ends[member];
            steps.cover(Seq(end), Seq(end + by));
            ends[member] = end + by;
        }
        for seq in 0..700 {
            let covers = |(join, end): (&u64, &u64)| *join < seq && seq <= *end;
            let naive = joins.iter().zip(&ends).filter(|pair| covers(*pair)).count();
            prop_assert_eq!(usize::try_from(steps.count_at(Seq(seq))).unwrap(), naive);
        }
        prop_assert_eq!(Steps::from_bytes(&steps.to_bytes()), Ok(steps));
    }

    #[test]
    fn order_and_size_of_the_jumps_change_nothing((joins, marks) in marks()) {
        let (mut ends, mut by_steps) = (joins.clone(), Steps::default());
        for (member, by) in marks {
            let member = member % ends.len();
            by_steps.cover(Seq(ends[member]), Seq(ends[member] + by));
            ends[member] += by;
        }
        let mut at_once = Steps::default();
        for (join, end) in joins.iter().zip(&ends).rev() {
            at_once.cover(Seq(*join), Seq(*end));
        }
        prop_assert_eq!(by_steps.to_bytes(), at_once.to_bytes());
    }

    #[test]
    fn no_bytes_are_read_in_two_ways(bytes in proptest::collection::vec(any::<u8>(), 0..30)) {
        if let Ok(steps) = Steps::from_bytes(&bytes) {
            prop_assert_eq!(steps.to_bytes(), bytes);
        }
    }
}

#[test]
fn backward_and_empty_stretches_cover_nothing() {
    let mut steps = Steps::default();
    steps.cover(Seq(5), Seq(5));
    steps.cover(Seq(7), Seq(3));
    assert_eq!(steps, Steps::default());
    assert_eq!(steps.to_bytes(), [0u8; 0]);
}

#[test]
fn steps_show_where_the_count_changes() {
    let mut steps = Steps::default();
    steps.cover(Seq(0), Seq(4));
    steps.cover(Seq(2), Seq(4));
    let shown: Vec<_> = steps.steps().collect();
    assert_eq!(shown, [(Seq(0), 1), (Seq(2), 2), (Seq(4), 0)]);
}
