//! News of counters, as the `ticks` frames say it that gateways send: hints, which may come late or
//! not at all, but never tell more than there is.
//!
//! ```text
//!  members mark ─▶ counters ─▶ `ticks` to authors     told ≤ what devices did in the end:
//!                                                     who was handed it, who read as far
//! ```

use std::collections::BTreeMap;

use schemas::frames::{Frame, Ticks, decode_frame};
use schemas::ids::{ChatId, UserId};
use schemas::position::Seq;

use crate::checker::{ChatTruth, Endpoint};

/// What was told in a run: the most of each.
#[derive(Debug, Default)]
pub(super) struct ToldTicks {
    told: BTreeMap<(UserId, ChatId, Seq), (u32, u32)>,
}

impl ToldTicks {
    /// A frame reaches a device.
    pub(super) fn hear(&mut self, (user, _): &Endpoint, text: &[u8]) {
        if let Ok(received) = decode_frame(text)
            && let Some(Frame::Ticks(ticks)) = received.value
        {
            let Ticks {
                chat,
                seq,
                delivered,
                read,
            } = ticks;
            let most = self.told.entry((user.clone(), chat, seq)).or_default();
            *most = (most.0.max(delivered), most.1.max(read));
        }
    }

    /// What tells of more than there is: of members who never were, of readers who never read as
    /// far (`has_read` says how far each came at most), or to somebody who wrote nothing.
    pub(super) fn wrong(
        &self,
        chats: &BTreeMap<ChatId, ChatTruth>,
        has_read: &BTreeMap<(UserId, ChatId), Seq>,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        for ((user, chat, seq), (delivered, read)) in &self.told {
            let nothing = ChatTruth::default();
            let truth = chats.get(chat).unwrap_or(&nothing);
            let is_there = |of: &&UserId| {
                let sees = |(after, until): &(Seq, Seq)| seq > after && seq <= until;
                *of != user
                    && truth
                        .members
                        .get(*of)
                        .is_some_and(|stays| stays.iter().any(sees))
            };
            let others: Vec<&UserId> = truth.members.keys().filter(is_there).collect();
            let reads = |of: &&&UserId| {
                let read = has_read.get(&((**of).clone(), chat.clone()));
                read.is_some_and(|read| read >= seq)
            };
            let readers = others.iter().filter(reads).count();
            let is_more = |told: u32, count: usize| u32::try_from(count).is_ok_and(|n| told > n);
            if is_more(*delivered, others.len()) || is_more(*read, readers) || read > delivered {
                wrong.push(format!(
                    "wrong ticks: {user} was told of {chat} {seq}: {delivered} have it, {read} have \
                     read it; there are {} and {readers}",
                    others.len()
                ));
            }
            let wrote = |entry: &schemas::frames::Entry| entry.author == *user && entry.seq <= *seq;
            if !truth.timeline.iter().any(wrote) {
                wrong.push(format!(
                    "wrong ticks: {user} wrote nothing in {chat} up to {seq}"
                ));
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use schemas::frames::{Entry, EntryEvent, WireBody};
    use schemas::ids::{ClientId, DeviceId};
    use schemas::position::{Ordinal, Timestamp};

    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn phone(of: &str) -> Endpoint {
        (user(of), DeviceId::new("phone").unwrap())
    }

    fn chat() -> ChatId {
        ChatId::new("d.ada.bob").unwrap()
    }

    /// Ada wrote two messages, of which bob has read the first.
    fn judged(to: &str, seq: u64, delivered: u32, read: u32) -> Vec<String> {
        let written = |seq| Entry {
            chat: chat(),
            seq: Seq(seq),
            ordinal: Ordinal(seq),
            at: Timestamp(0),
            author: user("ada"),
            device: phone("ada").1,
            client_id: ClientId::new(format!("a{seq}")).unwrap(),
            id: "".into(),
            event: EntryEvent::Message {
                body: WireBody::text("text"),
                reply_to: None,
            },
        };
        let whole = vec![(Seq(0), Seq(u64::MAX))];
        let truth = ChatTruth {
            timeline: vec![written(1), written(2)],
            members: ["ada", "bob"]
                .map(|name| (user(name), whole.clone()))
                .into(),
            ..ChatTruth::default()
        };
        let data =
            format!(r#"{{"chat":"d.ada.bob","seq":{seq},"delivered":{delivered},"read":{read}}}"#);
        let mut ticks = ToldTicks::default();
        ticks.hear(
            &phone(to),
            format!(r#"{{"type":"ticks","data":{data}}}"#).as_bytes(),
        );
        let has_read = [((user("bob"), chat()), Seq(1))].into();
        ticks.wrong(&[(chat(), truth)].into(), &has_read)
    }

    #[test]
    fn ticks_of_what_is_there_or_less_are_right() {
        for (seq, delivered, read) in [(1, 1, 1), (1, 1, 0), (2, 1, 0), (2, 0, 0)] {
            assert_eq!(judged("ada", seq, delivered, read), [""; 0]);
        }
    }

    #[test]
    fn ticks_of_more_than_there_is_are_seen() {
        for (seq, delivered, read) in [(1, 2, 1), (2, 1, 1), (1, 0, 1)] {
            assert_eq!(judged("ada", seq, delivered, read).len(), 1);
        }
    }

    #[test]
    fn ticks_to_somebody_who_wrote_nothing_are_seen() {
        let wrong = judged("bob", 1, 0, 0);
        assert!(
            wrong.len() == 1 && wrong[0].contains("wrote nothing"),
            "{wrong:?}"
        );
    }
}
