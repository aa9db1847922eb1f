//! Reading frames one after the other, a larger piece of the file at a time, without copying them.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use infra_ports::log::MAX_RECORD_BYTES;

use crate::blocks::Blocks;
use crate::format::frame::{FrameHead, HEAD_BYTES};
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
        }
    }

    /// Goes on to another segment.
    pub(crate) fn turn_to(&mut self, file: Arc<dyn StorageFile>, segment: &Segment) {
        self.file = file;
        self.seed = segment.seed;
        self.partitions = partitions(segment);
        self.piece = Bytes::new();
        self.start = 0;
    }

    /// What stands at a position, as far as the file goes but not beyond `limit`.
    pub(crate) fn at(&mut self, position: u64, limit: u64) -> io::Result<Found> {
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
        Ok(0..length.min(self.piece.len()))
    }

    /// Reads a piece that begins at a position and has `needed` bytes, if the file has.
    fn read(&mut self, position: u64, needed: usize, limit: u64) -> io::Result<()> {
        let inside = position.checked_sub(self.start).map(narrow);
        let carried = inside
            .and_then(|from| self.piece.get(from..))
            .unwrap_or_default();
        let from = position + widen(carried.len());
        let length = self.piece_bytes.max(needed - carried.len().min(needed));
        let length = length.min(narrow(limit.saturating_sub(from)));
        let mut block = self.blocks.take(carried.len(), length, from);
        let start = block.place - carried.len();
        if let Some(place) = block.bytes.get_mut(start..block.place) {
            place.copy_from_slice(carried);
        }
        let count = match block.bytes.get_mut(block.place..block.place + length) {
            Some(place) => read_full(&*self.file, place, from)?,
            None => 0,
        };
        let bytes = block.bytes.freeze();
        self.piece = bytes.slice(start..block.place + count);
        self.start = position;
        self.pieces += 1;
        self.blocks.remember(bytes);
        Ok(())
    }
}

fn partitions(segment: &Segment) -> u32 {
    u32::try_from(segment.header.base.len()).unwrap_or(u32::MAX)
}
