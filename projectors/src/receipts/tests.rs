//! The rules of marks and counters, on plain values.

use proptest::prelude::*;
use schemas::events::{Mark, MarkKind};
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::{Offset, Ordinal, Seq, Timestamp, Version};

use super::fold::{DeviceMarks, Marks, Who};

fn user(n: u64) -> UserId {
    UserId::new(format!("u{n}")).unwrap()
}

fn device(n: u64) -> DeviceId {
    DeviceId::new(format!("d{n}")).unwrap()
}

fn mark(who: u64, on: u64, kind: MarkKind, since: u64, seq: u64) -> Mark {
    Mark {
        chat: ChatId::new("g.00112233445566778899aabbccddeeff").unwrap(),
        user: user(who),
        device: device(on),
        kind,
        seq: Seq(seq),
        ordinal: Ordinal(seq),
        since: Seq(since),
        authors: vec![user(9)],
        at: Timestamp(0),
    }
}

fn folded(marks: &[Mark]) -> Marks {
    let mut state = Marks::default();
    for (offset, mark) in (0..).zip(marks) {
        state.apply(mark, Offset(offset));
    }
    state
}

fn counts(state: &Marks, seq: u64) -> (u32, u32) {
    let (delivered, read) = state.counters();
    (delivered.count_at(Seq(seq)), read.count_at(Seq(seq)))
}

#[test]
fn a_member_counts_once_whatever_devices_they_have() {
    let delivered = MarkKind::Delivered;
    let state = folded(&[mark(1, 1, delivered, 0, 5), mark(1, 2, delivered, 0, 7)]);
    assert_eq!(counts(&state, 5), (1, 0));
    assert_eq!(counts(&state, 7), (1, 0));
    assert_eq!(counts(&state, 8), (0, 0));
}

#[test]
fn read_implies_delivered() {
    let state = folded(&[mark(1, 1, MarkKind::Read, 0, 4)]);
    assert_eq!(counts(&state, 4), (1, 1));
    let marks = state.of(&(user(1), device(1), Seq(0)));
    assert_eq!(marks.delivered.seq, Seq(4));
}

#[test]
fn who_joined_later_does_not_have_what_came_before() {
    let state = folded(&[
        mark(1, 1, MarkKind::Read, 6, 8),
        mark(2, 1, MarkKind::Read, 0, 8),
    ]);
    assert_eq!(counts(&state, 6), (1, 1));
    assert_eq!(counts(&state, 7), (2, 2));
}

#[test]
fn a_lower_mark_changes_nothing() {
    let mut state = folded(&[mark(1, 1, MarkKind::Read, 0, 9)]);
    let position = state.position;
    assert!(!state.apply(&mark(1, 1, MarkKind::Read, 0, 3), Offset(10)));
    assert_eq!(state.position, position);
    assert_eq!(state.user_read(&user(1)).map(|(r, _)| r.seq), Some(Seq(9)));
}

#[test]
fn a_mark_that_was_applied_changes_nothing() {
    let marks = [
        mark(1, 1, MarkKind::Delivered, 0, 2),
        mark(1, 1, MarkKind::Read, 0, 3),
    ];
    let mut state = folded(&marks);
    for (offset, mark) in (0..).zip(&marks) {
        assert!(!state.apply(mark, Offset(offset)));
    }
    assert_eq!(state.position, Version(2));
    assert!(state.apply(&mark(1, 1, MarkKind::Read, 0, 99), Offset(2)));
}

/// Users, each with a device, and how far it has got.
fn rows(state: &Marks) -> Vec<(Who, DeviceMarks)> {
    let who = |n| (user(n), device(1), Seq(0));
    (0..4).map(|n| (who(n), state.of(&who(n)))).collect()
}

