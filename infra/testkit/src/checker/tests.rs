//! The checker sees what it should: a right history passes, and each promise broken once does not.

use schemas::frames::{Entry, EntryEvent, Status, StatusOf, WireBody};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Ordinal, Seq, Timestamp};

use super::history::{ChatTruth, Chosen, Endpoint, History, Observation, Told, Violation};
use super::*;

fn chat() -> ChatId {
    ChatId::new("d.ada.bob").unwrap()
}

fn endpoint(user: &str) -> Endpoint {
    (UserId::new(user).unwrap(), DeviceId::new("phone").unwrap())
}

fn entry(author: &str, seq: u64, client_id: &str) -> Entry {
    let (author, device) = endpoint(author);
    Entry {
        chat: chat(),
        seq: Seq(seq),
        ordinal: Ordinal(seq),
        at: Timestamp(0),
        author,
        device,
        client_id: ClientId::new(client_id).unwrap(),
        id: "".into(),
        event: EntryEvent::Message {
            body: WireBody::text(client_id),
            reply_to: None,
        },
    }
}

fn began(client_id: &str) -> Observation {
    Observation::Began {
        chat: chat(),
        client_id: ClientId::new(client_id).unwrap(),
    }
}

fn acknowledged(client_id: &str) -> Observation {
    Observation::Acknowledged {
        chat: chat(),
        client_id: ClientId::new(client_id).unwrap(),
    }
}

/// Ada sends 1 and 2, bob gets both and has read the first.
fn right() -> History {
    let timeline = vec![entry("ada", 1, "a1"), entry("ada", 2, "a2")];
    let got = |n: usize| Observation::Received(timeline[n].clone());
    let stays = vec![(Seq(0), Seq(u64::MAX))];
    let devices = [
        (
            endpoint("ada"),
            vec![
                began("a1"),
                began("a2"),
                acknowledged("a1"),
                acknowledged("a2"),
                got(0),
                got(1),
            ],
        ),
        (endpoint("bob"), vec![got(0), got(1)]),
    ];
    let told = |unread, read| Told {
        unread,
        read: Seq(read),
        settings: Some(Chosen::default()),
    };
    let (ada, bob) = (endpoint("ada").0, endpoint("bob").0);
    let truth = ChatTruth {
        timeline,
        members: [(ada.clone(), stays.clone()), (bob.clone(), stays)].into(),
        lists: [(ada, told(0, 0)), (bob, told(1, 1))].into(),
        statuses: Vec::new(),
    };
    History {
        devices: devices.into(),
        chats: [(chat(), truth)].into(),
    }
}

fn seen<'a>(history: &'a mut History, user: &str) -> &'a mut Vec<Observation> {
    history.devices.get_mut(&endpoint(user)).unwrap()
}

fn truth(history: &mut History) -> &mut ChatTruth {
    history.chats.get_mut(&chat()).unwrap()
}

fn told<'a>(history: &'a mut History, user: &str) -> &'a mut Told {
    let lists = &mut truth(history).lists;
    lists.get_mut(&endpoint(user).0).unwrap()
}

#[test]
fn right_history_passes() {
    assert_eq!(check(&right()), vec![]);
}

#[test]
fn acknowledged_command_that_is_nowhere_is_lost() {
    let mut history = right();
    seen(&mut history, "ada").push(acknowledged("a3"));
    assert!(matches!(
        check(&history)[..],
        [Violation::LostCommand { .. }]
    ));
    let (chat, client_id) = (chat(), ClientId::new("a3").unwrap());
    let code = schemas::errors::Code::NotMember;
    seen(&mut history, "ada").push(Observation::Refused {
        chat,
        client_id,
        code,
    });
    assert_eq!(check(&history), vec![], "a refusal is an answer");
}

#[test]
fn entry_that_a_device_never_got_is_lost() {
    let mut history = right();
    seen(&mut history, "bob").pop();
    assert!(matches!(
        check(&history)[..],
        [Violation::LostDelivery { seq: Seq(2), .. }]
    ));
}

#[test]
fn first_entry_that_a_device_never_got_is_lost() {
    let mut history = right();
    seen(&mut history, "bob").remove(0);
    assert!(matches!(
        check(&history)[..],
        [Violation::LostDelivery { seq: Seq(1), .. }]
    ));
}

#[test]
fn entry_that_a_stranger_got_is_leaked() {
    let mut history = right();
    let stolen = seen(&mut history, "bob")[0].clone();
    history.devices.insert(endpoint("eve"), vec![stolen]);
    assert!(matches!(
        check(&history)[..],
        [Violation::Leaked { seq: Seq(1), .. }]
    ));
}

