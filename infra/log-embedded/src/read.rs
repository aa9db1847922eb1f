//! Reading records of one partition from files, jumping from one index entry to the next; and what
//! that has in common with walking the chain (see [`crate::walk`]): finding segments, judging what
//! stands at a position.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use infra_ports::log::{LogError, Record};
use schemas::position::{Offset, Partition, Timestamp};

use crate::format::frame::{FrameHead, HEAD_BYTES};
use crate::format::sums::Sums;
use crate::frames::{Found, FrameReader};
use crate::segment::Segment;
use crate::storage::{StorageFile, widen};
use crate::topic::TopicLog;

/// Bytes read at a time.
const PARTITION_PIECE_BYTES: usize = 32 << 10;
/// A read returns what it has after so many bytes of records.
pub(crate) const MOST_BYTES: usize = 4 << 20;
/// Index entries taken at a time.
const ENTRIES: usize = 64;

/// A segment to read, up to where it was written when this was made.
pub(crate) struct Place {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) limit: u64,
    pub(crate) is_active: bool,
    /// Positions from which on the wanted records stand.
    pub(crate) entries: Vec<u64>,
    pub(crate) every: u64,
    pub(crate) sums: Arc<Sums>,
}

/// Records on their way to a reader.
struct Collected {
    records: Vec<Record>,
    bytes: usize,
    most: usize,
}

impl Collected {
    fn is_enough(&self) -> bool {
        self.records.len() >= self.most || self.bytes >= MOST_BYTES
    }

    /// Takes a record with bytes of its own, whose frame begins at a place of a piece: it must not
    /// keep the piece in memory.
    fn take(&mut self, head: &FrameHead, piece: &Bytes, start: usize) {
        let key = start + HEAD_BYTES;
        let (value, end) = (key + head.key_length(), key + head.body_length());
        let body = Bytes::copy_from_slice(piece.get(key..end).unwrap_or_default());
        self.bytes += body.len();
        self.records.push(Record {
            offset: Offset(head.offset),
            key: body.slice(..value - key),
            value: body.slice(value - key..),
            at: Timestamp(head.at),
        });
    }
}

