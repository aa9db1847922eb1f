//! Telling the torn end of an interrupted write from damage.
//!
//! The file was zero where a write goes. A write that a crash interrupted leaves some sectors of
//! 512 bytes written and others zero, or (when the process dies in mid write) its first bytes and
//! then zeros. Nothing else. So what is no frame is *torn* when it can be such a rest, and *damage* when
//!
//! - a frame further on claims that this place was durable when it was written, or
//! - every sector of it was written, up to its last byte (which is never zero): then a crash has
//!   nothing to do with it.
//!
//! A damage that looks exactly like a torn write, in the very last write, cannot be told from one.

use std::io;

use crate::format::frame::{FrameHead, HEAD_BYTES};
use crate::storage::{StorageFile, narrow, read_full, widen};

const SECTOR_BYTES: u64 = 512;
const PIECE_BYTES: usize = 256 << 10;
const ZEROS: [u8; 4096] = [0; 4096];

/// A place where no whole frame stands.
pub(crate) struct Broken {
    pub(crate) position: u64,
    /// How long its frame is, when its head is whole.
    pub(crate) frame_length: Option<usize>,
    /// One past the last byte of the file that is not zero.
    pub(crate) end: u64,
}

/// One past the last byte from `from` on that is not zero, if there is one.
pub(crate) fn last_nonzero(file: &dyn StorageFile, from: u64) -> io::Result<Option<u64>> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut position = from;
    let mut last = None;
    loop {
        let count = read_full(file, &mut piece, position)?;
        let (bytes, _) = piece.split_at(count);
        if let Some(place) = last_nonzero_of(bytes) {
            last = Some(position + widen(place) + 1);
        }
        position += widen(count);
        if count < PIECE_BYTES {
            return Ok(last);
        }
    }
}

/// Where the last byte stands that is not zero. Nearly all are: whole pages of them are compared at
/// once.
fn last_nonzero_of(bytes: &[u8]) -> Option<usize> {
    let mut begin = bytes.len();
    bytes.rchunks(ZEROS.len()).find_map(|page| {
        begin -= page.len();
        let is_zero = ZEROS.get(..page.len()) == Some(page);
        let place = (!is_zero).then(|| page.iter().rposition(|byte| *byte != 0))?;
        Some(begin + place?)
    })
}

/// Says why a broken place is damage; none when it is the torn end of a write.
pub(crate) fn judge(
    file: &dyn StorageFile,
    seed: u32,
    broken: &Broken,
) -> io::Result<Option<String>> {
    let mut bytes = vec![0; narrow(broken.end - broken.position)];
    let count = read_full(file, &mut bytes, broken.position)?;
    bytes.truncate(count);
    if let Some(place) = claimed_durable(&bytes, seed, broken.position) {
        let reason =
            format!("no record, though one at byte {place} was written after it was durable");
        return Ok(Some(reason));
    }
    let length = broken.frame_length.unwrap_or(HEAD_BYTES);
    let is_written = bytes.get(..length).is_some_and(|frame| {
        (broken.frame_length.is_some() || bytes.len() > length)
            && every_sector_is_written(frame, broken.position)
    });
    Ok(is_written.then(|| "no record, though all its sectors were written".to_owned()))
}

/// Position of a frame behind the first byte that claims it was durable.
fn claimed_durable(bytes: &[u8], seed: u32, position: u64) -> Option<u64> {
    let claims = |place: usize| {
        let (_, rest) = bytes.split_at_checked(place)?;
        let head = FrameHead::decode(rest, seed)?;
        (u64::from(head.claim) > position).then_some(position + widen(place))
    };
    (1..bytes.len()).find_map(claims)
}

/// Whether no sector that the bytes reach into is zero as far as they reach.
fn every_sector_is_written(bytes: &[u8], position: u64) -> bool {
    let to_boundary = narrow(SECTOR_BYTES - position % SECTOR_BYTES).min(bytes.len());
    let (first, rest) = bytes.split_at(to_boundary);
    std::iter::once(first)
        .chain(rest.chunks(narrow(SECTOR_BYTES)))
        .filter(|sector| !sector.is_empty())
        .all(|sector| sector.iter().any(|byte| *byte != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_that_is_not_zero_is_found_wherever_it_stands() {
        for length in [0, 1, 4095, 4096, 4097, 10_000] {
            let mut bytes = vec![0; length];
            assert_eq!(last_nonzero_of(&bytes), None);
            for place in (0..length).step_by(613).chain(length.checked_sub(1)) {
                bytes[place] = 1;
                assert_eq!(last_nonzero_of(&bytes), Some(place), "of {length}");
            }
        }
    }
}
