//! From what users were told to frames in outboxes, on the worker's own thread: each message is
//! encoded once; then user after user is given all that the batch has for them, and each of their
//! sockets is written once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use infra_ports::link::{Deliveries, SubscriberId, Told};
use schemas::avro::LogEvent;
use schemas::errors::Code;
use schemas::events::{AccountEvent, EntryTold, MarkTold, StatusTold, UserEvent, VerdictTold};
use schemas::frames::{Frame, Marked, Settings, Verdict};
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::{Topic, partition_of};

use super::Gateway;
use super::hubs::Hub;
use super::pushed::Pushed;
use super::session::{Session, wire};
use crate::metrics;

/// What a record tells, made ready once for all whom it concerns.
enum News<'a> {
    Entry(Arc<Pushed>),
    Verdict(&'a VerdictTold, Verdict, Bytes),
    Status(&'a StatusTold),
    Mark(&'a MarkTold, Bytes),
    Setting(Offset, Bytes),
    /// It cannot be read and is passed over.
    Nothing,
}

impl Deliveries for Gateway {
    fn deliver(&self, batch: Vec<Told>) {
        // What is told follows from a commit, and so do the answers that wait: they leave with it.
        let answered = self.answer_ready();
        let now = self.runtime.elapsed();
        let news: Vec<_> = batch.iter().map(|told| self.news(&told.event)).collect();
        let mut pushed = vec![0; news.len()];
        for (hub, turns) in self.hubs_of(&batch) {
            hub.each_session(|session| {
                for turn in &turns {
                    if let (Some(news), Some(count)) = (news.get(*turn), pushed.get_mut(*turn)) {
                        *count += usize::from(news.push(self, session, now));
                    }
                }
                session.flush();
            });
            let told = turns.iter().filter_map(|turn| news.get(*turn));
            told.for_each(|news| news.settle(&hub));
        }
        answered.iter().for_each(|session| session.flush());
        self.measure(&news, &pushed);
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

impl Gateway {
    /// Whom a batch concerns, each with the places in it of what they are told, in order. A user is
    /// at hand once with all of it: their sessions are looked at and written to once a batch.
    fn hubs_of(&self, batch: &[Told]) -> Vec<(Arc<Hub>, Vec<usize>)> {
        let all = batch.iter().enumerate();
        let mut turns: Vec<(SubscriberId, usize)> = all
            .flat_map(|(place, told)| told.to.iter().map(move |id| (*id, place)))
            .collect();
        turns.sort_unstable();
        // Held for a look at each user: whoever comes or goes waits that long.
        let hubs = self.hubs.lock();
        turns
            .chunk_by(|(one, _), (other, _)| one == other)
            .filter_map(|theirs| {
                let (id, _) = theirs.first()?;
                let places = theirs.iter().map(|(_, place)| *place).collect();
                Some((Arc::clone(hubs.by_id(*id)?), places))
            })
            .collect()
    }

    /// Makes ready what a record tells.
    fn news<'a>(&self, event: &'a UserEvent) -> News<'a> {
        match event {
            UserEvent::EntryTold(told) => self.entry(told),
            UserEvent::VerdictTold(told) => {
                let verdict = verdict(told);
                let frame = wire(&Frame::Verdict(verdict.clone()));
                News::Verdict(told, verdict, frame)
            }
            UserEvent::StatusTold(told) => News::Status(told),
            UserEvent::MarkTold(told) => News::Mark(told, wire(&Frame::Marked(marked(told)))),
            UserEvent::SettingTold(told) => match AccountEvent::decode(&told.event) {
                Ok(event) => News::Setting(told.origin, wire(&Frame::Settings(settings(event)))),
                Err(error) => {
                    metrics::unreadable();
                    tracing::error!(%error, "a setting cannot be read and is passed over");
                    News::Nothing
                }
            },
        }
    }

    /// An entry with its frame: made once, for all records in which it stands.
    fn entry(&self, told: &EntryTold) -> News<'static> {
        let (chat, seq, offset) = (&told.chat, told.seq.0, told.origin.0);
        let topic = Topic::Chats.name();
        let _span = tracing::debug_span!("push", %chat, seq, topic, offset).entered();
        if let Some(pushed) = self.lately.lock().get(&told.chat, told.seq) {
            return News::Entry(Arc::clone(pushed));
        }
        match Pushed::new(told) {
            Ok(pushed) => {
                let pushed = Arc::new(pushed);
                self.lately.lock().remember(&pushed);
                News::Entry(pushed)
            }
            Err(error) => {
                metrics::unreadable();
                tracing::error!(chat = %told.chat, seq = %told.seq, %error,
                    "an entry cannot be read and is passed over");
                News::Nothing
            }
        }
    }

    /// Counts what was pushed, and says how long entries took, now that everything is written.
    fn measure(&self, news: &[News<'_>], pushed: &[usize]) {
        let (now, mut entries) = (self.runtime.now(), 0);
        for (news, count) in news.iter().zip(pushed) {
            match news {
                News::Entry(entry) if *count > 0 => {
                    entries += *count;
                    metrics::push_took(since(entry.taken_at, now));
                }
                News::Entry(_) | News::Nothing => {}
                News::Verdict(..) => metrics::pushed("verdict", *count),
                News::Status(_) => metrics::pushed("ticks", *count),
                News::Mark(..) => metrics::pushed("marked", *count),
                News::Setting(..) => metrics::pushed("settings", *count),
            }
        }
        metrics::pushed("entry", entries);
    }
}

impl News<'_> {
    /// Puts it into a session's outbox, if it is for this session; true when it was.
    fn push(&self, gateway: &Gateway, session: &Session, now: Duration) -> bool {
        match self {
            Self::Entry(pushed) => return session.push(gateway, now, pushed),
            Self::Verdict(told, _, frame) => return session.push_verdict(told, frame),
            Self::Status(told) => session.push_ticks(told),
            Self::Mark(told, frame) => session.push_marked(told, frame),
            Self::Setting(origin, frame) => return session.push_setting(*origin, frame),
            Self::Nothing => return false,
        }
        true
    }

    /// Tells those of this user who watch for the fate of a command.
    fn settle(&self, hub: &Hub) {
        match self {
            Self::Entry(pushed) if pushed.author == hub.user => hub.settled(&Verdict {
                chat: pushed.chat.clone(),
                device: pushed.device.clone(),
                client_id: pushed.client_id.clone(),
                seq: Some(pushed.seq),
                code: None,
            }),
            Self::Verdict(_, verdict, _) => hub.settled(verdict),
            Self::Entry(_)
            | Self::Status(_)
            | Self::Mark(..)
            | Self::Setting(..)
            | Self::Nothing => {}
        }
    }
}

fn verdict(told: &VerdictTold) -> Verdict {
    let code = told.code.as_deref();
    Verdict {
        chat: told.chat.clone(),
        device: told.device.clone(),
        client_id: told.client_id.clone(),
        seq: told.seq,
        code: code.map(|code| Code::parse(code).unwrap_or(Code::Internal)),
    }
}

fn marked(told: &MarkTold) -> Marked {
    Marked {
        chat: told.chat.clone(),
        device: told.device.clone(),
        kind: told.kind,
        seq: told.seq,
        ordinal: told.ordinal,
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
