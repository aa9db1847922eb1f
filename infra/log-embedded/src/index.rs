//! The sparse index of a segment: where in the file some records of each partition stand.
//!
//! A record gets an entry when its partition's last one is `every` bytes or more before it. So a
//! record without an entry stands less than `every` bytes after the entry before it. The index of
//! the active segment is in memory only; that of a sealed one is written beside it, and made again
//! from the segment when it is missing or damaged.
//!
//! ```text
//! "CURSUSIX" u32 format, u64 segment number, u64 salt, u64 every, i64 newest record's time,
//! u32 partitions, then for each: u32 count, count × (u64 offset, u32 position); u64 end of the frames,
//! u32 count, count × u32 sum (see [`crate::format::sums`]); u32 CRC32C of all
//! ```

use std::sync::Arc;

use crate::format::header::Header;
use crate::format::sums::Sums;
use crate::format::take;

const MAGIC: [u8; 8] = *b"CURSUSIX";
/// The format of the index file. One of another format is made again.
const FORMAT: u32 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    offset: u64,
    position: u32,
}

/// Where records stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SparseIndex {
    every: u64,
    newest: i64,
    partitions: Vec<Vec<Entry>>,
    /// Shared with who reads the segment.
    pub(crate) sums: Arc<Sums>,
}

impl SparseIndex {
    /// Of a segment in which nothing stands yet.
    pub(crate) fn new(header: &Header, every: u64) -> Self {
        Self {
            every,
            newest: i64::MIN,
            partitions: vec![Vec::new(); header.base.len()],
            sums: Arc::new(Sums::new(header.end())),
        }
    }

    pub(crate) fn sums_mut(&mut self) -> &mut Sums {
        Arc::make_mut(&mut self.sums)
    }

    /// Bytes after an entry in which the records without one stand.
    pub(crate) fn every(&self) -> u64 {
        self.every
    }

    /// Time of the newest record, by its stamp; the least when there is none.
    pub(crate) fn newest(&self) -> i64 {
        self.newest
    }

    /// Takes note of a record. Positions rise.
    pub(crate) fn note(&mut self, partition: u32, offset: u64, position: u64, at: i64) {
        self.newest = self.newest.max(at);
        let place = usize::try_from(partition).unwrap_or(usize::MAX);
        let (Some(entries), Ok(position)) =
            (self.partitions.get_mut(place), u32::try_from(position))
        else {
            return;
        };
        let last = entries.last().map(|entry| u64::from(entry.position));
        if last.is_none_or(|last| u64::from(position) - last >= self.every) {
            entries.push(Entry { offset, position });
        }
    }

    /// Forgets what stands at a position and behind it.
    pub(crate) fn cut(&mut self, position: u64) {
        for entries in &mut self.partitions {
            let kept = entries.partition_point(|entry| u64::from(entry.position) < position);
            entries.truncate(kept);
        }
        self.sums_mut().truncate(position);
    }

    /// Positions of the entry at or before an offset and of those that follow it.
    pub(crate) fn entries_from(&self, partition: u32, offset: u64, most: usize) -> Vec<u64> {
        let place = usize::try_from(partition).unwrap_or(usize::MAX);
        let Some(entries) = self.partitions.get(place) else {
            return Vec::new();
        };
        let after = entries.partition_point(|entry| entry.offset <= offset);
        let Some(first) = after.checked_sub(1) else {
            return Vec::new();
        };
        entries
            .iter()
            .skip(first)
            .take(most)
            .map(|entry| u64::from(entry.position))
            .collect()
    }

    /// The bytes of the index file of a segment.
    pub(crate) fn encode(&self, header: &Header) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(header.number.to_le_bytes());
        bytes.extend(header.salt.to_le_bytes());
        bytes.extend(self.every.to_le_bytes());
        bytes.extend(self.newest.to_le_bytes());
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        bytes.extend(count(self.partitions.len()));
        for entries in &self.partitions {
            bytes.extend(count(entries.len()));
            for entry in entries {
                bytes.extend(entry.offset.to_le_bytes());
                bytes.extend(entry.position.to_le_bytes());
            }
        }
        bytes.extend(self.sums.end.to_le_bytes());
        bytes.extend(count(self.sums.sums.len()));
        for sum in &self.sums.sums {
            bytes.extend(sum.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    }

    /// Reads the index file of a segment; none when it is damaged or another segment's.
    pub(crate) fn decode(bytes: &[u8], header: &Header) -> Option<Self> {
        let (mut rest, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(rest) != u32::from_le_bytes(*crc) {
            return None;
        }
        let rest = &mut rest;
        let ours = take(rest)? == MAGIC
            && u32::from_le_bytes(take(rest)?) == FORMAT
            && u64::from_le_bytes(take(rest)?) == header.number
            && u64::from_le_bytes(take(rest)?) == header.salt;
        let every = u64::from_le_bytes(take(rest)?);
        let newest = i64::from_le_bytes(take(rest)?);
        let partitions = usize::try_from(u32::from_le_bytes(take(rest)?)).ok()?;
        if !ours || partitions != header.base.len() {
            return None;
        }
        let mut index = Self {
            every,
            newest,
            partitions: Vec::with_capacity(partitions),
            sums: Arc::default(),
        };
        for _ in 0..partitions {
            let mut entries = Vec::new();
            for _ in 0..u32::from_le_bytes(take(rest)?) {
                let offset = u64::from_le_bytes(take(rest)?);
                entries.push(Entry {
                    offset,
                    position: u32::from_le_bytes(take(rest)?),
                });
            }
            index.partitions.push(entries);
        }
        let mut sums = Sums::new(header.end());
        sums.end = u64::from_le_bytes(take(rest)?);
        for _ in 0..u32::from_le_bytes(take(rest)?) {
            sums.sums.push(u32::from_le_bytes(take(rest)?));
        }
        index.sums = Arc::new(sums);
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use schemas::topics::Topic;

    use super::*;
    use crate::format::sums::Summing;

    fn header() -> Header {
        Header {
            topic: Topic::Chats,
            number: 3,
            salt: 8,
            base: vec![0, 0],
        }
    }

    fn filled() -> SparseIndex {
        let mut index = SparseIndex::new(&header(), 100);
        for n in 0..50 {
            index.note(
                u32::from(n % 5 == 0),
                n,
                200 + n * 30,
                i64::try_from(n).unwrap(),
            );
        }
        let mut summing = Summing::new(header().end());
        let sums = summing.add(&vec![7; 200_000]);
        index.sums_mut().extend(&sums);
        index.sums_mut().close(&summing);
        index
    }

    #[test]
    fn an_entry_stands_at_or_shortly_before_every_record() {
        let index = filled();
        for n in 0..50_u64 {
            let position = index.entries_from(u32::from(n % 5 == 0), n, 1)[0];
            assert!(
                (position..position + 100).contains(&(200 + n * 30)),
                "{n}: {position}"
            );
        }
        assert_eq!(index.entries_from(1, 0, 1), [200]);
        assert!(index.entries_from(0, 0, 1).is_empty());
        assert_eq!(index.newest(), 49);
        assert_eq!(index.entries_from(1, 7, 3), [350, 500, 650]);
    }

    #[test]
    fn the_file_comes_back_and_a_flipped_bit_is_seen() {
        let header = header();
        let bytes = filled().encode(&header);
        assert_eq!(SparseIndex::decode(&bytes, &header), Some(filled()));
        let other = Header {
            number: 4,
            ..header.clone()
        };
        assert_eq!(SparseIndex::decode(&bytes, &other), None);
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SparseIndex::decode(&bytes, &header), None, "bit {bit}");
        }
    }
}
