//! The witness: sees everything that devices are told, the moment they are told it.
//!
//! What can be judged at once is judged at once: that what was acknowledged is durable, that entries
//! come in order and once, that all devices see the same. The rest is for the history checker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cursus_client::{Event, Observer, Output};
use infra_ports::Visibility;
use infra_ports::log::EventLog;
use infra_ports::memory::MemoryLog;
use parking_lot::Mutex;
use schemas::avro::LogEvent;
use schemas::events::ChatEvent;
use schemas::frames::Entry;
use schemas::ids::{ChatId, ClientId};
use schemas::position::{Offset, Partition, Seq};
use schemas::topics::{Topic, partition_of};

use super::at_once;
use super::told_marks::ToldMarks;
use super::told_ticks::ToldTicks;
use crate::checker::{ChatTruth, Endpoint};
use crate::recorder::Recorder;

/// What was seen of all.
#[derive(Default)]
struct Seen {
    /// Every entry that any device was handed.
    entries: BTreeMap<(ChatId, Seq), Entry>,
    /// The last place each device was handed.
    last: BTreeMap<(Endpoint, ChatId), Seq>,
    wrong: Vec<String>,
    told: Vec<String>,
}

/// Watches all devices of a run.
pub(super) struct Witness {
    /// A handle without faults, on the log that the world has now.
    log: Mutex<MemoryLog>,
    seen: Mutex<Seen>,
    marks: Mutex<ToldMarks>,
    ticks: Mutex<ToldTicks>,
    keeps_a_trace: bool,
}

impl Witness {
    pub(super) fn new(log: MemoryLog, keeps_a_trace: bool) -> Arc<Self> {
        Arc::new(Self {
            log: Mutex::new(log),
            seen: Mutex::default(),
            marks: Mutex::default(),
            ticks: Mutex::default(),
            keeps_a_trace,
        })
    }

    /// The log was opened again.
    pub(super) fn look_at(&self, log: MemoryLog) {
        *self.log.lock() = log;
    }

    /// A device puts something out.
    pub(super) fn observe(
        &self,
        at: Duration,
        who: &Endpoint,
        recorder: &Recorder,
        output: &Output,
    ) {
        recorder.observe(output);
        if self.keeps_a_trace {
            let mut said = format!("{output:?}");
            if let Output::Write(text) = output {
                said = format!("says {}", String::from_utf8_lossy(text));
            }
            self.tell(at, &format!("{}/{} {said}", who.0, who.1));
        }
        if let Output::Event(Event::Entry(entry)) = output {
            self.entry(who, entry);
        } else if let Output::Sent { sent, .. } = output {
            self.sent(who, &sent.chat, &sent.client_id);
        }
    }

    /// A device reads up to here.
    pub(super) fn reads(&self, who: &Endpoint, chat: &ChatId, seq: Seq) {
        self.marks.lock().made(who, chat, seq);
    }

    /// A device is connected anew.
    pub(super) fn connected(&self, who: &Endpoint) {
        self.marks.lock().connected(who);
    }

    /// Marks and ticks that were told and should not have been; see [`ToldMarks::wrong`] and
    /// [`ToldTicks::wrong`].
    pub(super) fn wrong_news(
        &self,
        chats: &BTreeMap<ChatId, ChatTruth>,
        undisturbed: bool,
    ) -> Vec<String> {
        let marks = self.marks.lock();
        let mut wrong = marks.wrong(chats, undisturbed);
        wrong.extend(self.ticks.lock().wrong(chats, marks.made_by_all()));
        wrong
    }

    /// A frame reaches a device.
    pub(super) fn hear(&self, at: Duration, who: &Endpoint, text: &[u8]) {
        self.marks.lock().hear(who, text);
        self.ticks.lock().hear(who, text);
        if self.keeps_a_trace {
            let text = String::from_utf8_lossy(text);
            self.tell(at, &format!("{}/{} hears {text}", who.0, who.1));
        }
    }

    /// Adds a line to the trace.
    pub(super) fn tell(&self, at: Duration, line: &str) {
        if self.keeps_a_trace {
            self.seen.lock().told.push(format!("{at:>10.4?}  {line}"));
        }
    }

    /// What was told, in order, if that is kept.
    pub(super) fn told(&self) -> Vec<String> {
        self.seen.lock().told.clone()
    }

    /// Every broken promise seen so far.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.seen.lock().wrong.clone()
    }

    fn entry(&self, who: &Endpoint, entry: &Entry) {
        let mut seen = self.seen.lock();
        let Seen {
            entries,
            last,
            wrong,
            ..
        } = &mut *seen;
        let (chat, seq) = (&entry.chat, entry.seq);
        let before = last.insert((who.clone(), chat.clone()), seq);
        if before.is_some_and(|before| before >= seq) {
            wrong.push(format!(
                "{}/{} was handed {chat} {seq} after {before:?}",
                who.0, who.1
            ));
        }
        let first = entries
            .entry((chat.clone(), seq))
            .or_insert_with(|| entry.clone());
        if first != entry {
            wrong.push(format!(
                "{}/{} sees another {chat} {seq} than others",
                who.0, who.1
            ));
        }
    }

    fn sent(&self, who: &Endpoint, chat: &ChatId, client_id: &ClientId) {
        if !is_durable(&self.log.lock(), who, chat, client_id) {
            self.seen.lock().wrong.push(format!(
                "{}/{} was told that {client_id} in {chat} is sent, and the log does not have it",
                who.0, who.1
            ));
        }
    }
}

/// True when a command stands below the durable end of its partition.
fn is_durable(log: &MemoryLog, who: &Endpoint, chat: &ChatId, client_id: &ClientId) -> bool {
    let partition = partition_of(chat.as_str().as_bytes(), log.partitions());
    chat_events(log, partition).iter().any(|event| {
        let origin = event.origin();
        (&origin.author, &origin.device) == (&who.0, &who.1)
            && origin.chat == *chat
            && origin.client_id == *client_id
    })
}

fn chat_events(log: &MemoryLog, partition: Partition) -> Vec<ChatEvent> {
    let visible = Visibility::Durable;
    let records = at_once(log.read(Topic::Chats, partition, Offset(0), usize::MAX, visible));
    let records = records.unwrap_or_default();
    records
        .iter()
        .filter_map(|record| ChatEvent::decode(&record.value).ok())
        .collect()
}