#[test]
fn marks_that_a_load_did_not_see_are_applied_again() {
    let before = [
        mark(0, 1, MarkKind::Delivered, 0, 2),
        mark(1, 1, MarkKind::Read, 0, 2),
    ];
    let together = [
        mark(2, 1, MarkKind::Read, 0, 4),
        mark(0, 1, MarkKind::Read, 0, 5),
        mark(1, 1, MarkKind::Delivered, 0, 5),
        mark(3, 1, MarkKind::Delivered, 0, 5),
    ];
    let (early, late) = (folded(&before), folded(&[&before[..], &together].concat()));
    for seen in 0..16 {
        let mut state = Marks::default();
        for (nth, (old, new)) in rows(&early).into_iter().zip(rows(&late)).enumerate() {
            let (of, (who, marks)) = match seen >> nth & 1 {
                0 => (&early, old),
                _ => (&late, new),
            };
            state.restore(who, marks, of.position);
        }
        for (offset, mark) in (2..).zip(&together) {
            state.apply(mark, Offset(offset));
        }
        assert_eq!(rows(&state), rows(&late), "seen: {seen:04b}");
        assert_eq!(state.counters(), late.counters(), "seen: {seen:04b}");
    }
}

#[test]
fn a_cursor_is_that_of_the_last_stay() {
    let state = folded(&[
        mark(1, 1, MarkKind::Read, 0, 30),
        mark(1, 1, MarkKind::Delivered, 40, 41),
    ]);
    let (delivered, since) = state.device_cursor(&user(1), &device(1)).unwrap();
    assert_eq!((delivered.seq, since), (Seq(41), Seq(40)));
    let (read, since) = state.user_read(&user(1)).unwrap();
    assert_eq!(
        (read.seq, since),
        (Seq(30), Seq(0)),
        "nothing was read since"
    );
}

#[test]
fn authors_are_told_once_a_chunk_and_own_devices_of_reads_only() {
    let mut state = Marks::default();
    for n in 0..100 {
        state.apply(&mark(n % 10, 1, MarkKind::Delivered, 0, n), Offset(n));
    }
    assert_eq!(state.ticks.authors.len(), 1);
    assert_eq!(state.ticks.seq, Seq(99));
    assert!(state.ticks.own.is_empty());
    state.apply(&mark(1, 1, MarkKind::Read, 0, 50), Offset(100));
    assert_eq!(state.ticks.own.len(), 1);
}

proptest! {
    #[test]
    fn counters_agree_with_counting_members_in_any_order(
        marks in proptest::collection::vec((0..4_u64, 0..3_u64, any::<bool>(), 0..3_u64, 0..9_u64), 0..60),
    ) {
        let marks: Vec<Mark> = marks
            .into_iter()
            .map(|(who, on, read, stay, more)| {
                let kind = if read { MarkKind::Read } else { MarkKind::Delivered };
                mark(who, on, kind, stay * 10, stay * 10 + more)
            })
            .collect();
        let state = folded(&marks);
        for seq in 0..40 {
            let covers = |m: &&Mark| m.since.0 < seq && seq <= m.seq.0;
            let who = |m: &Mark| m.user.clone();
            let has: std::collections::BTreeSet<_> = marks.iter().filter(covers).map(who).collect();
            let reads = marks.iter().filter(|m| m.kind == MarkKind::Read);
            let read: std::collections::BTreeSet<_> = reads.filter(covers).map(who).collect();
            prop_assert_eq!(counts(&state, seq), (has.len() as u32, read.len() as u32));
        }
        let mut backwards = Marks::default();
        for (offset, mark) in (0..).zip(marks.iter().rev()) {
            backwards.apply(mark, Offset(offset));
        }
        prop_assert_eq!(backwards.counters(), state.counters());
    }
}

#[test]
fn counts_beside_an_author_know_whether_they_count_themselves() {
    let (delivered, read) = (MarkKind::Delivered, MarkKind::Read);
    let state = folded(&[
        mark(1, 1, delivered, 0, 5),
        mark(2, 1, read, 0, 5),
        mark(3, 1, read, 5, 9),
    ]);
    assert_eq!(state.covers(&user(1), Seq(5)), (true, false));
    assert_eq!(state.covers(&user(1), Seq(6)), (false, false));
    assert_eq!(state.covers(&user(2), Seq(5)), (true, true));
    assert_eq!(
        state.covers(&user(3), Seq(5)),
        (false, false),
        "not a member yet"
    );
    assert_eq!(state.covers(&user(4), Seq(1)), (false, false));
}
