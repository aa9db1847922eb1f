//! Walking the chain for tails that are behind: all their partitions in one pass over the file,
//! whatever their number.

use std::sync::Arc;

use infra_ports::log::{LogError, Record, RecordBatch, Visibility};
use schemas::position::Partition;

use crate::format::frame::{FrameHead, HEAD_BYTES};
use crate::read::{MOST_BYTES, Place, record};
use crate::segment::FrameReader;
use crate::storage::{narrow, widen};
use crate::topic::TopicLog;

/// Bytes read at a time.
const CHAIN_PIECE_BYTES: usize = 256 << 10;

/// Where in the chain a tail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    number: u64,
    position: u64,
}

/// Records of a walk along the chain.
pub(crate) struct Walked {
    pub(crate) batches: Vec<RecordBatch>,
    /// Where to go on, if that is known.
    pub(crate) cursor: Option<Cursor>,
}

impl TopicLog {
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
        let outcome = self.walk_on(&mut cursor, &mut walk);
        let batches = walk.into_batches();
        match outcome {
            Ok(()) => Ok(Walked {
                batches,
                cursor: Some(cursor),
            }),
            // What stands before the trouble is handed over first.
            Err(_) if !batches.is_empty() => Ok(Walked {
                batches,
                cursor: None,
            }),
            Err(error) => Err(error),
        }
    }

    /// Walks from segment to segment until there is enough.
    fn walk_on(&self, cursor: &mut Cursor, walk: &mut Walk) -> Result<(), LogError> {
        while !walk.is_done() {
            let place = self.place(cursor.number)?;
            cursor.position = self.walk_place(&place, cursor.position, walk)?;
            if walk.is_done() || place.is_active {
                break;
            }
            *cursor = Cursor {
                number: cursor.number + 1,
                position: 0,
            };
            self.check_whole(&place, walk, cursor.number)?;
        }
        Ok(())
    }

    fn walk_place(&self, place: &Place, from: u64, walk: &mut Walk) -> Result<u64, LogError> {
        let file = Arc::clone(&place.file);
        let mut reader = FrameReader::new(file, &place.segment, CHAIN_PIECE_BYTES);
        let mut position = from.max(place.segment.header.end());
        while !walk.is_done() && position < place.limit {
            let Some((head, frame)) = self.step(&mut reader, place, position, || walk.any())?
            else {
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

/// What a walk looks for in one partition, and what it found.
struct Want {
    next: u64,
    end: u64,
    records: Vec<Record>,
}

/// A walk along the chain.
struct Walk {
    /// By partition.
    wants: Vec<Option<Want>>,
    left: usize,
    bytes: usize,
    /// Records that are visible and were not met yet.
    missing: u64,
}

impl Walk {
    fn new(next: &[(u32, u64, u64)], most: usize) -> Self {
        let mut walk = Self {
            wants: Vec::new(),
            left: most,
            bytes: 0,
            missing: 0,
        };
        for (partition, next, end) in next {
            let place = narrow(u64::from(*partition));
            if walk.wants.len() <= place {
                walk.wants.resize_with(place + 1, || None);
            }
            if let Some(want) = walk.wants.get_mut(place) {
                *want = Some(Want {
                    next: *next,
                    end: *end,
                    records: Vec::new(),
                });
                walk.missing += end.saturating_sub(*next);
            }
        }
        walk
    }

    fn is_done(&self) -> bool {
        self.left == 0 || self.missing == 0 || self.bytes >= MOST_BYTES
    }

    /// Partition and offset of the records that are being looked for.
    fn open(&self) -> impl Iterator<Item = (u32, u64)> {
        (0..).zip(&self.wants).filter_map(|(partition, want)| {
            let want = want.as_ref()?;
            (want.next < want.end).then_some((partition, want.next))
        })
    }

    /// A record that is being looked for.
    fn any(&self) -> (u32, u64) {
        self.open().next().unwrap_or_default()
    }

    fn want_mut(&mut self, partition: u32) -> Option<&mut Want> {
        self.wants.get_mut(narrow(u64::from(partition)))?.as_mut()
    }

    fn wants(&self, head: &FrameHead) -> Wanted {
        let want = self.wants.get(narrow(u64::from(head.partition)));
        match want.and_then(Option::as_ref) {
            None => Wanted::No,
            Some(want) if head.offset < want.next => Wanted::No,
            Some(want) if head.offset >= want.end => Wanted::NotYet,
            Some(want) => Wanted::Yes(want.next),
        }
    }

    fn take(&mut self, record: Record, partition: u32) {
        let bytes = record.key.len() + record.value.len() + HEAD_BYTES;
        if let Some(want) = self.want_mut(partition) {
            want.next += 1;
            want.records.push(record);
            self.bytes += bytes;
            self.left -= 1;
            self.missing -= 1;
        }
    }

    fn into_batches(self) -> Vec<RecordBatch> {
        let batch = |(partition, want): (u32, Option<Want>)| {
            let records = want?.records;
            (!records.is_empty()).then_some(RecordBatch {
                partition: Partition(partition),
                records,
            })
        };
        (0..).zip(self.wants).filter_map(batch).collect()
    }
}
