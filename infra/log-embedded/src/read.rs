//! Reading records from files: by partition, and along the chain for tails that are behind.
//!
//! A read by partition jumps from one index entry to the next. A tail that is behind walks the
//! chain itself: all its partitions in one pass over the file, whatever their number.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use infra_ports::log::{LogError, Record, RecordBatch, Visibility};
use schemas::position::{Offset, Partition, Timestamp};

use crate::format::frame::{FrameHead, HEAD_BYTES};
use crate::segment::{Found, FrameReader, Segment};
use crate::storage::{StorageFile, widen};
use crate::topic::TopicLog;

/// Bytes read at a time along the chain, and by partition.
const CHAIN_PIECE_BYTES: usize = 256 << 10;
const PARTITION_PIECE_BYTES: usize = 32 << 10;
/// A read returns what it has after so many bytes of records.
const MOST_BYTES: usize = 4 << 20;
/// Index entries taken at a time.
const ENTRIES: usize = 64;

/// A segment to read, up to where it was written when this was made.
struct Place {
    segment: Arc<Segment>,
    file: Arc<dyn StorageFile>,
    limit: u64,
    is_active: bool,
    /// Positions from which on the wanted records stand.
    entries: Vec<u64>,
    every: u64,
}

/// Where in the chain a tail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    number: u64,
    position: u64,
}

