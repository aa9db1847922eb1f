//! Reading frames one after the other, a larger piece of the file at a time, without copying them.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use infra_ports::log::MAX_RECORD_BYTES;

use crate::blocks::Blocks;
use crate::format::frame::{FrameHead, HEAD_BYTES};
use crate::format::sums::{SUM_BYTES, Summing, Sums};
use crate::segment::Segment;
use crate::storage::{StorageFile, narrow, read_full, widen};

/// The beginning of a frame whose rest is in the next piece is copied before that piece: room for so
/// many bytes of it. A longer one takes a larger block.
const CARRIED_BYTES: usize = 16 << 10;

/// What stands at a position.
pub(crate) enum Found {
    /// A whole frame; its bytes are at hand until the next one is looked at.
    Frame(FrameHead),
    /// Nothing was ever written here.
    Nothing,
    /// A head that is none.
    BadHead,
    /// A head whose body is not what it says.
    BadBody(FrameHead),
}

/// Reads the frames of a segment.
pub(crate) struct FrameReader {
    file: Arc<dyn StorageFile>,
    seed: u32,
    partitions: u32,
    piece_bytes: usize,
    blocks: Blocks,
    /// Bytes of the file at hand.
    piece: Bytes,
    /// Where they stand in the file.
    start: u64,
    /// How many pieces were read.
    pieces: u64,
    /// What is known of the file's larger pieces.
    sums: Arc<Sums>,
    /// What is at hand and was checked by a sum: its frames need not be.
    vouched: Range<u64>,
    /// Makes sums of all that is read.
    summing: Option<(Summing, Vec<u32>)>,
}

impl FrameReader {
    pub(crate) fn new(file: Arc<dyn StorageFile>, segment: &Segment, piece_bytes: usize) -> Self {
        Self {
            file,
            seed: segment.seed,
            partitions: partitions(segment),
            piece_bytes,
            blocks: Blocks::new(CARRIED_BYTES, piece_bytes),
            piece: Bytes::new(),
            start: 0,
            pieces: 0,
            sums: Arc::default(),
            vouched: 0..0,
            summing: None,
        }
    }

    /// Also makes sums, of a segment that is read from there on without leaving anything out.
    pub(crate) fn summing(mut self, from: Summing) -> Self {
        self.summing = Some((from, Vec::new()));
        self
    }

    /// The sums that were made so far.
    pub(crate) fn summed(&self) -> &[u32] {
        self.summing.as_ref().map_or(&[], |(_, sums)| sums)
    }

    /// Goes on to another segment.
    pub(crate) fn turn_to(&mut self, file: Arc<dyn StorageFile>, segment: &Segment) {
        self.file = file;
        self.seed = segment.seed;
        self.partitions = partitions(segment);
        self.piece = Bytes::new();
        self.start = 0;
        self.vouched = 0..0;
    }

    /// From now on checks larger pieces by these sums, and frames only where they do not help.
    pub(crate) fn trust(&mut self, sums: &Arc<Sums>) {
        self.sums = Arc::clone(sums);
    }

    /// What stands at a position, as far as the file goes but not beyond `limit`.
    pub(crate) fn at(&mut self, position: u64, limit: u64) -> io::Result<Found> {
        if let Some(head) = self.vouched(position) {
            return Ok(Found::Frame(head));
        }
        let bytes = self.bytes(position, HEAD_BYTES, limit)?;
        let head = FrameHead::decode(self.slice(&bytes), self.seed);
        let Some(head) = head.filter(|head| self.is_sane(head)) else {
            let empty = self.slice(&bytes).iter().all(|byte| *byte == 0);
            return Ok(if empty {
                Found::Nothing
            } else {
                Found::BadHead
            });
        };
        let bytes = self.bytes(position, head.frame_length(), limit)?;
        Ok(if head.body_is_whole(self.slice(&bytes), self.seed) {
            Found::Frame(head)
        } else {
            Found::BadBody(head)
        })
    }

    /// The bytes at hand, their number (which changes with every piece that is read), and where in
    /// them a position stands.
    pub(crate) fn piece(&self, position: u64) -> (&Bytes, u64, usize) {
        let place = narrow(position.saturating_sub(self.start));
        (&self.piece, self.pieces, place)
    }

