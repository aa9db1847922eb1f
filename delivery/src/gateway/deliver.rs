//! From what users were told to frames in outboxes, on the worker's own thread: each message is
//! encoded once, each socket written once a batch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use schemas::avro::{DecodeError, LogEvent};
use schemas::errors::Code;
use schemas::events::{
    AccountEvent, EntryTold, MarkTold, SettingTold, StatusTold, UserEvent, VerdictTold,
};
use schemas::frames::{Frame, Marked, Settings, Verdict};
use schemas::ids::UserId;
use schemas::position::{Offset, Partition, Seq, Timestamp};
use schemas::topics::{Topic, partition_of};

use super::Gateway;
use super::pushed::Pushed;
use super::session::{Session, wire};
use crate::link::{Deliveries, SubscriberId, Told};
use crate::metrics;

/// One batch on its way.
struct Batch<'a> {
    gateway: &'a Gateway,
    now: Duration,
    /// Entries with their frames: one stands in a record for each partition of its recipients.
    entries: HashMap<(Offset, Seq), Arc<Pushed>, ahash::RandomState>,
    /// Sessions that were given something, each once.
    dirty: Vec<Arc<Session>>,
    /// When the events were taken whose frames these are.
    taken_at: Vec<Timestamp>,
}

impl Deliveries for Gateway {
    fn deliver(&self, batch: Vec<Told>) {
        let mut work = Batch {
            gateway: self,
            now: self.runtime.elapsed(),
            entries: HashMap::default(),
            dirty: Vec::new(),
            taken_at: Vec::new(),
        };
        for Told { to, event } in &batch {
            match &**event {
                UserEvent::EntryTold(told) => work.entry(told, to),
                UserEvent::VerdictTold(told) => work.verdict(told, to),
                UserEvent::StatusTold(told) => work.status(told, to),
                UserEvent::MarkTold(told) => work.mark(told, to),
                UserEvent::SettingTold(told) => work.setting(told, to),
            }
        }
        work.dirty.iter().for_each(|session| session.flush_batch());
        work.measure();
    }

    fn detached(&self, partitions: &[Partition]) {
        let all = self.hubs.lock().all();
        for hub in all {
            let home = partition_of(hub.user.as_str().as_bytes(), self.log.partitions());
            if partitions.contains(&home) {
                hub.each_session(|session| session.resume_again());
            }
        }
    }

    fn ended(&self) {
        self.give_up();
    }
}

