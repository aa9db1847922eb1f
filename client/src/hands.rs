//! What the user has taken from the queue of events, between the handle and the task.
//!
//! ```text
//!  session ──▶ queue ──next──▶ in the user's hands ──next again──▶ settled ──▶ session marks it
//!                              └──────────── in `progress` ───────────────┘
//! ```
//!
//! What is in the user's hands is in [`Progress`] already, and not yet marked as delivered: a user
//! that writes its progress down before it comes for more never loses an entry.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use schemas::ids::ChatId;
use schemas::position::Seq;
use tokio::sync::Notify;

use crate::{Event, Progress};

/// The newest place of each chat, and how many entries.
pub(crate) type Taken = BTreeMap<ChatId, (Seq, usize)>;

/// Shared by a client's handles and its task.
#[derive(Debug)]
pub(crate) struct Hands {
    held: Mutex<Held>,
    settled: Notify,
}

#[derive(Debug)]
struct Held {
    progress: Progress,
    in_hand: Taken,
    settled: Taken,
}

impl Hands {
    /// Nothing is in hand yet.
    pub(crate) fn new(progress: Progress) -> Self {
        let (in_hand, settled) = (Taken::new(), Taken::new());
        Self {
            held: Mutex::new(Held {
                progress,
                in_hand,
                settled,
            }),
            settled: Notify::new(),
        }
    }

    /// The user takes an event.
    pub(crate) fn take(&self, event: &Event) {
        if let Event::Entry(entry) = event {
            let mut held = self.held();
            held.progress.advance(&entry.chat, entry.seq);
            add(&mut held.in_hand, entry.chat.clone(), (entry.seq, 1));
        }
    }

    /// The user comes for more: it is done with what it has.
    pub(crate) fn settle(&self) {
        let mut held = self.held();
        let in_hand = std::mem::take(&mut held.in_hand);
        if in_hand.is_empty() {
            return;
        }
        let wake = held.settled.is_empty();
        for (chat, place) in in_hand {
            add(&mut held.settled, chat, place);
        }
        if wake {
            self.settled.notify_one();
        }
    }

    /// What was settled since the last time.
    pub(crate) fn drain(&self) -> Taken {
        std::mem::take(&mut self.held().settled)
    }

    /// Waits until something is settled. Cancel safe.
    pub(crate) async fn settled(&self) {
        self.settled.notified().await;
    }

    /// How far every chat was taken.
    pub(crate) fn progress(&self) -> Progress {
        self.held().progress.clone()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(taken: &mut Taken, chat: ChatId, (seq, entries): (Seq, usize)) {
    let (newest, count) = taken.entry(chat).or_default();
    *newest = seq.max(*newest);
    *count += entries;
}

#[cfg(test)]
mod tests {
    use schemas::frames::{Entry, EntryEvent};
    use schemas::ids::{ClientId, DeviceId, UserId};
    use schemas::position::{Ordinal, Timestamp};

    use super::*;

    fn entry(seq: u64) -> Event {
        Event::Entry(Box::new(Entry {
            chat: ChatId::new("d.ada.bob").unwrap(),
            seq: Seq(seq),
            ordinal: Ordinal(seq),
            at: Timestamp(0),
            author: UserId::new("bob").unwrap(),
            device: DeviceId::new("phone").unwrap(),
            client_id: ClientId::new("m").unwrap(),
            id: "".into(),
            event: EntryEvent::MemberLeft {},
        }))
    }

    #[test]
    fn what_is_in_hand_is_in_progress_and_settled_only_when_its_user_comes_for_more() {
        let chat = ChatId::new("d.ada.bob").unwrap();
        let hands = Hands::new(Progress::new());
        hands.settle();
        hands.take(&entry(1));
        hands.take(&entry(2));
        assert_eq!(hands.progress().of(&chat), Some(Seq(2)));
        assert!(
            hands.drain().is_empty(),
            "its user may not have written it down"
        );
        hands.settle();
        assert_eq!(hands.drain(), Taken::from([(chat, (Seq(2), 2))]));
        hands.settle();
        assert!(hands.drain().is_empty());
    }
}
