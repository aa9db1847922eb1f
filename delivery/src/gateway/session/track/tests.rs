//! The track by itself.

use infra_ports::transport::encode_text;

use super::*;

fn pushed(seq: u64) -> Arc<Pushed> {
    Pushed::sample("d.ada.bob", seq, encode_text(seq.to_string().as_bytes()))
}

fn serving(sent: u64) -> (Track, ChatId) {
    let chat = ChatId::new("d.ada.bob").unwrap();
    let mut track = Track::new(UserId::new("ada").unwrap());
    track.known(chat.clone(), Seq(sent), Seq(sent), Offset(0));
    assert!(track.loaded(std::slice::from_ref(&chat)).is_empty());
    (track, chat)
}

#[test]
fn offers_are_pushed_dropped_or_kept_waiting() {
    let (mut track, chat) = serving(4);
    assert_eq!(track.offer(&pushed(4)), Offer::Drop);
    assert_eq!(track.offer(&pushed(5)), Offer::Push);
    assert_eq!(track.offer(&pushed(8)), Offer::Gap);
    assert_eq!(track.offer(&pushed(9)), Offer::Wait);
    let next = track.next_to_fill();
    assert_eq!(next, Some((chat.clone(), Seq(6), Seq(7), Offset(8))));
    assert!(track.filled(&chat, Seq(6)).is_empty());
    assert_eq!(track.filled(&chat, Seq(7)).len(), 2, "8 and 9 follow");
    assert!(!track.has_work());
    assert_eq!(track.offer(&pushed(10)), Offer::Push);
}

#[test]
fn more_than_may_wait_is_read_from_the_timeline_instead() {
    let (mut track, chat) = serving(0);
    let most = MAX_PENDING as u64;
    for seq in 2..=most + 3 {
        track.offer(&pushed(seq));
    }
    let (_, from, through, _) = track.next_to_fill().unwrap();
    assert_eq!(
        (from, through),
        (Seq(1), Seq(most + 1)),
        "the newest two still wait"
    );
    assert_eq!(track.filled(&chat, Seq(most + 1)).len(), 2);
    assert!(!track.has_work());
}

#[test]
fn what_is_being_filled_stays_the_same_however_much_comes_meanwhile() {
    let (mut track, chat) = serving(0);
    track.reload();
    track.known(chat.clone(), Seq(0), Seq(300), Offset(300));
    track.loaded(std::slice::from_ref(&chat));
    let goal = track.next_to_fill();
    assert_eq!(goal, Some((chat.clone(), Seq(1), Seq(300), Offset(300))));
    for seq in 301..=2_000 {
        assert_eq!(track.offer(&pushed(seq)), Offer::Wait);
        assert_eq!(track.next_to_fill(), goal);
    }
    track.filled(&chat, Seq(100));
    let (_, from, through, origin) = track.next_to_fill().unwrap();
    assert_eq!((from, through, origin), (Seq(101), Seq(300), Offset(300)));
    track.filled(&chat, Seq(300));
    let (_, from, through, origin) = track.next_to_fill().unwrap();
    assert!(from == Seq(301) && through > Seq(1_700) && through.0 + 1 == origin.0);
    let live = track.filled(&chat, through).len() as u64;
    assert_eq!(through.0 + live, 2_000);
    assert!(!track.has_work());
}

#[test]
fn what_comes_while_loading_waits_and_is_not_sent_twice() {
    let chat = ChatId::new("d.ada.bob").unwrap();
    let mut track = Track::new(UserId::new("ada").unwrap());
    for seq in 3..=6 {
        assert_eq!(track.offer(&pushed(seq)), Offer::Wait);
    }
    track.known(chat.clone(), Seq(4), Seq(5), Offset(0));
    assert_eq!(track.goes_live(), 0);
    assert_eq!(track.loaded(&[chat]).len(), 2, "5 and 6");
    assert!(!track.has_work());
    assert_eq!(track.goes_live(), 1);
    assert_eq!(track.goes_live(), 0, "said once");
}

#[test]
fn gaps_and_the_resume_take_turns() {
    let b = ChatId::new("d.ada.bob").unwrap();
    let other = ChatId::new("d.ada.cyd").unwrap();
    let mut track = Track::new(UserId::new("ada").unwrap());
    track.known(other.clone(), Seq(0), Seq(500), Offset(0));
    track.known(b.clone(), Seq(1), Seq(1), Offset(0));
    track.loaded(&[other.clone(), b.clone()]);
    assert_eq!(track.offer(&pushed(5)), Offer::Gap);
    let turns: Vec<_> = (0..4)
        .map(|_| track.next_to_fill().map(|(chat, ..)| chat).unwrap())
        .collect();
    assert!(turns.contains(&other) && turns.contains(&b), "{turns:?}");
    assert_eq!((track.resume.len(), track.gaps.len()), (1, 1));
}

#[test]
fn a_reload_keeps_what_was_sent() {
    let (mut track, chat) = serving(7);
    assert_eq!(track.goes_live(), 1);
    track.offer(&pushed(8));
    track.reload();
    assert_eq!(track.offer(&pushed(10)), Offer::Wait);
    track.known(chat.clone(), Seq(2), Seq(10), Offset(10));
    assert!(track.loaded(std::slice::from_ref(&chat)).is_empty());
    let (_, from, through, _) = track.next_to_fill().unwrap();
    assert_eq!((from, through), (Seq(9), Seq(9)));
    assert_eq!(track.goes_live(), 0, "9 is missing");
    assert_eq!(track.filled(&chat, through).len(), 1, "10");
    assert_eq!(track.goes_live(), 1, "anew");
}

#[test]
fn what_was_lost_before_live_is_told_of_by_a_second_one() {
    let mut track = Track::new(UserId::new("ada").unwrap());
    track.reload();
    track.reload();
    track.loaded(&[]);
    assert_eq!(track.goes_live(), 2);
    track.reload();
    track.loaded(&[]);
    assert_eq!(track.goes_live(), 1);
}
