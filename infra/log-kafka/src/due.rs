//! What of a tail's records is due: each partition from where it is on, nothing of what was on its way
//! when its partition went, nothing twice. Of one partition records come without a hole, or from before
//! the place where it is: who gains one sees to that.

use std::collections::{BTreeMap, VecDeque};

use infra_ports::log::RecordBatch;
use schemas::position::{Offset, Partition};

/// A place in each partition that is tailed.
pub(crate) type Places = BTreeMap<Partition, Offset>;

/// What came and was not asked for yet, and what is to come.
#[derive(Debug, Default)]
pub(crate) struct Due {
    waiting: VecDeque<RecordBatch>,
    next: Places,
}

impl Due {
    /// From these places on.
    pub(crate) fn new(from: &[(Partition, Offset)]) -> Self {
        Self {
            waiting: VecDeque::new(),
            next: from.iter().copied().collect(),
        }
    }

    /// True when nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What comes next of each partition, behind what waits.
    pub(crate) fn next(&self) -> Vec<(Partition, Offset)> {
        self.next.iter().map(|(one, next)| (*one, *next)).collect()
    }

    /// Takes in what is due of these.
    pub(crate) fn came(&mut self, batches: Vec<RecordBatch>) {
        for mut batch in batches {
            let Some(next) = self.next.get_mut(&batch.partition) else {
                continue;
            };
            let past = batch.records.partition_point(|one| one.offset < *next);
            batch.records.drain(..past);
            if let Some(last) = batch.records.last() {
                *next = last.offset.next();
                self.waiting.push_back(batch);
            }
        }
    }

    /// The first `max` records of what waits.
    pub(crate) fn take(&mut self, max: usize) -> Vec<RecordBatch> {
        let (mut taken, mut room) = (Vec::new(), max);
        while room > 0 {
            let Some(mut batch) = self.waiting.pop_front() else {
                break;
            };
            if batch.records.len() > room {
                let rest = batch.records.split_off(room);
                self.waiting.push_front(RecordBatch {
                    partition: batch.partition,
                    records: rest,
                });
            }
            room -= batch.records.len();
            taken.push(batch);
        }
        taken
    }

    /// Those of these partitions that are tailed.
    pub(crate) fn tailed(&self, partitions: &[Partition]) -> Vec<Partition> {
        let mut tailed = partitions.to_vec();
        tailed.retain(|one| self.next.contains_key(one));
        tailed
    }

    /// Some go, with what waits of them, and others come.
    pub(crate) fn change(&mut self, gained: &[(Partition, Offset)], lost: &[Partition]) {
        let stays = |one: &Partition| !lost.contains(one);
        self.waiting.retain(|batch| stays(&batch.partition));
        self.next.retain(|one, _| stays(one));
        self.next.extend(gained.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use infra_ports::log::Record;
    use schemas::position::Timestamp;

    use super::*;

    const ONE: Partition = Partition(1);
    const TWO: Partition = Partition(2);

    fn batch(partition: Partition, offsets: std::ops::Range<u64>) -> RecordBatch {
        let record = |offset| Record {
            offset: Offset(offset),
            key: Bytes::new(),
            value: Bytes::new(),
            at: Timestamp(0),
        };
        RecordBatch {
            partition,
            records: offsets.map(record).collect(),
        }
    }

    fn taken(due: &mut Due, max: usize) -> Vec<(u32, u64)> {
        let batches = due.take(max);
        let each = batches.iter().flat_map(|batch| {
            let records = batch.records.iter();
            records.map(|record| (batch.partition.0, record.offset.0))
        });
        each.collect()
    }

    #[test]
    fn what_was_on_its_way_when_a_partition_went_is_left_out() {
        let mut due = Due::new(&[(ONE, Offset(0)), (TWO, Offset(0))]);
        due.came(vec![batch(ONE, 0..2), batch(TWO, 0..2)]);
        assert_eq!(taken(&mut due, 1), [(1, 0)]);
        assert_eq!(due.tailed(&[ONE, Partition(3)]), [ONE]);
        due.change(&[], &[ONE]);
        due.came(vec![batch(ONE, 2..4), batch(TWO, 2..3)]);
        assert_eq!(taken(&mut due, 9), [(2, 0), (2, 1), (2, 2)]);
        assert!(due.is_empty());
    }

    #[test]
    fn a_partition_that_came_back_gives_nothing_twice() {
        let mut due = Due::new(&[(ONE, Offset(0))]);
        due.change(&[(ONE, Offset(3))], &[ONE]);
        // What was polled before, and what was fetched anew, together and apart.
        due.came(vec![batch(ONE, 0..5), batch(ONE, 3..6)]);
        due.came(vec![batch(ONE, 4..8)]);
        let expected: Vec<_> = (3..8).map(|offset| (1, offset)).collect();
        assert_eq!(taken(&mut due, 9), expected);
    }
}
