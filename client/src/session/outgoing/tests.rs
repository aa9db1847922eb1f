//! Commands: in order, bounded, again until settled.

use schemas::frames::{ChatsQuery, Send, WireBody};

use super::*;

mod remembered;

fn send(n: u64) -> Command {
    Command::Send(Send {
        chat: ChatId::new("d.ada.bob").unwrap(),
        client_id: ClientId::new(format!("m-{n}")).unwrap(),
        body: WireBody::text("x"),
        reply_to: None,
    })
}

fn outbox(commands: u64) -> Outbox {
    let mut outbox = Outbox::new(1000);
    outbox.opened();
    for n in 1..=commands {
        assert!(outbox.push(Ticket(n), send(n)));
    }
    outbox
}

fn written(outbox: &mut Outbox, now: u64) -> Vec<u64> {
    let mut all = Vec::new();
    while let Some((ticket, _)) = outbox.pop(Moment(now)) {
        all.push(ticket.0);
    }
    all
}

#[test]
fn no_command_is_begun_128_or_more_behind_the_oldest_unsettled_one_of_its_chat() {
    let mut outbox = outbox(300);
    assert_eq!(written(&mut outbox, 0), (1..=128).collect::<Vec<_>>());
    assert_eq!(outbox.waiting(), 172);
    for n in 3..=128 {
        outbox.settle(Ticket(n));
    }
    assert!(written(&mut outbox, 0).is_empty(), "the first is unsettled");
    outbox.settle(Ticket(1));
    assert_eq!(written(&mut outbox, 0), [129]);
    outbox.settle(Ticket(2));
    assert_eq!(written(&mut outbox, 0), (130..=256).collect::<Vec<_>>());
    assert_eq!(outbox.waiting(), 44);
}

#[test]
fn a_full_chat_does_not_hold_up_reads_or_another_chat() {
    let mut outbox = outbox(128);
    written(&mut outbox, 0);
    let query = ChatsQuery {
        cursor: None,
        limit: None,
    };
    outbox.push(Ticket(500), Command::Chats(query));
    let mut other = send(1);
    if let Command::Send(send) = &mut other {
        send.chat = ChatId::new("d.ada.eve").unwrap();
    }
    assert!(outbox.push(Ticket(501), other));
    assert_eq!(written(&mut outbox, 0), [500, 501]);
}

#[test]
fn everything_unsettled_is_written_again_on_a_new_connection_and_in_order() {
    let mut outbox = outbox(132);
    written(&mut outbox, 0);
    outbox.settle(Ticket(1));
    outbox.lost();
    assert!(written(&mut outbox, 0).is_empty());
    outbox.opened();
    assert_eq!(written(&mut outbox, 0), (2..=129).collect::<Vec<_>>());
}

#[test]
fn the_same_client_id_twice_under_way_is_refused_and_free_again_when_settled() {
    let mut outbox = outbox(1);
    assert!(!outbox.push(Ticket(2), send(1)));
    outbox.settle(Ticket(1));
    assert!(outbox.push(Ticket(3), send(1)));
}

#[test]
fn refused_for_now_waits_its_time_and_newer_ones_wait_behind_it() {
    let mut outbox = outbox(2);
    written(&mut outbox, 0);
    let refusal = Refusal::plain(Code::RateLimited).retry_after_ms(250);
    outbox.refused_for_now(Moment(10), Ticket(1), &refusal);
    outbox.push(Ticket(3), send(3));
    assert!(written(&mut outbox, 10).is_empty());
    assert_eq!(outbox.due(), Some(Moment(260)));
    outbox.tick(Moment(260));
    assert_eq!(written(&mut outbox, 260), [1, 3]);
}

#[test]
fn settling_the_refused_one_lets_the_newer_go() {
    let mut outbox = outbox(1);
    written(&mut outbox, 0);
    outbox.refused_for_now(Moment(0), Ticket(1), &Refusal::plain(Code::Unavailable));
    outbox.push(Ticket(2), send(2));
    outbox.settle(Ticket(1));
    assert_eq!(written(&mut outbox, 0), [2]);
}

