//! A log that answers what it has not done.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use infra_ports::log::NewRecord;
use infra_ports::memory::log::{Around, AroundLog};
use infra_ports::{EventLog, LogError, LogTail, RecordBatch, Runtime, Visibility};
use schemas::avro::LogEvent;
use schemas::events::ChatEvent;
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;
use tokio::sync::mpsc;

use super::Flaw;

/// How long after its answer an append is made.
const LATE: Duration = Duration::from_millis(100);
/// Appends that may be owed at once.
const OWED: usize = 100_000;
/// Of so many appends one is lost.
const LOST_ONE_OF: usize = 10;

type Append = (Topic, Partition, Vec<NewRecord>);

struct Liar {
    flaw: Flaw,
    log: Arc<dyn EventLog>,
    owed: mpsc::Sender<Append>,
    appends: AtomicUsize,
}

/// A sound log behind a liar.
pub(super) fn flawed(
    flaw: Flaw,
    log: Arc<dyn EventLog>,
    runtime: &Arc<dyn Runtime>,
) -> impl EventLog {
    let (owed, late) = mpsc::channel(OWED);
    let (inner, clock) = (Arc::clone(&log), Arc::clone(runtime));
    runtime.spawn("late-appends", Box::pin(append_late(inner, clock, late)));
    let appends = AtomicUsize::new(0);
    AroundLog(Liar {
        flaw,
        log,
        owed,
        appends,
    })
}

/// Appends in the order in which it was answered: what waits in memory is the only thing wrong.
async fn append_late(
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Runtime>,
    mut late: mpsc::Receiver<Append>,
) {
    while let Some(first) = late.recv().await {
        clock.sleep(LATE).await;
        let mut next = Some(first);
        while let Some((topic, partition, records)) = next {
            if let Err(error) = log.append(topic, partition, records).await {
                tracing::debug!(%error, "the late append failed, as it may");
            }
            next = late.try_recv().ok();
        }
    }
}

/// A tail that has forgotten whom to wake.
struct NeverWoken(Box<dyn LogTail>);

#[async_trait]
impl LogTail for NeverWoken {
    async fn next(&mut self, max_records: usize) -> Result<Vec<RecordBatch>, LogError> {
        if let Some(found) = self.0.next(max_records).now_or_never() {
            return found;
        }
        std::future::pending().await
    }

    fn change(
        &mut self,
        gained: &[(Partition, Offset)],
        lost: &[Partition],
    ) -> Result<(), LogError> {
        self.0.change(gained, lost)
    }
}

/// A record that makes a group, without the last of its members; any other as it is.
fn without_last_member(record: NewRecord) -> NewRecord {
    let Ok(ChatEvent::ChatCreated(mut created)) = ChatEvent::decode(&record.value) else {
        return record;
    };
    created.members.pop();
    match ChatEvent::ChatCreated(created).encode() {
        Ok(value) => NewRecord { value, ..record },
        Err(_) => record,
    }
}

#[async_trait]
impl Around for Liar {
    fn inner(&self) -> &dyn EventLog {
        &*self.log
    }

    async fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<NewRecord>,
    ) -> Result<Offset, LogError> {
        let is_lost = match (self.flaw, topic) {
            (Flaw::DroppedMark, Topic::Receipts)
            | (Flaw::DroppedMessage, Topic::Chats)
            | (Flaw::DroppedSetting, Topic::Accounts) => true,
            (Flaw::LostAppend, Topic::Chats) => {
                let before = self.appends.fetch_add(1, Ordering::Relaxed);
                (before + 1).is_multiple_of(LOST_ONE_OF)
            }
            (Flaw::ForgottenMember, Topic::Chats) => {
                let records = records.into_iter().map(without_last_member).collect();
                return self.log.append(topic, partition, records).await;
            }
            _ => false,
        };
        let is_late = (self.flaw, topic) == (Flaw::EarlyAcknowledgement, Topic::Chats);
        if !is_lost && !is_late {
            return self.log.append(topic, partition, records).await;
        }
        let end = self.log.positions(topic, partition).await?.end;
        if is_lost {
            return Ok(end);
        }
        let owed = self.owed.send((topic, partition, records)).await;
        owed.map(|()| end).map_err(|_| LogError::Closed)
    }

    async fn tail(
        &self,
        topic: Topic,
        from: Vec<(Partition, Offset)>,
        visibility: Visibility,
    ) -> Result<Box<dyn LogTail>, LogError> {
        let tail = self.log.tail(topic, from, visibility).await?;
        Ok(match (self.flaw, topic) {
            (Flaw::NeverWoken, Topic::Users) => Box::new(NeverWoken(tail)),
            _ => tail,
        })
    }
}
