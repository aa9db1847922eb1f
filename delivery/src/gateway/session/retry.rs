//! Pushing again what was not marked: after 2, 4, 8, 16 and 32 s, then it is left to the inbox.
//!
//! A chat has one schedule, that of its oldest unmarked entry; a session one alarm on the wheel.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use schemas::frames::{Frame, MAX_BATCH};
use schemas::ids::ChatId;
use schemas::position::Seq;

use super::track::{ChatTrack, Track, Unmarked};
use super::{Session, SignedIn, wire};
use crate::gateway::Gateway;
use crate::gateway::wheel::Alarm;
use crate::metrics;

/// The pauses before each repetition, once the time for a mark is over.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
    Duration::from_secs(32),
];

impl ChatTrack {
    /// A mark came: what it covers is not pushed again, what is left gets its time anew, until `due`.
    pub(super) fn acknowledged(&mut self, due: Duration) {
        if self.delivered >= self.sent {
            self.unmarked = None;
        } else if let Some(unmarked) = &mut self.unmarked
            && unmarked.from <= self.delivered
        {
            **unmarked = Unmarked {
                from: self.delivered.next(),
                due,
                attempts: 0,
            };
        }
    }

    /// What is to be pushed again by now, if anything is, and its next time.
    fn due(&mut self, now: Duration) -> Option<(Seq, Seq)> {
        let unmarked = self
            .unmarked
            .as_mut()
            .filter(|unmarked| unmarked.due <= now)?;
        let range = (unmarked.from.max(self.delivered.next()), self.sent);
        unmarked.attempts += 1;
        match PAUSES.get(unmarked.attempts) {
            Some(pause) => unmarked.due = now + *pause,
            None => {
                metrics::given_up();
                self.unmarked = None;
            }
        }
        Some(range)
    }
}

impl Gateway {
    /// Until when a mark is waited for of what is pushed now.
    pub(super) fn mark_due(&self, now: Duration) -> Duration {
        now + self.config.retry_after + PAUSES[0]
    }

    /// Something was pushed from this place on: a mark is expected. The session's alarm is set.
    pub(super) fn expect_mark(
        &self,
        session: &Session,
        signed_in: &SignedIn,
        track: &mut Track,
        chat: &ChatId,
        from: Seq,
        now: Duration,
    ) {
        let due = self.mark_due(now);
        let chat = track.chat_mut(chat);
        if from <= chat.delivered || chat.unmarked.is_some() {
            return;
        }
        chat.unmarked = Some(Box::new(Unmarked {
            from,
            due,
            attempts: 0,
        }));
        if !signed_in.retrying.swap(true, Ordering::Relaxed) {
            self.wheel.set(due, session.id, Alarm::Retry);
        }
    }

    /// Pushes a stretch again, as it was pushed if that is remembered, else from the timeline. At
    /// most a batch: the next repetition goes on from the mark. A session without room has enough to
    /// read.
    async fn repeat(
        &self,
        session: &Session,
        signed_in: &SignedIn,
        chat: &ChatId,
        from: Seq,
        through: Seq,
    ) {
        if from > through || !session.outbox.has_room() {
            return;
        }
        metrics::retried();
        if let Some(frames) = remembered(&signed_in.track.lock(), chat, from, through) {
            metrics::pushed("entry", frames.len());
            frames.into_iter().for_each(|frame| session.put(frame));
            return;
        }
        let user = &signed_in.identity.user;
        match self.reads.range(user, chat, from, through, MAX_BATCH).await {
            Ok(_) if !session.outbox.has_room() => {}
            Ok(page) => {
                metrics::from_timeline(page.entries.len());
                session.put(wire(&Frame::Entries(page)));
            }
            Err(refused) => tracing::debug!(%chat, %refused, "nothing to push again"),
        }
    }
}

/// The alarm rang: pushes again what is due and sets the next alarm. A step of the session's task.
pub(super) async fn retry(gateway: Arc<Gateway>, session: Arc<Session>) {
    let Some(signed_in) = session.signed_in() else {
        return;
    };
    let now = gateway.runtime.elapsed();
    let due: Vec<_> = {
        let mut track = signed_in.track.lock();
        let due = |(id, chat): (&ChatId, &mut ChatTrack)| Some((id.clone(), chat.due(now)?));
        track.chats_mut().filter_map(due).collect()
    };
    for (chat, (from, through)) in due {
        gateway
            .repeat(&session, signed_in, &chat, from, through)
            .await;
    }
    let mut track = signed_in.track.lock();
    let due = |(_, chat): (&ChatId, &mut ChatTrack)| Some(chat.unmarked.as_ref()?.due);
    match track.chats_mut().filter_map(due).min() {
        Some(next) => gateway.wheel.set(next, session.id, Alarm::Retry),
        None => signed_in.retrying.store(false, Ordering::Relaxed),
    }
}

/// The frames of a stretch, if the session remembers all of them.
fn remembered(track: &Track, chat: &ChatId, from: Seq, through: Seq) -> Option<Vec<Bytes>> {
    let stretch = track
        .recent(chat)
        .filter(|p| p.seq >= from && p.seq <= through);
    let mut frames: Vec<Bytes> = stretch.map(|pushed| pushed.frame.clone()).collect();
    let wanted = (through.0 + 1).checked_sub(from.0)?;
    frames.reverse();
    (frames.len() as u64 == wanted).then_some(frames)
}
