//! A segment file: its head in memory, its name, and reading frames from it in larger pieces.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use infra_ports::log::MAX_RECORD_BYTES;

use crate::format::frame::{FrameHead, HEAD_BYTES};
use crate::format::header::Header;
use crate::storage::{StorageFile, narrow, read_full, widen};

/// A segment: what is known of it without opening its file.
pub(crate) struct Segment {
    pub(crate) header: Header,
    pub(crate) path: PathBuf,
    pub(crate) seed: u32,
}

impl Segment {
    pub(crate) fn new(header: Header, directory: &Path) -> Self {
        let path = directory.join(segment_name(header.number));
        let seed = header.seed();
        Self { header, path, seed }
    }

    /// First offset of a partition that may stand here.
    pub(crate) fn base(&self, partition: u32) -> u64 {
        let place = usize::try_from(partition).unwrap_or(usize::MAX);
        self.header.base.get(place).copied().unwrap_or(u64::MAX)
    }

    /// Where its index is written once it is sealed.
    pub(crate) fn index_name(&self) -> String {
        format!("{:020}.index", self.header.number)
    }
}

/// The name of a segment's file.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:020}.segment")
}

/// The number in the name of a segment's file.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".segment")?.parse().ok()
}

/// What stands at a position.
pub(crate) enum Found {
    /// A whole frame: its head and all its bytes.
    Frame(FrameHead, Bytes),
    /// Nothing was ever written here.
    Nothing,
    /// A head that is none.
    BadHead,
    /// A head whose body is not what it says.
    BadBody(FrameHead),
}

/// Reads frames one after the other, a piece of the file at a time.
pub(crate) struct FrameReader {
    file: Arc<dyn StorageFile>,
    seed: u32,
    partitions: u32,
    piece: Bytes,
    start: u64,
    piece_bytes: usize,
    /// Bytes asked of the file so far.
    pub(crate) bytes_read: u64,
}

impl FrameReader {
    pub(crate) fn new(file: Arc<dyn StorageFile>, segment: &Segment, piece_bytes: usize) -> Self {
        Self {
            file,
            seed: segment.seed,
            partitions: u32::try_from(segment.header.base.len()).unwrap_or(u32::MAX),
            piece: Bytes::new(),
            start: 0,
            piece_bytes,
            bytes_read: 0,
        }
    }

    /// What stands at a position, as far as the file goes but not beyond `limit`. With `body`, the
    /// body is checked too.
    pub(crate) fn at(&mut self, position: u64, limit: u64, body: bool) -> io::Result<Found> {
        let bytes = self.bytes(position, HEAD_BYTES, limit)?;
        let Some(head) = FrameHead::decode(&bytes, self.seed).filter(|head| self.is_sane(head))
        else {
            let empty = bytes.iter().all(|byte| *byte == 0);
            return Ok(if empty {
                Found::Nothing
            } else {
                Found::BadHead
            });
        };
        let bytes = self.bytes(position, head.frame_length(), limit)?;
        if bytes.len() < head.frame_length() || (body && !head.body_is_whole(&bytes, self.seed)) {
            return Ok(Found::BadBody(head));
        }
        Ok(Found::Frame(head, bytes))
    }

    fn is_sane(&self, head: &FrameHead) -> bool {
        head.body_length() <= MAX_RECORD_BYTES && head.partition < self.partitions
    }

    /// So many bytes from a position on, or as many as there are.
    fn bytes(&mut self, position: u64, length: usize, limit: u64) -> io::Result<Bytes> {
        let length = length.min(narrow(limit.saturating_sub(position)));
        let inside = position.checked_sub(self.start).map(narrow);
        if let Some(from) = inside
            && from.saturating_add(length) <= self.piece.len()
        {
            return Ok(self.piece.slice(from..from + length));
        }
        let most = narrow(limit.saturating_sub(position));
        let mut piece = BytesMut::zeroed(self.piece_bytes.max(length).min(most));
        let count = read_full(&*self.file, &mut piece, position)?;
        self.bytes_read += widen(count);
        piece.truncate(count);
        self.piece = piece.freeze();
        self.start = position;
        Ok(self.piece.slice(..length.min(count)))
    }
}
