//! One chat's order: once, in order, no gap left.

use proptest::prelude::*;
use schemas::frames::{EntryEvent, WireBody};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Ordinal, Timestamp};

use super::*;

fn entry(seq: u64) -> Entry {
    Entry {
        chat: ChatId::new("d.ada.bob").unwrap(),
        seq: Seq(seq),
        ordinal: Ordinal(seq),
        at: Timestamp(0),
        author: UserId::new("bob").unwrap(),
        device: DeviceId::new("phone").unwrap(),
        client_id: ClientId::new(format!("m-{seq}")).unwrap(),
        id: "".into(),
        event: EntryEvent::Message {
            body: WireBody::text("x"),
            reply_to: None,
        },
    }
}

fn batch(from: u64, through: u64, seqs: &[u64]) -> Entries {
    Entries {
        chat: ChatId::new("d.ada.bob").unwrap(),
        from: Seq(from),
        through: Seq(through),
        entries: seqs.iter().copied().map(entry).collect(),
        head: Seq(through),
    }
}

fn seqs(out: &[Entry]) -> Vec<u64> {
    out.iter().map(|entry| entry.seq.0).collect()
}

#[test]
fn what_comes_twice_leaves_once() {
    let (mut order, mut out) = (Order::default(), Vec::new());
    for seq in [1, 1, 2, 1, 2, 3] {
        order.take(entry(seq), true, &mut out);
    }
    assert_eq!(seqs(&out), [1, 2, 3]);
    assert_eq!(order.gap(), None);
}

#[test]
fn a_gap_is_asked_for_and_what_lies_behind_it_waits() {
    let (mut order, mut out) = (Order::from(Seq(41)), Vec::new());
    order.take(entry(43), true, &mut out);
    assert_eq!(seqs(&out), [0; 0]);
    assert_eq!(order.gap(), Some((Seq(42), Moment(0))));
    order.asking();
    assert_eq!(order.gap(), None);
    assert!(order.take_batch(batch(42, 42, &[42]), &mut out));
    order.answered(Moment(9), true);
    assert_eq!(seqs(&out), [42, 43]);
    assert_eq!(order.gap(), None);
}

#[test]
fn through_closes_a_gap_of_entries_that_may_not_be_seen() {
    let (mut order, mut out) = (Order::from(Seq(41)), Vec::new());
    order.take(entry(60), true, &mut out);
    assert!(order.take_batch(batch(42, 59, &[]), &mut out));
    assert_eq!(seqs(&out), [60]);
    assert_eq!(order.last(), Some(Seq(60)));
}

#[test]
fn first_entry_of_an_unknown_chat_waits_for_the_resume() {
    let (mut order, mut out) = (Order::unknown(false), Vec::new());
    order.take(entry(43), false, &mut out);
    assert!(out.is_empty());
    order.take_batch(batch(41, 42, &[41, 42]), &mut out);
    assert_eq!(seqs(&out), [41, 42, 43]);
}

#[test]
fn unknown_chat_that_begins_within_its_newest_page_is_asked_for_from_where_that_begins() {
    let (mut order, mut out) = (Order::default(), Vec::new());
    let mut resumed = batch(58, 60, &[58, 59, 60]);
    resumed.head = Seq(60);
    order.take_batch(resumed.clone(), &mut out);
    assert_eq!(
        (seqs(&out), order.gap()),
        (vec![], Some((Seq(11), Moment(0))))
    );
    let all: Vec<u64> = (11..=57).collect();
    order.take_batch(batch(11, 57, &all), &mut out);
    assert_eq!(seqs(&out), (11..=60).collect::<Vec<_>>());
    let (mut fresh, mut out) = (Order::default(), Vec::new());
    let all: Vec<u64> = (11..=60).collect();
    fresh.take_batch(batch(11, 60, &all), &mut out);
    assert_eq!((out.len(), fresh.gap()), (50, None), "as to a new device");
    let (mut known, mut out) = (Order::from(Seq(57)), Vec::new());
    known.take_batch(resumed, &mut out);
    assert_eq!((seqs(&out), known.gap()), (vec![58, 59, 60], None));
}

#[test]
fn only_what_was_taken_counts_and_with_it_what_may_not_be_seen() {
    let (mut order, mut out) = (Order::default(), Vec::new());
    order.take_batch(batch(1, 9, &[1, 2, 7]), &mut out);
    order.tell(&out);
    assert_eq!(order.taken(), None);
    order.took(Seq(2));
    assert_eq!(order.taken(), Some(Seq(2)));
    order.took(Seq(1));
    assert_eq!(order.taken(), Some(Seq(2)), "it only grows");
    order.took(Seq(7));
    assert_eq!(order.taken(), Some(Seq(9)));
    order.took(Seq(99));
    assert_eq!(
        order.taken(),
        Some(Seq(9)),
        "nobody takes what was not told"
    );
}

#[test]
fn where_the_marks_are_all_that_is_kept_an_unknown_chat_begins_with_what_comes_first() {
    let (mut order, mut out) = (Order::unknown(false), Vec::new());
    order.take(entry(43), false, &mut out);
    order.resumed(&mut out);
    assert_eq!(seqs(&out), [43]);
    let (mut order, mut out) = (Order::unknown(false), Vec::new());
    order.take(entry(9), true, &mut out);
    assert_eq!(seqs(&out), [9]);
}

#[test]
fn answers_that_bring_nothing_are_asked_for_ever_more_seldom() {
    let (mut order, mut out) = (Order::from(Seq(1)), Vec::new());
    order.take(entry(3), true, &mut out);
    let mut waits = Vec::new();
    for _ in 0..8 {
        order.asking();
        order.answered(Moment(0), false);
        waits.push(order.gap().unwrap().1.0);
    }
    assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
}

#[test]
fn a_head_heard_of_is_asked_for_again_and_given_up_in_the_end() {
    let mut order = Order::from(Seq(4));
    order.hear_of(Seq(9));
    let mut waits = Vec::new();
    while let Some((from, at)) = order.gap() {
        assert_eq!(from, Seq(5));
        waits.push(at.0);
        order.asking();
        order.answered(Moment(0), false);
    }
    assert_eq!(waits, [0, 200, 400, 800, 1600, 3200, 6400]);
}

#[test]
fn a_flood_behind_a_gap_is_bounded_and_nothing_of_it_is_lost() {
    let (mut order, mut out) = (Order::from(Seq(0)), Vec::new());
    for seq in 2..=3000 {
        order.take(entry(seq), true, &mut out);
    }
    assert!(order.held.len() <= MAX_HELD);
    while let Some((from, _)) = order.gap() {
        let through = (from.0 + 99).min(3000);
        let all: Vec<u64> = (from.0..=through).collect();
        order.take_batch(batch(from.0, through, &all), &mut out);
    }
    assert_eq!(seqs(&out), (1..=3000).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn any_arrival_leaves_once_and_in_order(
        arrivals in prop::collection::vec((1u64..40, any::<bool>(), 0u64..5), 0..120),
        start in 0u64..3,
    ) {
        let (mut order, mut out) = (Order::from(Seq(start)), Vec::new());
        for (seq, single, more) in arrivals {
            if single {
                order.take(entry(seq), true, &mut out);
            } else {
                let all: Vec<u64> = (seq..=seq + more).collect();
                order.take_batch(batch(seq, seq + more, &all), &mut out);
            }
        }
        let last = order.last().unwrap().0;
        prop_assert_eq!(seqs(&out), (start + 1..=last).collect::<Vec<_>>());
        prop_assert_eq!(order.gap().is_some(), !order.held.is_empty());
    }
}
