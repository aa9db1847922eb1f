//! From what users were told to frames in outboxes, on the worker's own thread: each message is
//! encoded once, each socket written once a batch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemas::avro::LogEvent;
use schemas::errors::Code;
use schemas::events::{
    AccountEvent, EntryTold, MarkTold, SettingTold, StatusTold, UserEvent, VerdictTold,
};
use schemas::frames::{Frame, Marked, Settings, Verdict};
use schemas::position::{Partition, Timestamp};
use schemas::topics::partition_of;

use super::Gateway;
use super::hubs::Hub;
use super::pushed::Pushed;
use super::session::{Session, SessionId, wire};
use crate::link::{Deliveries, Told};
use crate::metrics;

/// Sessions that were given something in this batch.
type Dirty = BTreeMap<SessionId, Arc<Session>>;

/// One batch on its way.
struct Batch<'a> {
    gateway: &'a Gateway,
    now: Duration,
    wall: Timestamp,
    dirty: Dirty,
}

impl Deliveries for Gateway {
    fn deliver(&self, batch: Vec<Told>) {
        let hubs = self.hubs_of(&batch);
        let mut work = Batch {
            gateway: self,
            now: self.runtime.elapsed(),
            wall: self.runtime.now(),
            dirty: Dirty::new(),
        };
        for (told, hubs) in batch.iter().zip(hubs) {
            match &*told.event {
                UserEvent::EntryTold(told) => work.entry(told, &hubs),
                UserEvent::VerdictTold(told) => work.verdict(told, &hubs),
                UserEvent::StatusTold(told) => work.status(told, &hubs),
                UserEvent::MarkTold(told) => work.mark(told, &hubs),
                UserEvent::SettingTold(told) => work.setting(told, &hubs),
            }
        }
        work.dirty.values().for_each(|session| session.flush());
    }

    fn detached(&self, partitions: &[Partition]) {
        let all = self.hubs.lock().all();
        for hub in all {
            let home = partition_of(hub.user.as_str().as_bytes(), self.log.partitions());
            if partitions.contains(&home) {
                hub.sessions()
                    .iter()
                    .for_each(|session| session.resume_again());
            }
        }
    }
}

impl Gateway {
    fn hubs_of(&self, batch: &[Told]) -> Vec<Vec<Arc<Hub>>> {
        let hubs = self.hubs.lock();
        let of = |told: &Told| told.to.iter().filter_map(|id| hubs.by_id(*id)).collect();
        batch.iter().map(of).collect()
    }
}

impl Batch<'_> {
    fn each(&mut self, hubs: &[Arc<Hub>], mut tell: impl FnMut(&Arc<Session>)) {
        for session in hubs.iter().flat_map(|hub| hub.sessions()) {
            tell(&session);
            self.dirty.insert(session.id, session);
        }
    }

    fn entry(&mut self, told: &EntryTold, hubs: &[Arc<Hub>]) {
        let pushed = match Pushed::new(told) {
            Ok(pushed) => Arc::new(pushed),
            Err(error) => {
                metrics::unreadable();
                tracing::error!(chat = %told.chat, seq = %told.seq, %error,
                    "an entry cannot be read and is passed over");
                return;
            }
        };
        let (gateway, now, mut count) = (self.gateway, self.now, 0);
        self.each(hubs, |session| {
            count += usize::from(session.push(gateway, now, &pushed))
        });
        metrics::pushed("entry", count);
        if count > 0 {
            let took = self.wall.0.saturating_sub(pushed.taken_at.0);
            metrics::latency(Duration::from_millis(u64::try_from(took).unwrap_or(0)));
        }
        if let Some(hub) = hubs.iter().find(|hub| hub.user == pushed.author) {
            hub.settled(&Verdict {
                chat: pushed.chat.clone(),
                device: pushed.device.clone(),
                client_id: pushed.client_id.clone(),
                seq: Some(pushed.seq),
                code: None,
            });
        }
    }

    fn verdict(&mut self, told: &VerdictTold, hubs: &[Arc<Hub>]) {
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
        hubs.iter().for_each(|hub| hub.settled(&verdict));
        let frame = wire(&Frame::Verdict(verdict));
        self.each(hubs, |session| session.push_verdict(told, &frame));
    }

    fn status(&mut self, told: &StatusTold, hubs: &[Arc<Hub>]) {
        self.each(hubs, |session| session.push_ticks(told));
    }

    fn mark(&mut self, told: &MarkTold, hubs: &[Arc<Hub>]) {
        let frame = wire(&Frame::Marked(Marked {
            chat: told.chat.clone(),
            device: told.device.clone(),
            kind: told.kind,
            seq: told.seq,
            ordinal: told.ordinal,
        }));
        self.each(hubs, |session| session.push_marked(told, &frame));
    }

    fn setting(&mut self, told: &SettingTold, hubs: &[Arc<Hub>]) {
        match AccountEvent::decode(&told.event) {
            Ok(event) => {
                let frame = wire(&Frame::Settings(settings(event)));
                self.each(hubs, |session| session.put(frame.clone()));
            }
            Err(error) => {
                metrics::unreadable();
                tracing::error!(%error, "a setting cannot be read and is passed over");
            }
        }
    }
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
