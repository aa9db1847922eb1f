//! Walking the chain for tails that are behind: all their partitions in one pass over the file,
//! whatever their number.
//!
//! A walk runs on the reader thread and only notes where the records stand; whoever asked makes
//! records of that, while the next walk is under way.

use std::sync::Arc;

use bytes::Bytes;
use infra_ports::log::{LogError, Record, RecordBatch, Visibility};
use schemas::position::{Offset, Partition, Timestamp};

use crate::format::frame::{FrameHead, HEAD_BYTES};
use crate::frames::FrameReader;
use crate::read::{MOST_BYTES, Place};
use crate::storage::{narrow, widen};
use crate::topic::TopicLog;

/// Bytes read at a time.
const CHAIN_PIECE_BYTES: usize = 256 << 10;

/// Where in the chain a tail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    number: u64,
    position: u64,
}

/// Where a tail goes on, with the bytes that were read there already.
pub(crate) struct Cursor {
    spot: Spot,
    reader: FrameReader,
    /// The segment that the reader reads.
    reading: u64,
}

/// A record that a walk met.
struct Met {
    offset: u64,
    at: i64,
    partition: u32,
    /// Which of the walk's pieces, and where in it key and value begin.
    piece: u32,
    place: u32,
    key_bytes: u32,
    value_bytes: u32,
}

/// Records that a walk along the chain met, in its order.
#[derive(Default)]
pub(crate) struct Walked {
    pieces: Vec<Bytes>,
    met: Vec<Met>,
    /// Partition and offset from which to go on.
    pub(crate) next: Vec<(u32, u64)>,
    /// How many of them were handed out.
    taken: usize,
}

impl Walked {
    pub(crate) fn is_empty(&self) -> bool {
        self.taken >= self.met.len()
    }

    /// Partition and offset of each record that was not handed out.
    pub(crate) fn left(&self) -> impl Iterator<Item = (u32, u64)> {
        let left = self.met.get(self.taken..).unwrap_or_default();
        left.iter().map(|met| (met.partition, met.offset))
    }

    /// Nothing, with the memory of this.
    pub(crate) fn emptied(mut self) -> Self {
        self.pieces.clear();
        self.met.clear();
        self.next.clear();
        self.taken = 0;
        self
    }

    /// Takes out at most so many records, by partition.
    pub(crate) fn take(&mut self, most: usize) -> Vec<RecordBatch> {
        let from = self.taken;
        self.taken = self.met.len().min(from.saturating_add(most));
        let taken = self.met.get(from..self.taken).unwrap_or_default();
        let mut counts: Vec<usize> = Vec::new();
        for met in taken {
            let place = narrow(u64::from(met.partition));
            if counts.len() <= place {
                counts.resize(place + 1, 0);
            }
            if let Some(count) = counts.get_mut(place) {
                *count += 1;
            }
        }
        let mut records: Vec<Vec<Record>> = counts.into_iter().map(Vec::with_capacity).collect();
        for met in taken {
            let of = records.get_mut(narrow(u64::from(met.partition)));
            let piece = self.pieces.get(narrow(u64::from(met.piece)));
            if let (Some(of), Some(piece)) = (of, piece) {
                of.push(met.record(piece));
            }
        }
        (0..)
            .map(Partition)
            .zip(records)
            .filter(|(_, records)| !records.is_empty())
            .map(|(partition, records)| RecordBatch { partition, records })
            .collect()
    }
}

impl Met {
    fn record(&self, piece: &Bytes) -> Record {
        let [key, key_bytes, value_bytes] =
            [self.place, self.key_bytes, self.value_bytes].map(|bytes| narrow(u64::from(bytes)));
        let value = key + key_bytes;
        Record {
            offset: Offset(self.offset),
            key: piece.slice(key..value),
            value: piece.slice(value..value + value_bytes),
            at: Timestamp(self.at),
        }
    }
}

impl TopicLog {
    /// Walks the chain from a cursor, or from where the partitions' records begin, and returns
    /// records of all of them, at least one. `next` holds partition, next offset and visible end.
    /// There is no cursor to go on from when trouble stands behind those records. `spare` is empty,
    /// and its memory is used again.
    pub(crate) fn walk(
        &self,
        next: &[(u32, u64, u64)],
        cursor: Option<Cursor>,
        most: usize,
        spare: Walked,
    ) -> Result<(Walked, Option<Cursor>), LogError> {
        let mut walk = Walk::new(next, most, spare);
        let mut cursor = match cursor {
            Some(cursor) => cursor,
            None => self.first_cursor(next)?,
        };
        match self.walk_on(&mut cursor, &mut walk) {
            Ok(()) => Ok((walk.end(next), Some(cursor))),
            // What stands before the trouble is handed over first.
            Err(_) if !walk.walked.is_empty() => Ok((walk.end(next), None)),
            Err(error) => Err(error),
        }
    }

    /// Walks from segment to segment until there is enough.
    fn walk_on(&self, cursor: &mut Cursor, walk: &mut Walk) -> Result<(), LogError> {
        while !walk.is_done() {
            let place = self.place(cursor.spot.number)?;
            if cursor.reading != cursor.spot.number {
                cursor
                    .reader
                    .turn_to(Arc::clone(&place.file), &place.segment);
                cursor.reading = cursor.spot.number;
            }
            cursor.reader.trust(&place.sums);
            self.walk_place(&place, cursor, walk)?;
            if walk.is_done() || place.is_active {
                break;
            }
            cursor.spot = Spot {
                number: cursor.spot.number + 1,
                position: 0,
            };
            self.check_whole(&place, walk, cursor.spot.number)?;
        }
        Ok(())
    }

