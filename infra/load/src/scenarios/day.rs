//! Everyday life: a hot chat in which everybody writes, and a mixed day.

use super::cast::Cast;
use super::measure::{Measured, Span, Times, from_any, measure_all};
use super::stage::Stage;
use crate::fleet::drive::{Shot, What};
use crate::fleet::marks::Marking;

/// Members of each group of a mixed day.
const CIRCLE: usize = 20;

/// Everybody writes to one group of so many members.
///
/// # Errors
/// When a message is lost, repeated, swapped or refused.
pub fn hot(stage: &Stage, members: usize, rate: u64, span: Span) -> anyhow::Result<Measured> {
    let mut cast = Cast::new(stage, members, Marking::Delivered)?;
    cast.group(0..members)?;
    let mut fleet = cast.live()?;
    let times = Times::from_now(&fleet, span);
    let shots = times.evenly(rate, |n| from_any(n, 0..members, 0));
    measure_all(&mut fleet, "a hot chat", &times, 1, shots, stage.id())
}

/// 90 of 100 messages go to one person, 10 to a group of 20; one of 100 is an edit; everybody marks
/// `delivered` and `read`. Class 0 is one-to-one, class 1 groups.
///
/// # Errors
/// When a message is lost, repeated, swapped or refused.
pub fn mixed(stage: &Stage, users: usize, rate: u64, span: Span) -> anyhow::Result<Measured> {
    let users = users.next_multiple_of(CIRCLE);
    let mut cast = Cast::new(stage, users, Marking::Read)?;
    cast.pairs(0..users);
    for first in (0..users).step_by(CIRCLE) {
        cast.group(first..first + CIRCLE)?;
    }
    let mut fleet = cast.live()?;
    let times = Times::from_now(&fleet, span);
    let shots = times.evenly(rate, |n| kind_of(n, users));
    measure_all(&mut fleet, "a mixed day", &times, 2, shots, stage.id())
}

/// What the `n`-th of a hundred is.
fn kind_of(n: u64, users: usize) -> Shot {
    // Once around the hundred, everybody is one kind further.
    let hundred = (n + n / 100) % 100;
    let to_group = usize::from(hundred % 10 == 3);
    let shot = Shot {
        view: to_group,
        ..from_any(n, 0..users, to_group)
    };
    let what = if hundred == 50 {
        What::Edit
    } else {
        What::Message
    };
    Shot { what, ..shot }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_are_ninety_ten_and_one_edit() {
        let all: Vec<_> = (0..100).map(|n| kind_of(n, 40)).collect();
        assert_eq!(all.iter().filter(|shot| shot.view == 1).count(), 10);
        assert_eq!(all.iter().filter(|shot| shot.what == What::Edit).count(), 1);
        assert!(all.iter().all(|shot| shot.class == shot.view));
    }
}