    /// The frame at a position, if it is at hand and a sum says that it is whole.
    #[inline]
    pub(crate) fn vouched(&self, position: u64) -> Option<FrameHead> {
        let is_vouched = |end: usize| {
            position >= self.vouched.start && position + widen(end) <= self.vouched.end
        };
        if !is_vouched(HEAD_BYTES) {
            return None;
        }
        let place = narrow(position.checked_sub(self.start)?);
        let head = FrameHead::decode_unchecked(self.piece.get(place..)?)?;
        (self.is_sane(&head) && is_vouched(head.frame_length())).then_some(head)
    }

    fn is_sane(&self, head: &FrameHead) -> bool {
        head.body_length() <= MAX_RECORD_BYTES && head.partition < self.partitions
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.piece.get(range.clone()).unwrap_or_default()
    }

    /// Where in the piece so many bytes from a position on stand, or as many as there are.
    fn bytes(&mut self, position: u64, length: usize, limit: u64) -> io::Result<Range<usize>> {
        let length = length.min(narrow(limit.saturating_sub(position)));
        let inside = position.checked_sub(self.start).map(narrow);
        if let Some(from) = inside
            && from.saturating_add(length) <= self.piece.len()
        {
            return Ok(from..from + length);
        }
        self.read(position, length, limit)?;
        let from = narrow(position - self.start).min(self.piece.len());
        Ok(from..self.piece.len().min(from + length))
    }

    /// Reads a piece that holds a position and `needed` bytes from there on, if the file has them.
    fn read(&mut self, position: u64, needed: usize, limit: u64) -> io::Result<()> {
        let (carried, from) = self.carry(position);
        let start = from - widen(carried.len());
        let needed = narrow(position - start) + needed;
        let length = self.whole_pieces(needed.saturating_sub(carried.len()));
        let length = length.min(narrow(limit.saturating_sub(from)));
        let mut block = self.blocks.take(carried.len(), length, from);
        let begin = block.place - carried.len();
        if let Some(place) = block.bytes.get_mut(begin..block.place) {
            place.copy_from_slice(&carried);
        }
        let count = match block.bytes.get_mut(block.place..block.place + length) {
            Some(place) => read_full(&*self.file, place, from)?,
            None => 0,
        };
        let bytes = block.bytes.freeze();
        let fresh = bytes.get(block.place..block.place + count);
        self.check(fresh.unwrap_or_default(), start, from);
        self.piece = bytes.slice(begin..block.place + count);
        self.start = start;
        self.pieces += 1;
        self.blocks.remember(bytes);
        Ok(())
    }

    /// What is at hand already of a piece that holds a position, and from where on to read. Sums need
    /// whole pieces.
    fn carry(&self, position: u64) -> (Bytes, u64) {
        let end = self.start + widen(self.piece.len());
        let is_inside = (self.start..end).contains(&position);
        if self.sums.sums.is_empty() {
            if is_inside {
                return (self.piece.slice(narrow(position - self.start)..), end);
            }
            return (Bytes::new(), position);
        }
        if is_inside && end.is_multiple_of(SUM_BYTES) {
            return (self.piece.slice(narrow(position - self.start)..), end);
        }
        (Bytes::new(), position - position % SUM_BYTES)
    }

    fn whole_pieces(&self, needed: usize) -> usize {
        let length = self.piece_bytes.max(needed);
        if self.sums.sums.is_empty() {
            length
        } else {
            length.next_multiple_of(narrow(SUM_BYTES))
        }
    }

    /// Checks what was read from `from` on by its sums; what is carried begins at `start`.
    fn check(&mut self, fresh: &[u8], start: u64, from: u64) {
        if let Some((summing, sums)) = &mut self.summing {
            sums.extend(summing.add(fresh));
        }
        let good = self.sums.vouch(fresh, from);
        let carried_is_good =
            start < from && self.vouched.start <= start && from <= self.vouched.end;
        self.vouched = if carried_is_good {
            start..good.end
        } else {
            good
        };
    }
}

fn partitions(segment: &Segment) -> u32 {
    u32::try_from(segment.header.base.len()).unwrap_or(u32::MAX)
}
