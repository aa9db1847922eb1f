//! Writing batches to the active segment of a topic: offsets, frames, rolling, undoing.
//!
//! Nothing here waits for durability, but for a segment that is left behind: it is synced before
//! the next one is begun, so only the last segment can ever have a torn end.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use infra_ports::log::{LogError, NewRecord, Record};
use schemas::position::{Offset, Partition};

use crate::active::Active;
use crate::format::frame::{self, HEAD_BYTES, OVERHEAD_BYTES, Stamp};
use crate::format::sums::Summing;
use crate::storage::{is_full, widen, write_most, write_zeros};
use crate::topic::TopicLog;
use crate::view::Written;

/// Records that are appended together to one partition.
pub(crate) type Batch = (Partition, Vec<NewRecord>);

/// What the next write needs to know. Behind the topic's writer lock.
pub(crate) struct Writer {
    pub(crate) active: Arc<Active>,
    /// Where the next frame goes.
    pub(crate) position: u64,
    /// What is durable of the active segment.
    pub(crate) claim: u64,
    /// Next offset of each partition.
    pub(crate) ends: Vec<u64>,
    /// Sums up what stands in the active segment.
    pub(crate) summing: Summing,
    /// Up to where a checkpoint of the active segment was asked for.
    pub(crate) checkpointed: u64,
    /// Nothing is written any more.
    pub(crate) closed: bool,
}

impl Writer {
    /// Whether anything was written that is not known to be durable.
    pub(crate) fn is_dirty(&self) -> bool {
        self.claim < self.position
    }

    fn end_mut(&mut self, partition: Partition) -> Option<&mut u64> {
        self.ends
            .get_mut(usize::try_from(partition.0).unwrap_or(usize::MAX))
    }

    pub(crate) fn end(&self, partition: Partition) -> u64 {
        let place = usize::try_from(partition.0).unwrap_or(usize::MAX);
        self.ends.get(place).copied().unwrap_or(0)
    }
}

/// Bytes that a batch takes in a segment.
pub(crate) fn framed_bytes(records: &[NewRecord]) -> u64 {
    records
        .iter()
        .map(|r| widen(r.size_bytes() + OVERHEAD_BYTES))
        .sum()
}

/// A frame in the buffer whose record is not cut out of it yet.
struct Framed {
    partition: u32,
    start: usize,
    key_length: usize,
    value_length: usize,
    offset: u64,
    at: schemas::position::Timestamp,
}

/// Frames on their way into the active segment, with one write.
#[derive(Default)]
struct Piece {
    buffer: BytesMut,
    framed: Vec<Framed>,
    /// Ends before the piece, newest last, to go back to.
    undo: Vec<(Partition, u64)>,
    /// First answer that depends on it.
    first_answer: usize,
}

impl Piece {
    fn add(&mut self, writer: &mut Writer, partition: Partition, records: &[NewRecord]) -> Offset {
        let seed = writer.active.segment.seed;
        let claim = u32::try_from(writer.claim).unwrap_or(0);
        let first = writer.end(partition);
        self.undo.push((partition, first));
        let last = records.len().saturating_sub(1);
        for ((place, offset), record) in (0..).zip(first..).zip(records) {
            let NewRecord { key, value, at } = record;
            let stamp = Stamp {
                partition: partition.0,
                claim,
                offset,
                at: at.0,
                more: place < last,
            };
            let start = self.buffer.len();
            frame::encode(&mut self.buffer, seed, stamp, key, value);
            self.framed.push(Framed {
                partition: partition.0,
                start,
                key_length: key.len(),
                value_length: value.len(),
                offset,
                at: *at,
            });
        }
        if let Some(end) = writer.end_mut(partition) {
            *end += widen(records.len());
        }
        Offset(first)
    }

    /// The records, cut out of the buffer that was written at a position.
    fn written(self, position: u64, sums: Vec<u32>) -> Written {
        let bytes: Bytes = self.buffer.freeze();
        let cut = |framed: Framed| {
            let key = framed.start + HEAD_BYTES;
            let value = key + framed.key_length;
            let record = Record {
                offset: Offset(framed.offset),
                key: bytes.slice(key..value),
                value: bytes.slice(value..value + framed.value_length),
                at: framed.at,
            };
            (framed.partition, position + widen(framed.start), record)
        };
        let records = self.framed.into_iter().map(cut).collect();
        Written {
            records,
            sums,
            bytes: widen(bytes.len()),
            end: position + widen(bytes.len()),
        }
    }
}