#[test]
fn entry_of_a_chat_that_is_nowhere_diverges() {
    let mut history = right();
    let mut foreign = entry("ada", 1, "a1");
    foreign.chat = ChatId::new("d.ada.eve").unwrap();
    seen(&mut history, "bob").push(Observation::Received(foreign));
    assert!(matches!(check(&history)[..], [Violation::Diverged { .. }]));
}

#[test]
fn device_that_is_gone_is_owed_no_entry_but_what_it_was_told_holds() {
    let mut history = right();
    seen(&mut history, "bob").clear();
    seen(&mut history, "bob").push(Observation::Gone);
    assert_eq!(check(&history), vec![]);
    seen(&mut history, "bob").push(acknowledged("b1"));
    assert!(matches!(
        check(&history)[..],
        [Violation::LostCommand { .. }]
    ));
}

#[test]
fn command_that_stands_twice_is_duplicated() {
    let mut history = right();
    truth(&mut history).timeline.push(entry("ada", 3, "a1"));
    let found = check(&history);
    assert!(
        found
            .iter()
            .any(|v| matches!(v, Violation::DuplicatedCommand { .. })),
        "{found:?}"
    );
}

#[test]
fn entry_handed_over_twice_is_duplicated() {
    let mut history = right();
    let again = seen(&mut history, "bob")[1].clone();
    seen(&mut history, "bob").push(again);
    assert!(matches!(
        check(&history)[..],
        [Violation::DuplicatedDelivery { .. }]
    ));
}

#[test]
fn entries_out_of_order_are_reordered() {
    let mut history = right();
    seen(&mut history, "bob").swap(0, 1);
    assert!(matches!(check(&history)[..], [Violation::Reordered { .. }]));
}

#[test]
fn commands_out_of_their_order_are_overtaken_unless_the_app_began_anew_between() {
    let mut history = right();
    seen(&mut history, "ada").swap(0, 1);
    assert!(matches!(check(&history)[..], [Violation::Overtaken { .. }]));
    seen(&mut history, "ada").insert(1, Observation::Restarted);
    assert_eq!(check(&history), vec![]);
}

#[test]
fn hole_in_a_timeline_and_differing_entries_diverge() {
    let mut history = right();
    truth(&mut history).timeline.remove(0);
    let found = check(&history);
    assert!(
        found
            .iter()
            .any(|v| matches!(v, Violation::Diverged { .. })),
        "{found:?}"
    );
    let mut history = right();
    seen(&mut history, "bob")[1] = Observation::Received(entry("ada", 2, "other"));
    assert!(matches!(check(&history)[..], [Violation::Diverged { .. }]));
}

#[test]
fn wrong_count_is_a_wrong_unread() {
    let mut history = right();
    told(&mut history, "bob").unread = 2;
    assert!(matches!(
        check(&history)[..],
        [Violation::WrongUnread {
            told: 2,
            counted: 1,
            ..
        }]
    ));
}

#[test]
fn entry_outside_every_stay_is_leaked() {
    let mut history = right();
    let (bob, stays) = (endpoint("bob").0, vec![(Seq(0), Seq(1))]);
    truth(&mut history).members.insert(bob, stays);
    let found = check(&history);
    assert!(
        found
            .iter()
            .any(|v| matches!(v, Violation::Leaked { seq: Seq(2), .. })),
        "{found:?}"
    );
}

#[test]
fn mark_that_falls_went_back() {
    let mut history = right();
    for seq in [2, 1] {
        let kind = schemas::events::MarkKind::Read;
        let mark = Observation::Marked {
            chat: chat(),
            device: None,
            kind,
            seq: Seq(seq),
        };
        seen(&mut history, "bob").push(mark);
    }
    let found = check(&history);
    assert!(
        found
            .iter()
            .any(|v| matches!(v, Violation::MarkWentBack { .. })),
        "{found:?}"
    );
}

#[test]
fn read_mark_that_was_made_and_is_gone_in_the_end_went_back() {
    let mut history = right();
    let has_read = |seq| Observation::HasRead {
        chat: chat(),
        seq: Seq(seq),
    };
    seen(&mut history, "bob").push(has_read(1));
    assert_eq!(check(&history), vec![]);
    seen(&mut history, "bob").push(has_read(2));
    assert!(matches!(
        check(&history)[..],
        [Violation::MarkWentBack { to: Seq(1), .. }]
    ));
}

