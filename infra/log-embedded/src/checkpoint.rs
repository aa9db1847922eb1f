//! Checkpoints: what is known of the active segment up to a place that is durable, written down now
//! and then, so that an opening reads only what came after.
//!
//! A topic has one file of it, `active.checkpoint`, which is replaced whole:
//!
//! ```text
//! "CURSUSCP" u32 format, u64 position, u32 sum of the piece that is not full, u32 partitions,
//! partitions × u64 next offset, the index as in its file (see [`crate::index`]); u32 CRC32C of all
//! ```
//!
//! It is never needed: one that is missing, damaged, another segment's, or that does not fit what
//! stands before its place (an older copy of the segment was put back) is as if it were not there,
//! and the segment is read whole.

use std::path::Path;
use std::sync::Arc;

use crate::active::Active;
use crate::format::header::Header;
use crate::format::sums::Summing;
use crate::format::take;
use crate::index::SparseIndex;
use crate::storage::{Storage, StorageFile, narrow, read_full, write_whole_file};
use crate::topic::TopicLog;

const MAGIC: [u8; 8] = *b"CURSUSCP";
const FORMAT: u32 = 1;
const NAME: &str = "active.checkpoint";

/// A place in the active segment up to which everything is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) position: u64,
    /// Next offset of each partition.
    pub(crate) ends: Vec<u64>,
    /// The sums of what stands before it.
    pub(crate) summing: Summing,
}

/// What is known of a segment up to a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) place: Place,
    pub(crate) index: SparseIndex,
}

impl Checkpoint {
    /// Of the beginning of a segment.
    pub(crate) fn start(header: &Header, index_every: u64) -> Self {
        let place = Place {
            position: header.end(),
            ends: header.base.clone(),
            summing: Summing::new(header.end()),
        };
        Self {
            place,
            index: SparseIndex::new(header, index_every),
        }
    }

    /// The one that was written down of a segment, if it still holds.
    pub(crate) fn load(
        storage: &dyn Storage,
        directory: &Path,
        header: &Header,
        segment: &dyn StorageFile,
        index_every: u64,
    ) -> Option<Self> {
        let file = storage.open(&directory.join(NAME), false).ok()?;
        let mut bytes = vec![0; narrow(file.length().ok()?)];
        let count = read_full(&*file, &mut bytes, 0).ok()?;
        bytes.truncate(count);
        let found = Self::decode(&bytes, header)?;
        (found.index.every() == index_every && found.fits(segment)).then_some(found)
    }

    /// Whether what stands before the place is what was written there, as far as that shows whether
    /// the segment was ever written up to it: its last full piece, and the one that is not full.
    fn fits(&self, segment: &dyn StorageFile) -> bool {
        let Self { place, index } = self;
        let sums = &index.sums;
        let before = sums.last_full().unwrap_or(sums.end);
        let mut bytes = vec![0; narrow(place.position - before)];
        if read_full(segment, &mut bytes, before).ok() != Some(bytes.len()) {
            return false;
        }
        let (full, rest) = bytes.split_at(narrow(sums.end - before));
        let mut summing = Summing::new(sums.end);
        summing.add(rest);
        sums.vouch(full, before).end == sums.end && summing == place.summing
    }

    fn encode(&self, header: &Header) -> Vec<u8> {
        let Place {
            position,
            ends,
            summing,
        } = &self.place;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(position.to_le_bytes());
        bytes.extend(summing.crc().to_le_bytes());
        let count = u32::try_from(ends.len()).unwrap_or(u32::MAX);
        bytes.extend(count.to_le_bytes());
        for end in ends {
            bytes.extend(end.to_le_bytes());
        }
        bytes.extend(self.index.encode(header));
        let crc = crc32c::crc32c(&bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8], header: &Header) -> Option<Self> {
        let (mut rest, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(rest) != u32::from_le_bytes(*crc) {
            return None;
        }
        let rest = &mut rest;
        let ours = take(rest)? == MAGIC && u32::from_le_bytes(take(rest)?) == FORMAT;
        let position = u64::from_le_bytes(take(rest)?);
        let crc = u32::from_le_bytes(take(rest)?);
        let partitions = narrow(u64::from(u32::from_le_bytes(take(rest)?)));
        if !ours || partitions != header.base.len() {
            return None;
        }
        let mut ends = Vec::with_capacity(partitions);
        for base in &header.base {
            let end = u64::from_le_bytes(take(rest)?);
            ends.push(end);
            if end < *base {
                return None;
            }
        }
        let index = SparseIndex::decode(rest, header)?;
        let sums_end = index.sums.end;
        let place = Place {
            position,
            ends,
            summing: Summing::resumed(position, crc),
        };
        (sums_end <= position && header.end() <= position).then_some(Self { place, index })
    }
}

impl TopicLog {
    /// Writes down what is known of the active segment up to a place; not of one that is sealed, which
    /// has an index.
    pub(crate) fn write_checkpoint(
        &self,
        active: &Arc<Active>,
        place: Place,
    ) -> std::io::Result<()> {
        let view = self.view.lock();
        if !Arc::ptr_eq(&view.active, active) {
            return Ok(());
        }
        let mut index = view.active_index.clone();
        drop(view);
        index.cut(place.position);
        let checkpoint = Checkpoint { place, index };
        let bytes = checkpoint.encode(&active.segment.header);
        write_whole_file(&*self.shared.storage, &self.directory, NAME, &bytes)
    }
}
