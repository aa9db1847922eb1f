//! Sums of a segment: a CRC32C for each 64 KiB of its file, beside the CRCs of its frames.
//!
//! A frame is small, so checking a segment frame by frame is several times dearer than checking it
//! in larger pieces. A piece whose sum is right needs no look at its frames' CRCs; where one is wrong
//! the frames say which of them is damaged.
//!
//! Sums are of what was written, not of what was read back. They are kept in memory for the active
//! segment and stand in the index of a sealed one.

use std::ops::Range;

use crate::storage::widen;

/// Bytes of the file with a sum. The first piece begins behind the head, the last one ends with the
/// last frame.
pub(crate) const SUM_BYTES: u64 = 64 << 10;

/// The sums of the pieces that are full, and of the last one once the segment is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    /// Where frames begin.
    pub(crate) from: u64,
    /// Where what has a sum ends.
    pub(crate) end: u64,
    pub(crate) sums: Vec<u32>,
}

impl Sums {
    /// Of a segment whose head ends here.
    pub(crate) fn new(head_end: u64) -> Self {
        Self {
            from: head_end,
            end: head_end,
            sums: Vec::new(),
        }
    }

    /// Takes sums of the next pieces.
    pub(crate) fn extend(&mut self, sums: &[u32]) {
        self.sums.extend_from_slice(sums);
        if !sums.is_empty() {
            self.end = widen(self.sums.len()) * SUM_BYTES;
        }
    }

    /// Takes the sum of the last piece, which ends where the segment does.
    pub(crate) fn close(&mut self, summing: &Summing) {
        self.sums.extend(summing.rest(self.from));
        self.end = summing.position;
    }

    /// Keeps the pieces that are full before an end.
    pub(crate) fn truncate(&mut self, end: u64) {
        let full = end / SUM_BYTES;
        self.sums
            .truncate(usize::try_from(full).unwrap_or(usize::MAX));
        self.end = (widen(self.sums.len()) * SUM_BYTES).max(self.from);
    }

    /// Where the last piece that is full begins, if there is one that begins behind the head.
    pub(crate) fn last_full(&self) -> Option<u64> {
        let last = self.end.checked_sub(SUM_BYTES)?;
        (last >= self.from).then_some(last)
    }

    /// How far bytes that stand in the file at a position, which is the beginning of a piece, are
    /// what was written: up to the end of the last piece without a wrong sum.
    pub(crate) fn vouch(&self, bytes: &[u8], position: u64) -> Range<u64> {
        let first = position.max(self.from);
        let mut good = first;
        while let Some((piece, sum)) = self.piece(good / SUM_BYTES) {
            let place = |at: u64| usize::try_from(at.checked_sub(position)?).ok();
            let (Some(start), Some(end)) = (place(piece.start), place(piece.end)) else {
                break;
            };
            match bytes.get(start..end) {
                Some(bytes) if good == piece.start && crc_fast::crc32_iscsi(bytes) == sum => {
                    good = piece.end;
                }
                Some(_) | None => break,
            }
        }
        first..good
    }

    fn piece(&self, number: u64) -> Option<(Range<u64>, u32)> {
        let sum = *self.sums.get(usize::try_from(number).ok()?)?;
        let from = (number * SUM_BYTES).max(self.from);
        let to = ((number + 1) * SUM_BYTES).min(self.end);
        (from < to).then_some((from..to, sum))
    }
}

/// Makes the sums of a segment while it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summing {
    position: u64,
    /// Of the piece that is not full.
    crc: u32,
}

impl Summing {
    /// From the end of the head on, or from the beginning of another piece.
    pub(crate) fn new(position: u64) -> Self {
        Self { position, crc: 0 }
    }

    /// From where another one was, whose sum of the piece that is not full was this.
    pub(crate) fn resumed(position: u64, crc: u32) -> Self {
        Self { position, crc }
    }

    /// The sum of the piece that is not full; 0 of nothing.
    pub(crate) fn crc(&self) -> u32 {
        self.crc
    }

    /// Takes the bytes that come next; returns the sums of the pieces that they fill.
    pub(crate) fn add(&mut self, mut bytes: &[u8]) -> Vec<u32> {
        let mut full = Vec::new();
        loop {
            let left = SUM_BYTES - self.position % SUM_BYTES;
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            let Some((piece, rest)) = bytes.split_at_checked(left) else {
                break;
            };
            full.push(if widen(left) == SUM_BYTES {
                crc_fast::crc32_iscsi(piece)
            } else {
                crc32c::crc32c_append(self.crc, piece)
            });
            self.position += widen(piece.len());
            self.crc = 0;
            bytes = rest;
        }
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.position += widen(bytes.len());
        full
    }

    /// The sum of the piece that is not full, if anything stands in it.
    fn rest(&self, head_end: u64) -> Option<u32> {
        let is_begun = self.position > head_end && !self.position.is_multiple_of(SUM_BYTES);
        is_begun.then_some(self.crc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: u64 = 100;

    /// A file with a head and its sums, made in writes of these lengths.
    fn file(length: usize, writes: &[usize]) -> (Vec<u8>, Sums) {
        let bytes: Vec<u8> = (0..length).map(|n| (n * 7 / 3) as u8).collect();
        let mut sums = Sums::new(HEAD);
        let mut summing = Summing::new(HEAD);
        let mut rest = &bytes[HEAD as usize..];
        for write in writes.iter().cycle() {
            let (piece, after) = rest.split_at((*write).min(rest.len()));
            sums.extend(&summing.add(piece));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        sums.close(&summing);
        (bytes, sums)
    }

    #[test]
    fn what_was_written_is_vouched_for_whatever_the_writes() {
        for length in [100, 101, 5000, 65_536, 65_537, 131_072, 300_000] {
            let (bytes, sums) = file(length, &[350]);
            for writes in [
                &[1_usize, 70_000][..],
                &[65_536],
                &[1_000_000],
                &[65_436, 3],
            ] {
                assert_eq!(file(length, writes).1, sums, "{length}");
            }
            assert_eq!(sums.vouch(&bytes, 0), HEAD..length as u64);
            let mut longer = bytes.clone();
            longer.extend([0; 100_000]);
            assert_eq!(sums.vouch(&longer, 0), HEAD..length as u64);
        }
    }

    #[test]
    fn pieces_before_a_flipped_bit_are_vouched_for_and_it_is_not() {
        let (bytes, sums) = file(300_000, &[350]);
        for place in [100, 65_535, 65_536, 200_000, 299_999] {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1;
            let good = (place as u64 / SUM_BYTES * SUM_BYTES).max(HEAD);
            assert_eq!(sums.vouch(&bytes, 0), HEAD..good);
            let next = (place as u64 / SUM_BYTES + 1) * SUM_BYTES;
            if next < 300_000 {
                assert_eq!(sums.vouch(&bytes[next as usize..], next), next..300_000);
            }
        }
    }

    #[test]
    fn half_a_piece_is_not_vouched_for() {
        let (bytes, sums) = file(300_000, &[350]);
        assert_eq!(sums.vouch(&bytes[..100_000], 0), HEAD..SUM_BYTES);
        assert_eq!(Sums::default().vouch(&bytes, 0), 0..0);
    }
}