#[test]
fn chat_that_a_member_who_was_asked_for_does_not_see_is_not_listed() {
    let mut history = right();
    truth(&mut history).lists.remove(&endpoint("bob").0);
    assert!(matches!(
        &check(&history)[..],
        [Violation::NotListed { user, .. }] if user.as_str() == "bob"
    ));
}

#[test]
fn chat_in_the_list_of_somebody_who_was_never_asked_for_is_leaked() {
    let mut history = right();
    let mut line = told(&mut history, "ada").clone();
    line.unread = 0;
    truth(&mut history).lists.insert(endpoint("eve").0, line);
    assert!(matches!(
        &check(&history)[..],
        [Violation::Uninvited { user, .. }] if user.as_str() == "eve"
    ));
}

#[test]
fn settings_are_those_that_were_chosen_last() {
    let mut history = right();
    let chose = |pinned| Observation::Chose {
        chat: chat(),
        settings: Chosen {
            pinned,
            ..Chosen::default()
        },
    };
    seen(&mut history, "bob").extend([chose(false), chose(true)]);
    assert!(matches!(
        check(&history)[..],
        [Violation::WrongSettings { .. }]
    ));
    told(&mut history, "bob").settings.as_mut().unwrap().pinned = true;
    assert_eq!(check(&history), vec![]);
    told(&mut history, "ada")
        .settings
        .as_mut()
        .unwrap()
        .archived = true;
    assert!(matches!(
        check(&history)[..],
        [Violation::WrongSettings { .. }]
    ));
}

/// Bob has both of ada's messages and has read `read` of them.
fn status(seq: u64, delivered: u32, read: u32) -> Status {
    let of = StatusOf {
        user: endpoint("bob").0,
        delivered: delivered > 0,
        read: read > 0,
    };
    Status {
        chat: chat(),
        seq: Seq(seq),
        of: 1,
        delivered,
        read,
        who: Some(vec![of]),
    }
}

#[test]
fn counters_are_what_devices_got_and_users_read() {
    let mut history = right();
    let (chat, seq) = (chat(), Seq(1));
    seen(&mut history, "bob").push(Observation::HasRead { chat, seq });
    truth(&mut history).statuses = vec![status(1, 1, 1), status(2, 1, 0)];
    assert_eq!(check(&history), vec![]);
    for wrong in [status(1, 1, 0), status(1, 0, 0), status(2, 1, 1)] {
        truth(&mut history).statuses = vec![wrong];
        assert!(matches!(
            check(&history)[..],
            [Violation::WrongStatus { .. }]
        ));
    }
    let mut of_more = status(1, 1, 1);
    of_more.of = 2;
    let mut of_another = status(1, 1, 1);
    of_another.who.as_mut().unwrap()[0].user = endpoint("ada").0;
    for wrong in [of_more, of_another] {
        truth(&mut history).statuses = vec![wrong];
        assert!(matches!(
            check(&history)[..],
            [Violation::WrongStatus { .. }]
        ));
    }
}

#[test]
fn what_an_app_had_begun_to_read_when_it_died_counts_or_not_but_for_names_and_counters_alike() {
    let mut history = right();
    let (chat, seq) = (chat(), Seq(2));
    seen(&mut history, "bob").push(Observation::BeginsToRead { chat, seq });
    for told in [status(2, 1, 0), status(2, 1, 1)] {
        truth(&mut history).statuses = vec![told];
        assert_eq!(check(&history), vec![]);
    }
    let mut at_odds = status(2, 1, 1);
    at_odds.who.as_mut().unwrap()[0].read = false;
    truth(&mut history).statuses = vec![at_odds];
    assert!(matches!(
        check(&history)[..],
        [Violation::WrongStatus { .. }]
    ));
}

#[test]
fn what_is_read_in_a_later_stay_counts_in_the_one_before() {
    let mut history = right();
    let (chat, bob) = (chat(), endpoint("bob").0);
    let stays = vec![(Seq(0), Seq(1)), (Seq(1), Seq(u64::MAX))];
    truth(&mut history).members.insert(bob, stays);
    let seq = Seq(2);
    seen(&mut history, "bob").push(Observation::HasRead { chat, seq });
    let bobs = truth(&mut history)
        .lists
        .get_mut(&endpoint("bob").0)
        .unwrap();
    (bobs.read, bobs.unread) = (Seq(2), 0);
    truth(&mut history).statuses = vec![status(1, 1, 1), status(2, 1, 1)];
    assert_eq!(check(&history), vec![]);
    truth(&mut history).statuses = vec![status(1, 1, 0)];
    assert!(matches!(
        check(&history)[..],
        [Violation::WrongStatus { .. }]
    ));
}
