//! The rules of a chat list's line, on plain values.

use schemas::events::{
    Body, ChatCreated, ChatEvent, EntryTold, MemberAdded, MemberRemoved, MessageDeleted,
    MessageEdited, MessageSent, Origin, ReactionSet, Role,
};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Offset, Ordinal, Seq, Timestamp};

use super::Inbox;
use super::fold::{Line, News, apply};
use crate::engine::projection::Projection;

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn chat() -> ChatId {
    ChatId::new("g.00112233445566778899aabbccddeeff").unwrap()
}

fn origin(author: &str) -> Origin {
    Origin {
        chat: chat(),
        author: user(author),
        device: DeviceId::new("phone").unwrap(),
        client_id: ClientId::new("c").unwrap(),
        at: Timestamp(1),
        rules: 1,
    }
}

fn sent(author: &str, text: &str) -> ChatEvent {
    ChatEvent::MessageSent(MessageSent {
        origin: origin(author),
        body: Body::text(text),
        reply_to: None,
    })
}

fn edited(author: &str, target: u64, text: &str) -> ChatEvent {
    ChatEvent::MessageEdited(MessageEdited {
        origin: origin(author),
        target: Seq(target),
        body: Body::text(text),
    })
}

fn deleted(author: &str, target: u64) -> ChatEvent {
    ChatEvent::MessageDeleted(MessageDeleted {
        origin: origin(author),
        target: Seq(target),
    })
}

/// What was told: the event at (seq, ordinal), which stands at offset seq × 10.
fn news(seq: u64, ordinal: u64, event: &ChatEvent) -> News {
    let told = EntryTold {
        recipients: vec![user("ada"), user("bob")],
        chat: chat(),
        seq: Seq(seq),
        ordinal: Ordinal(ordinal),
        at: Timestamp(seq as i64 * 100),
        origin: Offset(seq * 10),
        event: bytes::Bytes::new(),
    };
    News::new(told, event)
}

fn line_of(who: &str, events: &[(u64, u64, ChatEvent)]) -> Line {
    let mut line = Line::default();
    for (seq, ordinal, event) in events {
        assert!(apply(&mut line, &user(who), &news(*seq, *ordinal, event)));
    }
    line
}

#[test]
fn an_event_that_is_not_newer_changes_nothing() {
    let (second, third) = (
        news(2, 2, &sent("ada", "new")),
        news(3, 3, &sent("ada", "last")),
    );
    let mut line = Line::default();
    apply(&mut line, &user("ada"), &second);
    apply(&mut line, &user("ada"), &third);
    let before = line.clone();
    assert!(
        !apply(&mut line, &user("ada"), &second),
        "told late by another engine"
    );
    assert!(!apply(&mut line, &user("ada"), &third), "told twice");
    assert_eq!(line, before);
}

#[test]
fn own_is_the_ordinal_of_the_users_own_last_send() {
    let events = [
        (1, 1, sent("ada", "a")),
        (2, 2, sent("bob", "b")),
        (3, 2, deleted("ada", 1)),
    ];
    assert_eq!(line_of("ada", &events).own, Ordinal(1));
    assert_eq!(line_of("bob", &events).own, Ordinal(2));
    assert_eq!(line_of("bob", &events).head, Seq(3));
}

#[test]
fn a_join_sets_where_counting_begins_and_a_later_one_sets_it_anew() {
    let created = ChatEvent::ChatCreated(ChatCreated {
        origin: origin("ada"),
        title: String::new(),
        description: String::new(),
        members: vec![user("bob")],
        max_members: 9,
    });
    let removed = ChatEvent::MemberRemoved(MemberRemoved {
        origin: origin("ada"),
        user: user("bob"),
    });
    let added = ChatEvent::MemberAdded(MemberAdded {
        origin: origin("ada"),
        user: user("bob"),
        role: Role::Member,
    });
    let events = [
        (1, 0, created),
        (2, 1, sent("ada", "x")),
        (3, 1, removed),
        (7, 4, added),
    ];
    let bob = line_of("bob", &events[..3]);
    assert_eq!((bob.since, bob.until, bob.head), (Seq(1), Seq(3), Seq(3)));
    let bob = line_of("bob", &events);
    assert_eq!(
        (bob.since, bob.since_ordinal, bob.until),
        (Seq(7), Ordinal(4), Seq(0))
    );
    assert_eq!(
        line_of("ada", &events).since,
        Seq(1),
        "others' joins are not ada's"
    );
}

#[test]
fn the_preview_is_the_newest_message_as_it_is_now() {
    let react = ChatEvent::ReactionSet(ReactionSet {
        origin: origin("bob"),
        target: Seq(1),
        reaction: None,
    });
    let events = [
        (1, 1, sent("bob", "first")),
        (2, 1, edited("bob", 1, "better")),
        (3, 1, react),
    ];
    let line = line_of("ada", &events);
    assert_eq!(
        (line.preview.seq, line.preview.text.as_str()),
        (Seq(1), "better")
    );
    assert_eq!(line.preview.author, Some(user("bob")));
}

#[test]
fn an_edit_of_an_older_message_leaves_the_preview() {
    let events = [
        (1, 1, sent("bob", "one")),
        (2, 2, sent("bob", "two")),
        (3, 2, edited("bob", 1, "x")),
    ];
    assert_eq!(line_of("ada", &events).preview.text, "two");
}

#[test]
fn a_deleted_message_shows_nothing_whatever_its_author_edits_later() {
    let events = [
        (1, 1, sent("bob", "one")),
        (2, 1, deleted("bob", 1)),
        (3, 1, edited("bob", 1, "x")),
    ];
    let line = line_of("ada", &events);
    assert_eq!((line.preview.seq, line.preview.text.as_str()), (Seq(1), ""));
}

#[test]
fn nothing_of_an_encrypted_body_is_shown() {
    for (e2e, storage) in [(Some("k".to_owned()), None), (None, Some("k".to_owned()))] {
        let mut event = sent("bob", "secret");
        if let ChatEvent::MessageSent(sent) = &mut event {
            sent.body.e2e_key = e2e;
            sent.body.storage_key = storage;
        }
        assert_eq!(line_of("ada", &[(1, 1, event)]).preview.text, "");
    }
}

/// The engine looks for the keys of a run of records once: only those that have the very same.
#[test]
fn only_news_of_the_same_chat_to_the_same_users_in_the_same_order_have_the_same_keys() {
    let first = news(1, 1, &sent("ada", "hello"));
    let later = news(2, 2, &edited("bob", 1, "hullo"));
    let of = |recipients: &[&str]| {
        let mut one = first.clone();
        one.recipients = recipients.iter().map(|name| user(name)).collect();
        Some(one)
    };
    let mut elsewhere = first.clone();
    elsewhere.chat = ChatId::new("d.ada.bob").unwrap();
    let all = [
        Some(first.clone()),
        Some(later),
        of(&["bob", "ada"]),
        of(&["ada"]),
        of(&["ada", "bob", "cy"]),
        of(&[]),
        Some(elsewhere),
        None,
    ];
    let inbox = Inbox::default();
    let keys = |news: &Option<News>| {
        let mut keys = Vec::new();
        inbox.keys(news, &mut keys);
        keys
    };
    for one in &all {
        for other in &all {
            let same = one.is_some() && other.is_some() && keys(one) == keys(other);
            // Of nobody's keys nothing is to be saved: either answer is right.
            if !(keys(one).is_empty() && keys(other).is_empty()) {
                assert_eq!(inbox.have_same_keys(one, other), same, "{one:?} {other:?}");
            }
        }
    }
    assert!(inbox.have_same_keys(&all[0], &all[1]));
}
