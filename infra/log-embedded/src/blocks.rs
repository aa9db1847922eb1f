//! Blocks of memory that files are read into, used again and again.
//!
//! Records are slices of the block that they were read into, so a block may be used again only when
//! the last of them is gone. New memory would have to be zeroed, and faulted in, for every block:
//! that costs more than the read itself.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::storage::{narrow, widen};

/// Blocks that are remembered, enough for two walks of a tail that is behind; what is still in use
/// beyond that is freed when its last record goes.
const KEPT: usize = 40;
/// Bytes of a file stand in a block at an address that is their position in the file, modulo this. A
/// copy to an address that is, so seen, a few bytes behind its source takes half as long again.
const PAGE: usize = 4096;

/// Blocks of one size.
pub(crate) struct Blocks {
    length: usize,
    /// The one used longest ago first.
    used: VecDeque<Bytes>,
}

/// A block that nobody else has.
pub(crate) struct Block {
    pub(crate) bytes: BytesMut,
    /// Where the bytes of the file go.
    pub(crate) place: usize,
}

impl Blocks {
    /// Blocks for so many bytes of a file, and so many before them.
    pub(crate) fn new(before: usize, length: usize) -> Self {
        Self {
            length: before + 2 * PAGE + length,
            used: VecDeque::new(),
        }
    }

    /// A block for `before` bytes and then `length` bytes that stand in a file at a position.
    pub(crate) fn take(&mut self, before: usize, length: usize, position: u64) -> Block {
        let length = before + 2 * PAGE + length;
        let bytes = if length > self.length {
            BytesMut::zeroed(length)
        } else {
            self.reuse()
                .unwrap_or_else(|| BytesMut::zeroed(self.length))
        };
        let to_page = |from: &[u8]| from.as_ptr().align_offset(PAGE).min(PAGE);
        let page = before + bytes.get(before..).map_or(0, to_page);
        let place = page + narrow(position % widen(PAGE));
        Block { bytes, place }
    }

    fn reuse(&mut self) -> Option<BytesMut> {
        match self.used.pop_front()?.try_into_mut() {
            Ok(bytes) => Some(bytes),
            // Its reader is slower than the file.
            Err(bytes) if self.used.len() + 1 < KEPT => {
                self.used.push_front(bytes);
                None
            }
            Err(_) => None,
        }
    }

    /// Remembers a block, to be used again when nobody has a slice of it any more.
    pub(crate) fn remember(&mut self, block: Bytes) {
        if block.len() == self.length {
            self.used.push_back(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_only_when_its_last_slice_is_gone() {
        let mut blocks = Blocks::new(100, 5000);
        let first = blocks.take(10, 5000, 0).bytes.freeze();
        let record = first.slice(20..30);
        let address = first.as_ptr();
        blocks.remember(first);
        let second = blocks.take(0, 1, 0).bytes.freeze();
        assert_ne!(second.as_ptr(), address, "a record is still in it");
        drop((record, second));
        assert_eq!(blocks.take(0, 1, 0).bytes.as_ptr(), address);
    }

    #[test]
    fn what_is_kept_by_its_reader_is_given_up_in_the_end() {
        let mut blocks = Blocks::new(0, 10);
        let held: Vec<Bytes> = (0..3 * KEPT)
            .map(|_| {
                let block = blocks.take(0, 10, 0).bytes.freeze();
                blocks.remember(block.clone());
                block
            })
            .collect();
        assert!(blocks.used.len() <= KEPT);
        drop(held);
    }

    #[test]
    fn bytes_of_a_file_stand_as_they_do_in_its_pages_with_room_before_and_behind() {
        let mut blocks = Blocks::new(300, 5000);
        for (before, length, position) in [(0, 5000, 0), (300, 5000, 4095), (9000, 100_000, 70_001)]
        {
            let block = blocks.take(before, length, position);
            assert!(block.place >= before && block.bytes.len() - block.place >= length);
            let address = block.bytes.as_ptr().addr() + block.place;
            assert_eq!(address % PAGE, position as usize % PAGE);
        }
    }
}
