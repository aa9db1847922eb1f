//! What events mean that were read of late. An event stands in a record of `users` for each
//! partition of its recipients: it is decoded for the first of these, and known for the others.

use std::collections::VecDeque;

use ahash::AHashMap;
use schemas::avro::{DecodeError, LogEvent};
use schemas::events::{ChatEvent, EntryTold};
use schemas::ids::ChatId;
use schemas::position::{Offset, Seq};

use super::fold::{Meaning, meaning};

/// Meanings kept, of at most half a kilobyte each; the oldest go.
const KEPT: usize = 4_096;

/// Where an event stands in its partition and in its chat.
type Place = (Offset, Seq);

/// Meanings by the events' places.
#[derive(Debug, Default)]
pub(super) struct Understood {
    /// Looked up only. Two partitions have the same offsets, so the chat stands beside.
    meanings: AHashMap<Place, (ChatId, Meaning)>,
    order: VecDeque<Place>,
}

impl Understood {
    /// What an entry means.
    pub(super) fn meaning(&mut self, told: &EntryTold) -> Result<Meaning, DecodeError> {
        let place = (told.origin, told.seq);
        if let Some((chat, known)) = self.meanings.get(&place)
            && *chat == told.chat
        {
            return Ok(known.clone());
        }
        let found = meaning(told.seq, &ChatEvent::decode(&told.event)?);
        let kept = (told.chat.clone(), found.clone());
        if self.meanings.insert(place, kept).is_none() {
            self.order.push_back(place);
        }
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.meanings.remove(&oldest);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use schemas::events::{Body, MessageSent, Origin};
    use schemas::ids::{ClientId, DeviceId, UserId};
    use schemas::position::{Ordinal, Timestamp};

    use super::*;

    fn told(chat: &str, at: u64, text: &str) -> EntryTold {
        let origin = Origin {
            chat: ChatId::new(chat).unwrap(),
            author: UserId::new("a").unwrap(),
            device: DeviceId::new("phone").unwrap(),
            client_id: ClientId::new("c").unwrap(),
            at: Timestamp(1),
            rules: 1,
        };
        let event = ChatEvent::MessageSent(MessageSent {
            origin,
            body: Body::text(text),
            reply_to: None,
        });
        EntryTold {
            recipients: Vec::new(),
            chat: ChatId::new(chat).unwrap(),
            seq: Seq(at),
            ordinal: Ordinal(at),
            at: Timestamp(1),
            origin: Offset(at),
            event: event.encode().unwrap(),
        }
    }

    fn shown(understood: &mut Understood, told: &EntryTold) -> String {
        match understood.meaning(told) {
            Ok(Meaning::Sent { preview, .. }) => preview.text.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn events_at_the_same_place_of_two_partitions_are_not_taken_for_each_other() {
        let mut understood = Understood::default();
        for _ in 0..2 {
            assert_eq!(shown(&mut understood, &told("d.a.b", 7, "one")), "one");
            assert_eq!(shown(&mut understood, &told("d.a.c", 7, "two")), "two");
        }
    }

    #[test]
    fn what_was_understood_is_not_decoded_again_and_the_oldest_is_forgotten() {
        let mut understood = Understood::default();
        let first = told("d.a.b", 0, "hello");
        let unreadable = EntryTold {
            event: bytes::Bytes::new(),
            ..first.clone()
        };
        assert!(understood.meaning(&unreadable).is_err());
        assert_eq!(shown(&mut understood, &first), "hello");
        assert_eq!(shown(&mut understood, &unreadable), "hello", "known by now");
        for at in 1..=KEPT as u64 {
            shown(&mut understood, &told("d.a.b", at, "more"));
        }
        assert!(understood.meaning(&unreadable).is_err(), "forgotten");
        assert_eq!(understood.meanings.len(), KEPT);
    }
}
