//! What stands on the "disk" of the log in memory, and what of it is durable. Synchronous.

use std::collections::BTreeMap;

use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use crate::log::{LogError, NewRecord, Positions, Record, Visibility};

/// One partition.
#[derive(Default)]
struct Kept {
    first: u64,
    durable_end: u64,
    records: Vec<Record>,
}

impl Kept {
    fn end(&self) -> u64 {
        self.first + u64::try_from(self.records.len()).unwrap_or(u64::MAX)
    }

    fn visible_end(&self, visibility: Visibility) -> u64 {
        match visibility {
            Visibility::Durable => self.durable_end,
            Visibility::Appended => self.end(),
        }
    }
}

/// One topic: its partitions, and the unsynced batches in the order in which they were appended.
#[derive(Default)]
struct Chain {
    partitions: Vec<Kept>,
    /// Partition and end after the batch.
    unsynced: Vec<(Partition, u64)>,
}

/// All topics.
pub(super) struct Disk {
    partitions: u32,
    topics: BTreeMap<Topic, Chain>,
    crashes: u64,
    failures: u64,
    /// How many of the failures an opening has seen.
    seen: u64,
}

impl Disk {
    pub(super) fn new(partitions: u32) -> Self {
        Self {
            partitions,
            topics: BTreeMap::new(),
            crashes: 0,
            failures: 0,
            seen: 0,
        }
    }

    pub(super) fn partitions(&self) -> u32 {
        self.partitions
    }

    pub(super) fn crashes(&self) -> u64 {
        self.crashes
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures
    }

    pub(super) fn poison(&mut self) {
        self.failures += 1;
    }

    /// Somebody opens the log: what a failed fsync left is found, and made durable.
    pub(super) fn open(&mut self) {
        if std::mem::replace(&mut self.seen, self.failures) != self.failures {
            self.sync_all();
        }
    }

    pub(super) fn create(&mut self, topics: &[Topic]) {
        for topic in topics {
            let partitions = self.partitions;
            self.topics.entry(*topic).or_insert_with(|| Chain {
                partitions: (0..partitions).map(|_| Kept::default()).collect(),
                unsynced: Vec::new(),
            });
        }
    }

    /// Whether these batches may be appended at all.
    pub(super) fn check(
        &self,
        topic: Topic,
        batches: &[(Partition, Vec<NewRecord>)],
    ) -> Result<(), LogError> {
        let chain = self
            .topics
            .get(&topic)
            .ok_or(LogError::UnknownTopic(topic))?;
        for (partition, records) in batches {
            kept(&chain.partitions, topic, *partition)?;
            records.iter().try_for_each(NewRecord::fits)?;
        }
        Ok(())
    }

    pub(super) fn append(
        &mut self,
        topic: Topic,
        batches: Vec<(Partition, Vec<NewRecord>)>,
    ) -> Result<Vec<Offset>, LogError> {
        self.check(topic, &batches)?;
        let chain = self
            .topics
            .get_mut(&topic)
            .ok_or(LogError::UnknownTopic(topic))?;
        let mut offsets = Vec::with_capacity(batches.len());
        for (partition, records) in batches {
            let kept = kept_mut(&mut chain.partitions, topic, partition)?;
            offsets.push(Offset(kept.end()));
            if records.is_empty() {
                continue;
            }
            for NewRecord { key, value, at } in records {
                let offset = Offset(kept.end());
                kept.records.push(Record {
                    offset,
                    key,
                    value,
                    at,
                });
            }
            chain.unsynced.push((partition, kept.end()));
        }
        Ok(offsets)
    }

    pub(super) fn sync(&mut self, topic: Topic) -> Result<(), LogError> {
        let chain = self
            .topics
            .get_mut(&topic)
            .ok_or(LogError::UnknownTopic(topic))?;
        chain.sync();
        Ok(())
    }

    pub(super) fn sync_all(&mut self) {
        self.topics.values_mut().for_each(Chain::sync);
    }

