//! What readers see of a topic: the ends of its partitions, its segments, and its newest records.
//!
//! The newest records are kept in memory, whole writes at a time: their bytes are the buffer that
//! was written, so dropping the oldest write gives back exactly its buffer. They are a suffix of
//! the chain, so a partition's newest records in memory reach up to its end without a hole.

use std::collections::VecDeque;
use std::sync::Arc;

use infra_ports::log::{LogError, Positions, Record, RecordBatch, Visibility};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use crate::active::Active;
use crate::index::SparseIndex;
use crate::segment::Segment;

/// One partition as readers see it.
#[derive(Default)]
struct PartitionView {
    first: u64,
    durable_end: u64,
    end: u64,
    /// The newest records, up to the end.
    recent: VecDeque<Record>,
}

impl PartitionView {
    fn visible_end(&self, visibility: Visibility) -> u64 {
        match visibility {
            Visibility::Durable => self.durable_end,
            Visibility::Appended => self.end,
        }
    }

    fn first_recent(&self) -> u64 {
        self.end - u64::try_from(self.recent.len()).unwrap_or(self.end)
    }

    fn positions(&self) -> Positions {
        Positions {
            first: Offset(self.first),
            durable_end: Offset(self.durable_end),
            end: Offset(self.end),
        }
    }
}

/// One write to the active segment.
pub(crate) struct Written {
    /// Partition, position in the segment, record; in the order of the chain.
    pub(crate) records: Vec<(u32, u64, Record)>,
    /// Sums of the pieces of the segment that it fills.
    pub(crate) sums: Vec<u32>,
    /// Length of the buffer that the records share.
    pub(crate) bytes: u64,
    /// End of the segment after it.
    pub(crate) end: u64,
}

/// A write whose records are in memory.
struct Recent {
    partitions: Vec<u32>,
    bytes: u64,
}

/// What a look into memory finds.
pub(crate) enum Looked {
    /// Records.
    Records(Vec<RecordBatch>),
    /// At least one partition is to be read from files.
    Behind,
    /// There is nothing new.
    Nothing,
}

/// What readers see of a topic.
pub(crate) struct View {
    topic: Topic,
    partitions: Vec<PartitionView>,
    /// In order; the last one is the active one.
    pub(crate) segments: Arc<Vec<Arc<Segment>>>,
    pub(crate) active: Arc<Active>,
    pub(crate) active_index: SparseIndex,
    /// End of the active segment.
    pub(crate) written: u64,
    recent: VecDeque<Recent>,
    recent_bytes: u64,
    recent_limit: u64,
    pub(crate) closed: bool,
}

impl View {
    /// The view of a topic that was just opened: all that stands there is durable.
    pub(crate) fn new(
        topic: Topic,
        segments: Vec<Arc<Segment>>,
        active: Arc<Active>,
        active_index: SparseIndex,
        written: u64,
        ends: &[u64],
        recent_limit: u64,
    ) -> Self {
        let first = segments
            .first()
            .map_or(&[] as &[u64], |segment| &segment.header.base);
        let partitions = ends
            .iter()
            .zip(first)
            .map(|(end, first)| PartitionView {
                first: *first,
                durable_end: *end,
                end: *end,
                recent: VecDeque::new(),
            })
            .collect();
        Self {
            topic,
            partitions,
            segments: Arc::new(segments),
            active,
            active_index,
            written,
            recent: VecDeque::new(),
            recent_bytes: 0,
            recent_limit,
            closed: false,
        }
    }

    fn partition(&self, partition: u32) -> Result<&PartitionView, LogError> {
        if self.closed {
            return Err(LogError::Closed);
        }
        let place = usize::try_from(partition).unwrap_or(usize::MAX);
        let unknown = LogError::UnknownPartition(self.topic, Partition(partition));
        self.partitions.get(place).ok_or(unknown)
    }

    fn partition_mut(&mut self, partition: u32) -> Option<&mut PartitionView> {
        self.partitions
            .get_mut(usize::try_from(partition).unwrap_or(usize::MAX))
    }

    /// The ends of a partition.
    pub(crate) fn positions(&self, partition: u32) -> Result<Positions, LogError> {
        self.partition(partition).map(PartitionView::positions)
    }