#[test]
fn a_command_without_verdict_is_written_again_after_a_while() {
    let mut outbox = outbox(1);
    written(&mut outbox, 0);
    assert_eq!(outbox.due(), Some(Moment(1000)));
    outbox.push(Ticket(2), send(2));
    written(&mut outbox, 600);
    outbox.tick(Moment(1000));
    assert_eq!(written(&mut outbox, 1000), [1]);
    outbox.tick(outbox.due().unwrap());
    assert_eq!(written(&mut outbox, 1600), [2]);
}

#[test]
fn a_command_without_verdict_is_written_again_after_longer_and_longer_pauses() {
    let mut outbox = outbox(1);
    written(&mut outbox, 0);
    let mut pauses = Vec::new();
    let mut before = 0;
    while pauses.len() < 7 {
        let due = outbox.due().unwrap();
        outbox.tick(due);
        if written(&mut outbox, due.0) == [1] {
            pauses.push(due.0 - before);
            before = due.0;
        }
    }
    assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 32_000]);
}

/// Ticks whatever is due until a command is written; when that is.
fn written_next(outbox: &mut Outbox, ticket: u64) -> u64 {
    for _ in 0..1_000 {
        let due = outbox.due().unwrap();
        outbox.tick(due);
        if written(outbox, due.0).contains(&ticket) {
            return due.0;
        }
    }
    panic!("it is never written");
}

#[test]
fn one_that_is_asked_for_seldom_delays_no_other() {
    let mut outbox = outbox(1);
    written(&mut outbox, 0);
    let mut now = 0;
    for _ in 0..6 {
        now = written_next(&mut outbox, 1);
    }
    outbox.push(Ticket(2), send(2));
    assert_eq!(written(&mut outbox, now), [2]);
    assert_eq!(written_next(&mut outbox, 2), now + 1_000);
}

#[test]
fn what_was_refused_or_lost_with_its_socket_is_asked_for_as_soon_as_any() {
    let mut outbox = outbox(1);
    written(&mut outbox, 0);
    for _ in 0..5 {
        outbox.refused_for_now(Moment(0), Ticket(1), &Refusal::plain(Code::RateLimited));
        written_next(&mut outbox, 1);
        outbox.lost();
        outbox.opened();
        written(&mut outbox, 0);
    }
    assert_eq!(written_next(&mut outbox, 1), 1_000);
}

#[test]
fn nothing_is_due_while_what_was_refused_has_to_wait() {
    let mut outbox = outbox(2);
    written(&mut outbox, 0);
    outbox.settle(Ticket(2));
    let refusal = Refusal::plain(Code::RateLimited).retry_after_ms(25_000);
    outbox.refused_for_now(Moment(0), Ticket(1), &refusal);
    outbox.tick(Moment(1_000));
    assert_eq!(outbox.due(), Some(Moment(25_000)));
}

#[test]
fn a_read_that_is_refused_holds_no_message_back() {
    let mut outbox = outbox(0);
    for n in 1..=40 {
        let (cursor, limit) = (None, None);
        outbox.push(Ticket(n), Command::Chats(ChatsQuery { cursor, limit }));
    }
    written(&mut outbox, 0);
    for n in 1..=40 {
        outbox.refused_for_now(Moment(0), Ticket(n), &Refusal::plain(Code::Unavailable));
    }
    outbox.push(Ticket(50), send(50));
    assert_eq!(written(&mut outbox, 0), [50]);
}

#[test]
fn nothing_is_due_when_nothing_is_under_way() {
    let mut outbox = outbox(1);
    written(&mut outbox, 0);
    outbox.settle(Ticket(1));
    outbox.tick(Moment(1000));
    assert_eq!((outbox.due(), outbox.len()), (None, 0));
}