impl TopicLog {
    /// Reads records of one partition, at least one: `from` is below `end`, which is visible.
    pub(crate) fn read_partition(
        &self,
        partition: u32,
        from: u64,
        end: u64,
        most: usize,
    ) -> Result<Vec<Record>, LogError> {
        let mut found = Collected {
            records: Vec::new(),
            bytes: 0,
            most,
        };
        while from + widen(found.records.len()) < end && !found.is_enough() {
            let next = from + widen(found.records.len());
            let outcome = self.read_on(partition, next, end, &mut found);
            match outcome {
                Ok(()) => {}
                // What stands before the trouble is handed over first.
                Err(_) if !found.records.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(found.records)
    }

    /// Reads at least one record more.
    fn read_on(
        &self,
        partition: u32,
        next: u64,
        end: u64,
        found: &mut Collected,
    ) -> Result<(), LogError> {
        let before = found.records.len();
        let place = self.locate(partition, next)?;
        self.read_place(&place, partition, next..end, found)?;
        if found.records.len() > before {
            return Ok(());
        }
        let position = place.entries.first().copied().unwrap_or_default();
        Err(self.damaged(&place.segment, position, partition, next, "it is missing"))
    }

    /// Reads records of one partition from one segment, from entry to entry.
    fn read_place(
        &self,
        place: &Place,
        partition: u32,
        wanted: std::ops::Range<u64>,
        found: &mut Collected,
    ) -> Result<(), LogError> {
        let file = Arc::clone(&place.file);
        let mut reader = FrameReader::new(file, &place.segment, PARTITION_PIECE_BYTES);
        let std::ops::Range {
            start: mut next,
            end,
        } = wanted;
        for entry in &place.entries {
            let mut position = *entry;
            let stop = (entry + place.every).min(place.limit);
            while next < end && !found.is_enough() && position < stop {
                let step = self.step(&mut reader, place, position, || (partition, next))?;
                let Some(head) = step else { break };
                if head.partition == partition && head.offset >= next {
                    self.check_next(place, position, &head, next)?;
                    let (piece, _, start) = reader.piece(position);
                    found.take(&head, piece, start);
                    next += 1;
                }
                position += widen(head.frame_length());
            }
        }
        Ok(())
    }

    /// The frame at a position; none at the end of a segment.
    pub(crate) fn step(
        &self,
        reader: &mut FrameReader,
        place: &Place,
        position: u64,
        wanted: impl FnOnce() -> (u32, u64),
    ) -> Result<Option<FrameHead>, LogError> {
        let damaged = |reason| {
            let (partition, offset) = wanted();
            self.damaged(&place.segment, position, partition, offset, reason)
        };
        let found = reader
            .at(position, place.limit)
            .map_err(|e| unavailable(&e))?;
        match found {
            Found::Frame(head) => Ok(Some(head)),
            Found::Nothing if !place.is_active => Ok(None),
            Found::Nothing => Err(damaged("nothing stands there")),
            Found::BadHead => Err(damaged("no frame stands there")),
            Found::BadBody(_) => Err(damaged("the CRC of a body is wrong")),
        }
    }

    pub(crate) fn check_next(
        &self,
        place: &Place,
        position: u64,
        head: &FrameHead,
        next: u64,
    ) -> Result<(), LogError> {
        if head.offset == next {
            return Ok(());
        }
        Err(self.damaged(
            &place.segment,
            position,
            head.partition,
            next,
            "another offset is there",
        ))
    }

    /// The segment in which a record stands, and the index entries from which to look for it.
    pub(crate) fn locate(&self, partition: u32, offset: u64) -> Result<Place, LogError> {
        let view = self.view.lock();
        let after = view
            .segments
            .partition_point(|s| s.base(partition) <= offset);
        let segment = after
            .checked_sub(1)
            .and_then(|place| view.segments.get(place))
            .cloned();
        let Some(segment) = segment else {
            drop(view);
            return Err(self.out_of_range(partition, offset));
        };
        if segment.header.number == view.active.segment.header.number {
            return Ok(Place {
                segment,
                file: Arc::clone(&view.active.file),
                limit: view.written,
                is_active: true,
                entries: view.active_index.entries_from(partition, offset, ENTRIES),
                every: view.active_index.every(),
                sums: Arc::clone(&view.active_index.sums),
            });
        }
        drop(view);
        let sealed = self.open_sealed(&segment).map_err(|e| unavailable(&e))?;
        let limit = sealed.file.length().map_err(|e| unavailable(&e))?;
        let entries = sealed.index.entries_from(partition, offset, ENTRIES);
        let every = sealed.index.every();
        Ok(Place {
            segment,
            file: sealed.file,
            limit,
            is_active: false,
            entries,
            every,
            sums: Arc::clone(&sealed.index.sums),
        })
    }

    /// A segment by its number, to be walked whole.
    pub(crate) fn place(&self, number: u64) -> Result<Place, LogError> {
        let view = self.view.lock();
        let found = view
            .segments
            .iter()
            .find(|segment| segment.header.number == number);
        let Some(segment) = found.map(Arc::clone) else {
            return Err(LogError::Unavailable(format!(
                "segment {number} was dropped just now"
            )));
        };
        let (entries, every) = (Vec::new(), 0);
        if number == view.active.segment.header.number {
            let file = Arc::clone(&view.active.file);
            let limit = view.written;
            return Ok(Place {
                segment,
                file,
                limit,
                is_active: true,
                entries,
                every,
                sums: Arc::clone(&view.active_index.sums),
            });
        }
        drop(view);
        let sealed = self.open_sealed(&segment).map_err(|e| unavailable(&e))?;
        let limit = sealed.file.length().map_err(|e| unavailable(&e))?;
        Ok(Place {
            segment,
            file: sealed.file,
            limit,
            is_active: false,
            entries,
            every,
            sums: Arc::clone(&sealed.index.sums),
        })
    }

    fn out_of_range(&self, partition: u32, offset: u64) -> LogError {
        let positions = self.view.lock().positions(partition);
        match positions {
            Ok(positions) => LogError::OutOfRange {
                topic: self.topic,
                partition: Partition(partition),
                asked: Offset(offset),
                first: positions.first,
            },
            Err(error) => error,
        }
    }

    pub(crate) fn damaged(
        &self,
        segment: &Segment,
        position: u64,
        partition: u32,
        offset: u64,
        reason: &str,
    ) -> LogError {
        let reason = format!("{} at byte {position}: {reason}", segment.path.display());
        tracing::error!(topic = %self.topic, partition, offset, reason, "damaged record");
        LogError::Damaged {
            topic: self.topic,
            partition: Partition(partition),
            offset: Offset(offset),
            reason,
        }
    }
}

pub(crate) fn unavailable(error: &io::Error) -> LogError {
    LogError::Unavailable(format!("cannot read: {error}"))
}