impl Batch<'_> {
    /// Tells every session of these subscribers, and notes that it must be written out.
    fn each(&mut self, to: &[SubscriberId], mut tell: impl FnMut(&Session)) {
        // Held for one record: whoever comes or goes waits that long.
        let hubs = self.gateway.hubs.lock();
        for hub in to.iter().filter_map(|id| hubs.by_id(*id)) {
            hub.each_session(|session| {
                tell(session);
                if session.becomes_dirty() {
                    self.dirty.push(Arc::clone(session));
                }
            });
        }
    }

    /// Says how long it took, once everything is written.
    fn measure(&self) {
        let now = self.gateway.runtime.now();
        for taken_at in &self.taken_at {
            metrics::push_took(since(*taken_at, now));
        }
    }

    /// Tells those who watch for a command of one of these.
    fn settled(&self, to: &[SubscriberId], author: Option<&UserId>, verdict: &Verdict) {
        let hubs = self.gateway.hubs.lock();
        let all = to.iter().filter_map(|id| hubs.by_id(*id));
        for hub in all.filter(|hub| author.is_none_or(|author| hub.user == *author)) {
            hub.settled(verdict);
        }
    }

    /// The entry with its frame, made once a batch.
    fn encoded(&mut self, told: &EntryTold) -> Result<Arc<Pushed>, DecodeError> {
        // Offsets of two partitions may be alike, so the chat is compared too.
        let place = (told.origin, told.seq);
        if let Some(pushed) = self.entries.get(&place)
            && pushed.chat == told.chat
        {
            return Ok(Arc::clone(pushed));
        }
        let pushed = Arc::new(Pushed::new(told)?);
        self.entries.insert(place, Arc::clone(&pushed));
        Ok(pushed)
    }

    fn entry(&mut self, told: &EntryTold, to: &[SubscriberId]) {
        let (chat, seq, offset) = (&told.chat, told.seq.0, told.origin.0);
        let topic = Topic::Chats.name();
        let _span = tracing::debug_span!("push", %chat, seq, topic, offset).entered();
        let pushed = match self.encoded(told) {
            Ok(pushed) => pushed,
            Err(error) => {
                metrics::unreadable();
                tracing::error!(chat = %told.chat, seq = %told.seq, %error,
                    "an entry cannot be read and is passed over");
                return;
            }
        };
        let (gateway, now, mut count) = (self.gateway, self.now, 0);
        self.each(to, |session| {
            count += usize::from(session.push(gateway, now, &pushed))
        });
        metrics::pushed("entry", count);
        if count > 0 {
            self.taken_at.push(pushed.taken_at);
        }
        let verdict = Verdict {
            chat: pushed.chat.clone(),
            device: pushed.device.clone(),
            client_id: pushed.client_id.clone(),
            seq: Some(pushed.seq),
            code: None,
        };
        self.settled(to, Some(&pushed.author), &verdict);
    }

    fn verdict(&mut self, told: &VerdictTold, to: &[SubscriberId]) {
        let code = told
            .code
            .as_deref()
            .map(|code| Code::parse(code).unwrap_or(Code::Internal));
        let verdict = Verdict {
            chat: told.chat.clone(),
            device: told.device.clone(),
            client_id: told.client_id.clone(),
            seq: told.seq,
            code,
        };
        self.settled(to, None, &verdict);
        let frame = wire(&Frame::Verdict(verdict));
        metrics::pushed("verdict", to.len());
        self.each(to, |session| session.push_verdict(told, &frame));
    }

    fn status(&mut self, told: &StatusTold, to: &[SubscriberId]) {
        metrics::pushed("ticks", to.len());
        self.each(to, |session| session.push_ticks(told));
    }

    fn mark(&mut self, told: &MarkTold, to: &[SubscriberId]) {
        let frame = wire(&Frame::Marked(Marked {
            chat: told.chat.clone(),
            device: told.device.clone(),
            kind: told.kind,
            seq: told.seq,
            ordinal: told.ordinal,
        }));
        metrics::pushed("marked", to.len());
        self.each(to, |session| session.push_marked(told, &frame));
    }

    fn setting(&mut self, told: &SettingTold, to: &[SubscriberId]) {
        match AccountEvent::decode(&told.event) {
            Ok(event) => {
                let frame = wire(&Frame::Settings(settings(event)));
                metrics::pushed("settings", to.len());
                self.each(to, |session| session.put(frame.clone()));
            }
            Err(error) => {
                metrics::unreadable();
                tracing::error!(%error, "a setting cannot be read and is passed over");
            }
        }
    }
}

/// From when ingest took an event until now; nothing when the clock was set back meanwhile.
pub(super) fn since(taken_at: Timestamp, now: Timestamp) -> Duration {
    let took = now.0.saturating_sub(taken_at.0);
    Duration::from_millis(u64::try_from(took).unwrap_or(0))
}

/// Only what changed.
fn settings(event: AccountEvent) -> Settings {
    let none = |chat| Settings {
        chat,
        muted_until: None,
        archived: None,
        pinned: None,
        hidden: None,
    };
    match event {
        AccountEvent::ChatMuted(e) => Settings {
            muted_until: Some(e.until.unwrap_or_default()),
            ..none(e.chat)
        },
        AccountEvent::ChatArchived(e) => Settings {
            archived: Some(e.archived),
            ..none(e.chat)
        },
        AccountEvent::ChatPinned(e) => Settings {
            pinned: Some(e.pinned),
            ..none(e.chat)
        },
        AccountEvent::MessageHidden(e) => Settings {
            hidden: Some(e.seq),
            ..none(e.chat)
        },
    }
}