    fn walk_place(
        &self,
        place: &Place,
        cursor: &mut Cursor,
        walk: &mut Walk,
    ) -> Result<(), LogError> {
        let Cursor { spot, reader, .. } = cursor;
        let mut last_piece = None;
        spot.position = spot.position.max(place.segment.header.end());
        while !walk.is_done() && spot.position < place.limit {
            let head = match reader.vouched(spot.position) {
                Some(head) => head,
                None => match self.step(reader, place, spot.position, || walk.any())? {
                    Some(head) => head,
                    None => break,
                },
            };
            match walk.wants(&head) {
                Wanted::No => {}
                Wanted::NotYet => break,
                Wanted::Yes(next) => {
                    self.check_next(place, spot.position, &head, next)?;
                    let (piece, number, start) = reader.piece(spot.position);
                    if last_piece != Some(number) {
                        last_piece = Some(number);
                        walk.walked.pieces.push(piece.clone());
                    }
                    walk.take(&head, start);
                }
            }
            spot.position += widen(head.frame_length());
        }
        Ok(())
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
        for (partition, offset) in walk.open() {
            if offset < next.base(partition) {
                let reason = "it is missing";
                return Err(self.damaged(&place.segment, place.limit, partition, offset, reason));
            }
        }
        Ok(())
    }

    /// The earliest place in the chain where a wanted record of any of the partitions may stand.
    fn first_cursor(&self, next: &[(u32, u64, u64)]) -> Result<Cursor, LogError> {
        let mut first: Option<(Spot, Place)> = None;
        for (partition, from, end) in next {
            if from >= end {
                continue;
            }
            let place = self.locate(*partition, *from)?;
            let position = place.entries.first().copied();
            let spot = Spot {
                number: place.segment.header.number,
                position: position.unwrap_or_else(|| place.segment.header.end()),
            };
            if first.as_ref().is_none_or(|(first, _)| spot < *first) {
                first = Some((spot, place));
            }
        }
        let (spot, place) = first.ok_or_else(|| LogError::Unavailable("nothing to read".into()))?;
        Ok(Cursor {
            spot,
            reader: FrameReader::new(place.file, &place.segment, CHAIN_PIECE_BYTES),
            reading: spot.number,
        })
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

/// Whether a walk takes a frame.
enum Wanted {
    No,
    /// It is not visible yet: the walk ends before it.
    NotYet,
    /// If it has this offset.
    Yes(u64),
}

/// What a walk looks for in one partition.
#[derive(Debug, Clone, Copy, Default)]
struct Want {
    next: u64,
    end: u64,
    is_wanted: bool,
}

/// A walk along the chain.
struct Walk {
    /// By partition.
    wants: Vec<Want>,
    left: usize,
    bytes: usize,
    /// Records that are visible and were not met yet.
    missing: u64,
    walked: Walked,
}

impl Walk {
    fn new(next: &[(u32, u64, u64)], most: usize, mut walked: Walked) -> Self {
        let mut wants = Vec::new();
        let mut missing = 0;
        for &(partition, next, end) in next {
            let place = narrow(u64::from(partition));
            if wants.len() <= place {
                wants.resize(place + 1, Want::default());
            }
            if let Some(want) = wants.get_mut(place) {
                *want = Want {
                    next,
                    end,
                    is_wanted: true,
                };
                missing += end.saturating_sub(next);
            }
        }
        walked.met.reserve(most.min(narrow(missing)).min(4096));
        Self {
            wants,
            left: most,
            bytes: 0,
            missing,
            walked,
        }
    }

    fn is_done(&self) -> bool {
        self.left == 0 || self.missing == 0 || self.bytes >= MOST_BYTES
    }

    /// Partition and offset of the records that are being looked for.
    fn open(&self) -> impl Iterator<Item = (u32, u64)> {
        (0..)
            .zip(&self.wants)
            .filter(|(_, want)| want.next < want.end)
            .map(|(partition, want)| (partition, want.next))
    }

    /// A record that is being looked for.
    fn any(&self) -> (u32, u64) {
        self.open().next().unwrap_or_default()
    }

    fn wants(&self, head: &FrameHead) -> Wanted {
        match self.wants.get(narrow(u64::from(head.partition))) {
            Some(want) if want.is_wanted && head.offset >= want.next => {
                if head.offset < want.end {
                    Wanted::Yes(want.next)
                } else {
                    Wanted::NotYet
                }
            }
            Some(_) | None => Wanted::No,
        }
    }

    /// What it met, in a walk for these partitions.
    fn end(mut self, of: &[(u32, u64, u64)]) -> Walked {
        let next = |&(partition, from, _): &(u32, u64, u64)| {
            let want = self.wants.get(narrow(u64::from(partition)));
            (partition, want.map_or(from, |want| want.next))
        };
        self.walked.next = of.iter().map(next).collect();
        self.walked
    }

    /// Notes a record whose frame begins at a place of the last piece.
    fn take(&mut self, head: &FrameHead, start: usize) {
        if let Some(want) = self.wants.get_mut(narrow(u64::from(head.partition))) {
            want.next += 1;
        }
        self.bytes += head.frame_length();
        self.left -= 1;
        self.missing -= 1;
        let short = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        self.walked.met.push(Met {
            offset: head.offset,
            at: head.at,
            partition: head.partition,
            piece: short(self.walked.pieces.len().saturating_sub(1)),
            place: short(start + HEAD_BYTES),
            key_bytes: head.key_bytes,
            value_bytes: head.value_bytes,
        });
    }
}