impl TopicLog {
    /// Writes batches in their order and shows them to readers of what is appended. Each batch is
    /// answered with its first offset, or with why it was not written.
    pub(crate) fn write(
        &self,
        writer: &mut Writer,
        batches: &[Batch],
    ) -> Vec<Result<Offset, LogError>> {
        let total: u64 = batches
            .iter()
            .map(|(_, records)| framed_bytes(records))
            .sum();
        let mut piece = Piece::default();
        piece.buffer.reserve(crate::storage::narrow(total));
        let mut answers = Vec::with_capacity(batches.len());
        for (partition, records) in batches {
            if let Err(error) = self.make_room(writer, &mut piece, &mut answers, records) {
                answers.push(Err(error));
                continue;
            }
            answers.push(Ok(piece.add(writer, *partition, records)));
        }
        // What failed is in the answers.
        let _written = self.flush(writer, piece, &mut answers);
        answers
    }

    /// Goes on to the next segment when a batch would not fit.
    fn make_room(
        &self,
        writer: &mut Writer,
        piece: &mut Piece,
        answers: &mut [Result<Offset, LogError>],
        records: &[NewRecord],
    ) -> Result<(), LogError> {
        self.shared.poison.check()?;
        let end = writer.position + widen(piece.buffer.len()) + framed_bytes(records);
        let is_fresh =
            writer.position == writer.active.segment.header.end() && piece.buffer.is_empty();
        if end <= self.shared.config.segment_bytes || is_fresh || records.is_empty() {
            return Ok(());
        }
        let next = Piece {
            first_answer: answers.len(),
            ..Piece::default()
        };
        // A segment that is left behind ends with what everybody takes for its end.
        self.flush(writer, std::mem::replace(piece, next), answers)?;
        self.roll(writer)
    }

    /// Writes a piece; when that fails, everything is as before and its batches are answered so.
    fn flush(
        &self,
        writer: &mut Writer,
        piece: Piece,
        answers: &mut [Result<Offset, LogError>],
    ) -> Result<(), LogError> {
        if piece.buffer.is_empty() {
            return Ok(());
        }
        let position = writer.position;
        match self.put(&writer.active, &piece.buffer, position) {
            Ok(()) => {
                let sums = writer.summing.add(&piece.buffer);
                let written = piece.written(position, sums);
                writer.position = written.end;
                self.publish(written);
                Ok(())
            }
            Err(error) => {
                for (partition, end) in piece.undo.iter().rev() {
                    if let Some(place) = writer.end_mut(*partition) {
                        *place = *end;
                    }
                }
                for answer in answers.iter_mut().skip(piece.first_answer) {
                    *answer = Err(error.clone());
                }
                Err(error)
            }
        }
    }

    /// Writes bytes to the active segment, whole or not at all.
    fn put(&self, active: &Active, bytes: &[u8], position: u64) -> Result<(), LogError> {
        let end = position + widen(bytes.len());
        let zeroed_until = active.take(end);
        let (done, Err(error)) = write_most(&*active.file, bytes, position) else {
            return Ok(());
        };
        let path = &active.segment.path;
        if !is_full(&error) {
            return Err(self.shared.poison.spread("write", path, &error));
        }
        match wipe(active, position, position + widen(done), zeroed_until) {
            Ok(()) => {
                // What of it the disk has already must not be found after a power cut.
                active.sync(&self.shared.poison)?;
                active.give_back(zeroed_until);
                tracing::warn!(topic = %self.topic, %error, "no room: appends are refused");
                Err(LogError::Full(error.to_string()))
            }
            Err(error) => Err(self.shared.poison.spread("undo a write to", path, &error)),
        }
    }
}

/// Takes the traces of a write that failed at `end` out of a segment. Where nothing was written nothing is:
/// there may be no room for it.
fn wipe(active: &Active, position: u64, end: u64, zeroed_until: u64) -> io::Result<()> {
    if active.file.length()? > zeroed_until {
        active.file.set_length(zeroed_until.max(position))?;
    }
    write_zeros(&*active.file, position, end.min(zeroed_until))
}