    /// Up to where a reader sees a partition that it reads from an offset on.
    pub(crate) fn visible_end(
        &self,
        partition: u32,
        from: u64,
        visibility: Visibility,
    ) -> Result<u64, LogError> {
        let view = self.partition(partition)?;
        if from < view.first {
            return Err(LogError::OutOfRange {
                topic: self.topic,
                partition: Partition(partition),
                asked: Offset(from),
                first: Offset(view.first),
            });
        }
        Ok(view.visible_end(visibility))
    }

    /// Looks for new records of several partitions, beginning with the one at `turn`.
    pub(crate) fn look(
        &self,
        next: &[(u32, u64)],
        turn: usize,
        most: usize,
        visibility: Visibility,
    ) -> Result<Looked, LogError> {
        if self.closed {
            return Err(LogError::Closed);
        }
        let mut batches = Vec::new();
        let mut left = most;
        let (before, after) = next.split_at_checked(turn).unwrap_or((&[], next));
        for (partition, from) in after.iter().chain(before) {
            let end = self.visible_end(*partition, *from, visibility)?;
            if *from >= end || left == 0 {
                continue;
            }
            let view = self.partition(*partition)?;
            let Some(skip) = from.checked_sub(view.first_recent()) else {
                return Ok(Looked::Behind);
            };
            let count = usize::try_from(end - from).unwrap_or(usize::MAX).min(left);
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            let records: Vec<Record> = view.recent.range(skip..skip + count).cloned().collect();
            left -= records.len();
            batches.push(RecordBatch {
                partition: Partition(*partition),
                records,
            });
        }
        Ok(if batches.is_empty() {
            Looked::Nothing
        } else {
            Looked::Records(batches)
        })
    }

    /// Whether records of one of several partitions are visible but no longer in memory.
    pub(crate) fn is_behind(&self, next: &[(u32, u64)], visibility: Visibility) -> bool {
        !self.closed
            && next.iter().any(|&(partition, from)| {
                self.partition(partition).is_ok_and(|view| {
                    from < view.visible_end(visibility) && from < view.first_recent()
                })
            })
    }

    /// Takes a write into view.
    pub(crate) fn publish(&mut self, written: Written) {
        let mut partitions = Vec::with_capacity(written.records.len());
        for (partition, position, record) in written.records {
            self.active_index
                .note(partition, record.offset.0, position, record.at.0);
            partitions.push(partition);
            if let Some(view) = self.partition_mut(partition) {
                view.end = record.offset.0 + 1;
                view.recent.push_back(record);
            }
        }
        if !written.sums.is_empty() {
            self.active_index.sums_mut().extend(&written.sums);
        }
        self.written = written.end;
        self.recent_bytes += written.bytes;
        self.recent.push_back(Recent {
            partitions,
            bytes: written.bytes,
        });
        while self.recent_bytes > self.recent_limit {
            let Some(oldest) = self.recent.pop_front() else {
                break;
            };
            self.recent_bytes -= oldest.bytes;
            for partition in oldest.partitions {
                if let Some(view) = self.partition_mut(partition) {
                    view.recent.pop_front();
                }
            }
        }
    }

    /// Everything below these ends is durable.
    pub(crate) fn mark_durable(&mut self, ends: &[u64]) {
        for (view, end) in self.partitions.iter_mut().zip(ends) {
            view.durable_end = view.durable_end.max(*end);
        }
    }

    /// Goes on to a new active segment; returns the index of the one before.
    pub(crate) fn roll(&mut self, active: Arc<Active>, fresh: SparseIndex) -> SparseIndex {
        let mut segments = Vec::clone(&self.segments);
        segments.push(Arc::clone(&active.segment));
        self.segments = Arc::new(segments);
        self.written = active.segment.header.end();
        self.active = active;
        std::mem::replace(&mut self.active_index, fresh)
    }

    /// Forgets the oldest segments; the newest always stays.
    pub(crate) fn forget(&mut self, count: usize) {
        let count = count.min(self.segments.len().saturating_sub(1));
        let kept: Vec<_> = self.segments.iter().skip(count).cloned().collect();
        if let Some(first) = kept.first() {
            for (view, base) in self.partitions.iter_mut().zip(&first.header.base) {
                view.first = view.first.max(*base);
            }
        }
        self.segments = Arc::new(kept);
    }
}
