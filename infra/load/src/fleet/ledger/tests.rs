//! The ledger sees what is lost, repeated and swapped, and nothing where all is well.

use super::*;

/// Two sockets in one chat, and so many messages of socket 0, all answered.
fn talk(messages: u64) -> (Ledger, Vec<View>) {
    let mut ledger = Ledger::default();
    let chat = ledger.chat("d.a.b".into(), 2);
    for n in 0..messages {
        assert_eq!(ledger.send(Message::new(n, 0, chat, 0)), n);
        assert!(ledger.sent(Some(n)).is_some());
    }
    (ledger, vec![View::default(), View::default()])
}

/// Has these (seq, number) come to a socket.
fn come(ledger: &mut Ledger, views: &mut [View], socket: usize, entries: &[(u64, u64)]) {
    for (seq, number) in entries {
        ledger.entry(socket, &mut views[socket], *seq, Some(*number));
    }
}

fn first_word(ledger: &mut Ledger) -> String {
    let faults = ledger.close();
    let first = faults.first().map_or("", String::as_str);
    first.split(':').next().unwrap_or_default().to_owned()
}

#[test]
fn everything_once_and_in_order_is_no_fault() {
    let (mut ledger, mut views) = talk(3);
    assert!(!ledger.is_settled());
    for socket in 0..2 {
        come(&mut ledger, &mut views, socket, &[(1, 0), (2, 1), (3, 2)]);
    }
    assert!(ledger.is_settled() && !ledger.is_faulty());
    assert_eq!(ledger.close(), Vec::<String>::new());
}

#[test]
fn a_message_that_reaches_one_member_only_is_lost() {
    let (mut ledger, mut views) = talk(1);
    come(&mut ledger, &mut views, 0, &[(1, 0)]);
    assert!(!ledger.is_settled());
    assert_eq!(first_word(&mut ledger), "lost");
}

#[test]
fn a_hole_is_seen_at_once() {
    let (mut ledger, mut views) = talk(2);
    come(&mut ledger, &mut views, 1, &[(2, 1)]);
    assert!(ledger.is_faulty());
    assert_eq!(first_word(&mut ledger), "lost");
}

#[test]
fn an_entry_that_comes_again_is_repeated() {
    let (mut ledger, mut views) = talk(1);
    come(&mut ledger, &mut views, 1, &[(1, 0), (1, 0)]);
    assert_eq!(first_word(&mut ledger), "repeated");
}

#[test]
fn a_message_under_two_places_is_repeated() {
    let (mut ledger, mut views) = talk(1);
    for socket in 0..2 {
        come(&mut ledger, &mut views, socket, &[(1, 0), (2, 0)]);
    }
    assert!(ledger.close().iter().any(|f| f.starts_with("repeated")));
}

#[test]
fn messages_of_one_author_that_overtake_each_other_are_swapped() {
    let (mut ledger, mut views) = talk(2);
    come(&mut ledger, &mut views, 1, &[(1, 1), (2, 0)]);
    assert_eq!(first_word(&mut ledger), "swapped");
}

#[test]
fn an_order_that_differs_between_members_is_swapped() {
    let mut ledger = Ledger::default();
    let chat = ledger.chat("d.a.b".into(), 2);
    let mut views = vec![View::default(), View::default()];
    for sender in 0..2 {
        let number = ledger.send(Message::new(0, sender, chat, 0));
        ledger.sent(Some(number));
    }
    come(&mut ledger, &mut views, 0, &[(1, 0), (2, 1)]);
    come(&mut ledger, &mut views, 1, &[(1, 1), (2, 0)]);
    assert_eq!(first_word(&mut ledger), "swapped");
}

#[test]
fn an_answer_that_never_came_and_one_that_came_twice_are_faults() {
    let mut ledger = Ledger::default();
    let chat = ledger.chat("d.a.b".into(), 1);
    let number = ledger.send(Message::new(0, 0, chat, 0));
    assert_eq!((ledger.unanswered(), ledger.expected()), (1, 1));
    assert!(ledger.sent(Some(number)).is_some());
    assert!(ledger.sent(Some(number)).is_none() && ledger.is_faulty());
    assert!(ledger.sent(None).is_none());
    ledger.send(Message::new(0, 0, chat, 0));
    assert_eq!(ledger.close().len(), 4);
}

fn batch(from: u64, through: u64, entries: &[(u64, u64)]) -> Batch {
    Batch {
        chat: "d.a.b".into(),
        from,
        through,
        entries: entries.iter().map(|(s, n)| (*s, Some(*n))).collect(),
    }
}

#[test]
fn a_batch_that_came_before_is_repeated_and_nothing_is_lost_by_it() {
    let (mut ledger, mut views) = talk(4);
    ledger.batch(0, &mut views[0], &batch(1, 3, &[(1, 0), (2, 1), (3, 2)]));
    assert!(!ledger.is_faulty());
    ledger.batch(0, &mut views[0], &batch(1, 2, &[(1, 0), (2, 1)]));
    assert_eq!(first_word(&mut ledger), "repeated");
    assert_eq!(views[0].seq, 3, "it goes on where it was");
}

#[test]
fn a_batch_begins_where_a_new_device_begins_and_leaves_no_hole_later() {
    let (mut ledger, mut views) = talk(4);
    assert_eq!(
        ledger.batch(0, &mut views[0], &batch(3, 4, &[(3, 2), (4, 3)])),
        2
    );
    assert!(!ledger.is_faulty());
    views[1].seq = 1;
    ledger.batch(1, &mut views[1], &batch(2, 4, &[(2, 1), (4, 3)]));
    assert!(ledger.is_faulty());
}

#[test]
fn a_refused_message_is_waited_for_no_longer_and_must_not_arrive() {
    let mut ledger = Ledger::default();
    let chat = ledger.chat("d.a.b".into(), 2);
    for answered in [false, true] {
        let number = ledger.send(Message::new(0, 0, chat, 0));
        if answered {
            ledger.sent(Some(number));
        }
        ledger.refused(Some(number), "rate_limited");
    }
    assert!(ledger.is_settled() && !ledger.is_faulty());
    assert_eq!(ledger.refusals(), (2, "rate_limited"));
    assert!(ledger.close().is_empty());
    ledger.entry(1, &mut View::default(), 1, Some(0));
    assert_eq!(first_word(&mut ledger), "repeated");
}

#[test]
fn what_was_marked_may_not_come_again_and_what_was_not_may() {
    for (settled, is_faulty) in [(0, false), (1, true)] {
        let (mut ledger, mut views) = talk(2);
        come(&mut ledger, &mut views, 1, &[(1, 0)]);
        views[1].settled = settled;
        let batch = Batch {
            chat: "d.a.b".into(),
            from: 1,
            through: 2,
            entries: vec![(1, Some(0)), (2, Some(1))],
        };
        assert_eq!(ledger.batch(1, &mut views[1], &batch), 1);
        assert_eq!(ledger.is_faulty(), is_faulty);
    }
}
