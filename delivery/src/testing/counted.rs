//! A log that notes which records tails took from it, and how often they were changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use infra_ports::memory::MemoryLog;
use infra_ports::memory::log::{Around, AroundLog};
use infra_ports::{EventLog, LogError, LogTail, RecordBatch, Visibility};
use parking_lot::Mutex;
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

/// How many records of each partition were taken.
#[derive(Clone, Default)]
pub(crate) struct Taken(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    records: BTreeMap<Partition, usize>,
    changes: usize,
}

impl Taken {
    /// Of all partitions, since the last call.
    pub(crate) fn since(&self) -> BTreeMap<Partition, usize> {
        std::mem::take(&mut self.0.lock().records)
    }

    /// How often tails were changed.
    pub(crate) fn changes(&self) -> usize {
        self.0.lock().changes
    }
}

struct Counted {
    log: MemoryLog,
    taken: Taken,
}

/// The same log, noting what tails take.
pub(crate) fn counted(log: MemoryLog, taken: Taken) -> impl EventLog {
    AroundLog(Counted { log, taken })
}

struct CountedTail(Box<dyn LogTail>, Taken);

#[async_trait]
impl LogTail for CountedTail {
    async fn next(&mut self, max_records: usize) -> Result<Vec<RecordBatch>, LogError> {
        let batches = self.0.next(max_records).await?;
        let mut taken = self.1.0.lock();
        for batch in &batches {
            *taken.records.entry(batch.partition).or_default() += batch.records.len();
        }
        drop(taken);
        Ok(batches)
    }

    fn change(
        &mut self,
        gained: &[(Partition, Offset)],
        lost: &[Partition],
    ) -> Result<(), LogError> {
        self.1.0.lock().changes += 1;
        self.0.change(gained, lost)
    }
}

#[async_trait]
impl Around for Counted {
    fn inner(&self) -> &dyn EventLog {
        &self.log
    }

    async fn tail(
        &self,
        topic: Topic,
        from: Vec<(Partition, Offset)>,
        visibility: Visibility,
    ) -> Result<Box<dyn LogTail>, LogError> {
        let tail = self.log.tail(topic, from, visibility).await?;
        Ok(Box::new(CountedTail(tail, self.taken.clone())))
    }
}
