//! A tail of the log in memory: waits for news, reads what is visible.

use std::sync::Arc;

use async_trait::async_trait;
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;
use tokio::sync::Notify;

use super::MemoryLog;
use crate::log::{LogError, LogTail, RecordBatch, Visibility};

/// Reads several partitions of one topic, each on from where it is.
pub(super) struct MemoryTail {
    log: MemoryLog,
    topic: Topic,
    next: Vec<(Partition, Offset)>,
    visibility: Visibility,
}

impl MemoryTail {
    pub(super) fn new(
        log: MemoryLog,
        topic: Topic,
        next: Vec<(Partition, Offset)>,
        visibility: Visibility,
    ) -> Self {
        Self {
            log,
            topic,
            next,
            visibility,
        }
    }

    /// What waits, without moving on.
    fn look(&self, max_records: usize) -> Result<Vec<RecordBatch>, LogError> {
        let disk = self.log.disk()?;
        let mut batches = Vec::new();
        let mut left = max_records.max(1);
        for (partition, from) in &self.next {
            let records = disk.read(self.topic, *partition, *from, left, self.visibility)?;
            left -= records.len();
            if !records.is_empty() {
                batches.push(RecordBatch {
                    partition: *partition,
                    records,
                });
            }
            if left == 0 {
                break;
            }
        }
        Ok(batches)
    }

    /// Sometimes the world hands over less than there is.
    fn shorten(&self, batches: &mut Vec<RecordBatch>) {
        let count: usize = batches.iter().map(|batch| batch.records.len()).sum();
        let options = u32::try_from(count).unwrap_or(u32::MAX);
        if options < 2 {
            return;
        }
        for _ in 0..self.log.faults.choose("log.tail.short", options) {
            if let Some(last) = batches.last_mut() {
                last.records.pop();
            }
            batches.retain(|batch| !batch.records.is_empty());
        }
    }

    /// Sometimes it hands over in pieces, as a log does that fetches several times: the last record of each
    /// partition comes apart, behind the others.
    fn part(&self, batches: &mut Vec<RecordBatch>) {
        let several = batches.iter().any(|batch| batch.records.len() > 1);
        if !several || self.log.faults.choose("log.tail.apart", 2) == 0 {
            return;
        }
        let divided = batches.iter_mut().filter(|batch| batch.records.len() > 1);
        let apart = divided.map(|batch| RecordBatch {
            partition: batch.partition,
            records: batch.records.pop().into_iter().collect(),
        });
        let apart: Vec<_> = apart.collect();
        batches.extend(apart);
    }

    /// Moves on past what is handed over; the partitions served come last next time, so that a
    /// busy one starves nobody.
    fn advance(&mut self, batches: &[RecordBatch]) {
        for batch in batches {
            let Some(place) = self.next.iter().position(|(p, _)| *p == batch.partition) else {
                continue;
            };
            let (partition, from) = self.next.remove(place);
            let next = batch
                .records
                .last()
                .map_or(from, |record| record.offset.next());
            self.next.push((partition, next));
        }
    }
}

#[async_trait]
impl LogTail for MemoryTail {
    async fn next(&mut self, max_records: usize) -> Result<Vec<RecordBatch>, LogError> {
        let shared = Arc::clone(&self.log.shared);
        let news = shared.news.get(&self.topic);
        loop {
            self.log.faults.point("log.tail.before").await;
            if self.log.faults.choose("log.tail", 2) == 1 {
                return Err(LogError::Unavailable("by choice".into()));
            }
            // Made before looking: it hears of everything from now on.
            let heard = news.map(Notify::notified);
            let mut batches = self.look(max_records)?;
            if !batches.is_empty() {
                self.shorten(&mut batches);
                self.part(&mut batches);
                self.log.faults.point("log.tail.after").await;
                drop(self.log.disk()?);
                self.advance(&batches);
                return Ok(batches);
            }
            match heard {
                Some(heard) => heard.await,
                None => return Err(LogError::UnknownTopic(self.topic)),
            }
        }
    }

    fn change(
        &mut self,
        gained: &[(Partition, Offset)],
        lost: &[Partition],
    ) -> Result<(), LogError> {
        let disk = self.log.disk()?;
        for (partition, _) in gained {
            disk.positions(self.topic, *partition)?;
        }
        self.next.retain(|(partition, _)| !lost.contains(partition));
        self.next.extend_from_slice(gained);
        Ok(())
    }
}