    /// Loses the newest of each topic's unsynced batches, as many as `choose(unsynced + 1)` says.
    pub(super) fn crash(&mut self, choose: impl Fn(u32) -> u32) {
        self.crashes += 1;
        for chain in self.topics.values_mut() {
            let unsynced = chain.unsynced.len();
            if unsynced > 0 {
                let options = u32::try_from(unsynced + 1).unwrap_or(u32::MAX);
                let lost = usize::try_from(choose(options))
                    .unwrap_or(unsynced)
                    .min(unsynced);
                chain.unsynced.truncate(unsynced - lost);
                chain.keep_what_is_left();
            }
        }
    }

    pub(super) fn drop_before(
        &mut self,
        topic: Topic,
        partition: Partition,
        before: Offset,
    ) -> Result<(), LogError> {
        let chain = self
            .topics
            .get_mut(&topic)
            .ok_or(LogError::UnknownTopic(topic))?;
        let kept = kept_mut(&mut chain.partitions, topic, partition)?;
        let before = before.0.min(kept.durable_end);
        let gone = usize::try_from(before.saturating_sub(kept.first)).unwrap_or(usize::MAX);
        kept.records.drain(..gone.min(kept.records.len()));
        kept.first = kept.first.max(before);
        Ok(())
    }

    pub(super) fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        max_records: usize,
        visibility: Visibility,
    ) -> Result<Vec<Record>, LogError> {
        let chain = self
            .topics
            .get(&topic)
            .ok_or(LogError::UnknownTopic(topic))?;
        let kept = kept(&chain.partitions, topic, partition)?;
        let Some(skip) = from.0.checked_sub(kept.first) else {
            return Err(LogError::OutOfRange {
                topic,
                partition,
                asked: from,
                first: Offset(kept.first),
            });
        };
        let visible = kept.visible_end(visibility).saturating_sub(from.0);
        let count = usize::try_from(visible)
            .unwrap_or(usize::MAX)
            .min(max_records);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Ok(kept
            .records
            .iter()
            .skip(skip)
            .take(count)
            .cloned()
            .collect())
    }

    pub(super) fn positions(
        &self,
        topic: Topic,
        partition: Partition,
    ) -> Result<Positions, LogError> {
        let chain = self
            .topics
            .get(&topic)
            .ok_or(LogError::UnknownTopic(topic))?;
        let kept = kept(&chain.partitions, topic, partition)?;
        Ok(Positions {
            first: Offset(kept.first),
            durable_end: Offset(kept.durable_end),
            end: Offset(kept.end()),
        })
    }
}

impl Chain {
    fn sync(&mut self) {
        self.unsynced.clear();
        for kept in &mut self.partitions {
            kept.durable_end = kept.end();
        }
    }

    /// What a crash left is what the next opening finds, and that it makes durable.
    fn keep_what_is_left(&mut self) {
        for (partition, end) in std::mem::take(&mut self.unsynced) {
            let place = usize::try_from(partition.0).unwrap_or(usize::MAX);
            if let Some(kept) = self.partitions.get_mut(place) {
                kept.durable_end = kept.durable_end.max(end);
            }
        }
        for kept in &mut self.partitions {
            let count = usize::try_from(kept.durable_end - kept.first).unwrap_or(usize::MAX);
            kept.records.truncate(count);
        }
    }
}

fn kept(partitions: &[Kept], topic: Topic, partition: Partition) -> Result<&Kept, LogError> {
    let place = usize::try_from(partition.0).unwrap_or(usize::MAX);
    partitions
        .get(place)
        .ok_or(LogError::UnknownPartition(topic, partition))
}

fn kept_mut(
    partitions: &mut [Kept],
    topic: Topic,
    partition: Partition,
) -> Result<&mut Kept, LogError> {
    let place = usize::try_from(partition.0).unwrap_or(usize::MAX);
    partitions
        .get_mut(place)
        .ok_or(LogError::UnknownPartition(topic, partition))
}
