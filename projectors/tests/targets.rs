//! What the chats fold knows of a message that an event names does not depend on how far the tables
//! are: or the live build and a rebuild would accept different things.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use bytes::Bytes;
use infra_ports::Record;
use projectors::chats::Chats;
use projectors::chats::state::ChatState;
use projectors::engine::projection::{Effects, Place, Projection};
use schemas::avro::LogEvent;
use schemas::events::{Body, ChatEvent, MessageEdited, MessageSent, Origin, RULES};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Generation, Offset, Partition, Seq, Timestamp};

/// More than are kept at hand once the tables have them.
const MESSAGES: u64 = 100;

fn origin(chat: &ChatId, nth: u64) -> Origin {
    Origin {
        chat: chat.clone(),
        author: UserId::new("ada").unwrap(),
        device: DeviceId::new("phone").unwrap(),
        client_id: ClientId::new(format!("c{nth}")).unwrap(),
        at: Timestamp(0),
        rules: RULES,
    }
}

/// Applies an event as the engine does, without a store: what it needs must be at hand.
fn apply(state: &mut ChatState, event: &ChatEvent, offset: u64, written: u64) {
    let chat = &event.origin().chat;
    let record = Record {
        offset: Offset(offset),
        key: Bytes::new(),
        value: event.encode().unwrap(),
        at: Timestamp(0),
    };
    let place = Place {
        partition: Partition(0),
        record: &record,
        written: Offset(written),
    };
    assert!(Chats.wants(event, state).is_none(), "it is at hand");
    let mut effects = Effects::new(1, Generation(1));
    assert!(Chats.apply(&place, event, chat, state, None, &mut effects));
}

#[test]
fn target_that_is_at_hand_counts_however_far_the_tables_are() {
    let chat = ChatId::new("d.ada.bob").unwrap();
    for written in [0, 1, 50, MESSAGES] {
        let mut state = ChatState::new(&chat);
        for nth in 0..MESSAGES {
            let (origin, body) = (origin(&chat, nth), Body::text("x"));
            let sent = MessageSent {
                origin,
                body,
                reply_to: None,
            };
            apply(&mut state, &ChatEvent::MessageSent(sent), nth, 0);
        }
        let edited = ChatEvent::MessageEdited(MessageEdited {
            origin: origin(&chat, MESSAGES),
            target: Seq(1),
            body: Body::text("y"),
        });
        apply(&mut state, &edited, MESSAGES, written);
        assert_eq!(state.head, Seq(MESSAGES + 1), "written: {written}");
    }
}