/// Records of a walk along the chain.
pub(crate) struct Walked {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) cursor: Cursor,
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
        let mut records = Vec::new();
        let mut bytes = 0;
        while from + widen(records.len()) < end && records.len() < most && bytes < MOST_BYTES {
            let before = records.len();
            let next = from + widen(before);
            let place = self.locate(partition, next)?;
            let left = usize::try_from(end - next)
                .unwrap_or(usize::MAX)
                .min(most - before);
            self.read_place(&place, partition, next, left, &mut records)?;
            let new = records.iter().skip(before);
            bytes += new
                .map(|record| record.key.len() + record.value.len())
                .sum::<usize>();
            if records.len() == before {
                let position = place.entries.first().copied().unwrap_or_default();
                return Err(self.damaged(
                    &place.segment,
                    position,
                    partition,
                    next,
                    "it is missing",
                ));
            }
        }
        Ok(records)
    }

    /// Reads records of one partition from one segment, from entry to entry.
    fn read_place(
        &self,
        place: &Place,
        partition: u32,
        from: u64,
        most: usize,
        records: &mut Vec<Record>,
    ) -> Result<(), LogError> {
        let file = Arc::clone(&place.file);
        let mut reader = FrameReader::new(file, &place.segment, PARTITION_PIECE_BYTES);
        let mut next = from;
        let until = from + widen(most);
        for entry in &place.entries {
            let mut position = *entry;
            while next < until && position < (entry + place.every).min(place.limit) {
                let step = self.step(&mut reader, place, position, (partition, next))?;
                let Some((head, frame)) = step else { break };
                if head.partition == partition && head.offset >= next {
                    self.check_next(place, position, &head, next)?;
                    // Its own bytes: a record must not keep the whole piece in memory.
                    records.push(record(&head, &Bytes::copy_from_slice(&frame)));
                    next += 1;
                }
                position += widen(frame.len());
            }
        }
        Ok(())
    }

    /// Walks the chain from a cursor, or from where the partitions' records begin, and returns
    /// records of all of them, at least one. `next` holds partition, next offset and visible end.
    pub(crate) fn walk(
        &self,
        next: &[(u32, u64, u64)],
        cursor: Option<Cursor>,
        most: usize,
    ) -> Result<Walked, LogError> {
        let mut walk = Walk::new(next, most);
        let mut cursor = match cursor {
            Some(cursor) => cursor,
            None => self.first_cursor(next)?,
        };
        while !walk.is_done() {
            let place = self.place(cursor.number)?;
            cursor.position = self.walk_place(&place, cursor.position, &mut walk)?;
            if walk.is_done() || place.is_active {
                break;
            }
            cursor = Cursor {
                number: cursor.number + 1,
                position: 0,
            };
            self.check_whole(&place, &walk, cursor.number)?;
        }
        Ok(Walked {
            batches: walk.into_batches(),
            cursor,
        })
    }

    fn walk_place(&self, place: &Place, from: u64, walk: &mut Walk) -> Result<u64, LogError> {
        let file = Arc::clone(&place.file);
        let mut reader = FrameReader::new(file, &place.segment, CHAIN_PIECE_BYTES);
        let mut position = from.max(place.segment.header.end());
        while !walk.is_done() && position < place.limit {
            let Some((head, frame)) = self.step(&mut reader, place, position, walk.any())? else {
                break;
            };
            match walk.wants(&head) {
                Wanted::No => {}
                Wanted::NotYet => break,
                Wanted::Yes(next) => {
                    self.check_next(place, position, &head, next)?;
                    walk.take(record(&head, &frame), head.partition);
                }
            }
            position += widen(frame.len());
        }
        Ok(position)
    }

    /// Whether a segment that was walked to its end held all that the next one goes on from.
    fn check_whole(&self, place: &Place, walk: &Walk, next: u64) -> Result<(), LogError> {
        let view = self.view.lock();
        let next = view
            .segments
            .iter()
            .find(|segment| segment.header.number == next)
            .cloned();
        drop(view);
        let Some(next) = next else { return Ok(()) };
        for (partition, (offset, end, _)) in &walk.wanted {
            if offset < end && *offset < next.base(*partition) {
                let reason = "it is missing";
                return Err(self.damaged(&place.segment, place.limit, *partition, *offset, reason));
            }
        }
        Ok(())
    }

    /// The frame at a position; none at the end of a segment.
    fn step(
        &self,
        reader: &mut FrameReader,
        place: &Place,
        position: u64,
        wanted: (u32, u64),
    ) -> Result<Option<(FrameHead, Bytes)>, LogError> {
        let damaged = |reason| self.damaged(&place.segment, position, wanted.0, wanted.1, reason);
        let found = reader
            .at(position, place.limit, true)
            .map_err(|e| unavailable(&e))?;
        match found {
            Found::Frame(head, bytes) => Ok(Some((head, bytes))),
            Found::Nothing if !place.is_active => Ok(None),
            Found::Nothing => Err(damaged("nothing stands there")),
            Found::BadHead => Err(damaged("no frame stands there")),
            Found::BadBody(_) => Err(damaged("the CRC of a body is wrong")),
        }
    }

    fn check_next(
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
    fn locate(&self, partition: u32, offset: u64) -> Result<Place, LogError> {
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
        })
    }

    /// A segment by its number, to be walked whole.
    fn place(&self, number: u64) -> Result<Place, LogError> {
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
        })
    }

    /// The earliest place in the chain where a wanted record of any of the partitions may stand.
    fn first_cursor(&self, next: &[(u32, u64, u64)]) -> Result<Cursor, LogError> {
        let mut first: Option<Cursor> = None;
        for (partition, from, end) in next {
            if from >= end {
                continue;
            }
            let place = self.locate(*partition, *from)?;
            let position = place.entries.first().copied();
            let position = position.unwrap_or_else(|| place.segment.header.end());
            let cursor = Cursor {
                number: place.segment.header.number,
                position,
            };
            first = Some(first.map_or(cursor, |other| other.min(cursor)));
        }
        first.ok_or_else(|| LogError::Unavailable("nothing to read".into()))
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

    fn damaged(
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

    /// Looks up from where to where several partitions are to be walked.
    pub(crate) fn visible_ends(
        &self,
        next: &[(u32, u64)],
        visibility: Visibility,
    ) -> Result<Vec<(u32, u64, u64)>, LogError> {
        let view = self.view.lock();
        let end = |&(partition, from): &(u32, u64)| {
            let end = view.visible_end(partition, from, visibility)?;
            Ok((partition, from, end))
        };
        next.iter().map(end).collect()
    }
}

fn record(head: &FrameHead, frame: &Bytes) -> Record {
    let value = HEAD_BYTES + head.key_length();
    Record {
        offset: Offset(head.offset),
        key: frame.slice(HEAD_BYTES..value),
        value: frame.slice(value..HEAD_BYTES + head.body_length()),
        at: Timestamp(head.at),
    }
}

fn unavailable(error: &io::Error) -> LogError {
    LogError::Unavailable(format!("cannot read: {error}"))
}

/// Whether a walk takes a frame.
enum Wanted {
    No,
    /// It is not visible yet: the walk ends before it.
    NotYet,
    /// If it has this offset.
    Yes(u64),
}

/// A walk along the chain.
struct Walk {
    /// By partition: next offset, visible end, records.
    wanted: BTreeMap<u32, (u64, u64, Vec<Record>)>,
    left: usize,
    bytes: usize,
    /// Records that are visible and were not met yet.
    missing: u64,
}

impl Walk {
    fn new(next: &[(u32, u64, u64)], most: usize) -> Self {
        let wanted = next
            .iter()
            .map(|(p, from, end)| (*p, (*from, *end, Vec::new())))
            .collect();
        let missing = next
            .iter()
            .map(|(_, from, end)| end.saturating_sub(*from))
            .sum();
        Self {
            wanted,
            left: most,
            bytes: 0,
            missing,
        }
    }

    fn is_done(&self) -> bool {
        self.left == 0 || self.missing == 0 || self.bytes >= MOST_BYTES
    }

    /// A record that is being looked for.
    fn any(&self) -> (u32, u64) {
        let mut open = self.wanted.iter().filter(|(_, (next, end, _))| next < end);
        open.next()
            .map_or((0, 0), |(partition, (next, ..))| (*partition, *next))
    }

    fn wants(&self, head: &FrameHead) -> Wanted {
        match self.wanted.get(&head.partition) {
            None => Wanted::No,
            Some((next, ..)) if head.offset < *next => Wanted::No,
            Some((_, end, _)) if head.offset >= *end => Wanted::NotYet,
            Some((next, ..)) => Wanted::Yes(*next),
        }
    }

    fn take(&mut self, record: Record, partition: u32) {
        if let Some((next, _, records)) = self.wanted.get_mut(&partition) {
            *next += 1;
            self.bytes += record.key.len() + record.value.len() + HEAD_BYTES;
            self.left -= 1;
            self.missing -= 1;
            records.push(record);
        }
    }

    fn into_batches(self) -> Vec<RecordBatch> {
        self.wanted
            .into_iter()
            .filter(|(_, (.., records))| !records.is_empty())
            .map(|(partition, (.., records))| RecordBatch {
                partition: Partition(partition),
                records,
            })
            .collect()
    }
}
