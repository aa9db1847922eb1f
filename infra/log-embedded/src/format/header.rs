//! The head of a segment file, and the file that says what log a directory holds.
//!
//! ```text
//! preamble (the same in every format, for ever)
//!  0  "CURSUSLG"   magic
//!  8  u32          format
//! 12  u32          length of the whole head, preamble and last CRC with it
//! 16  u32          CRC32C of bytes 0..16
//! rest, format 1
//! 20  u32          partitions
//! 24  u8 × 16      topic name, padded with zeros
//! 40  u64          segment number, from 0
//! 48  u64          salt: drawn when the segment was begun
//! 56  u64 × parts  offset of the first record of each partition that may stand in this segment
//!  …  u32          CRC32C of everything before
//! ```

use schemas::topics::Topic;

use super::{FORMAT, take};
use crate::storage::widen;

const MAGIC: [u8; 8] = *b"CURSUSLG";
const PREAMBLE_BYTES: usize = 20;
const NAME_BYTES: usize = 16;

/// The head of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) topic: Topic,
    pub(crate) number: u64,
    pub(crate) salt: u64,
    /// First offset of each partition; their count is the partition count.
    pub(crate) base: Vec<u64>,
}

/// Why bytes are no head of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// A format that is not known here.
    Newer(u32),
    /// The bytes are not what was written.
    Damaged(&'static str),
}

impl Header {
    /// How long the head is with so many partitions.
    pub(crate) fn length(partitions: usize) -> u64 {
        widen(PREAMBLE_BYTES + 4 + NAME_BYTES + 16 + partitions * 8 + 4)
    }

    /// Where the frames begin.
    pub(crate) fn end(&self) -> u64 {
        Self::length(self.base.len())
    }

    /// The bytes of the head.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let partitions = u32::try_from(self.base.len()).unwrap_or(u32::MAX);
        let mut bytes = preamble(self.end());
        bytes.extend(partitions.to_le_bytes());
        let mut name = self.topic.name().as_bytes().to_vec();
        name.resize(NAME_BYTES, 0);
        bytes.extend(name);
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.salt.to_le_bytes());
        for base in &self.base {
            bytes.extend(base.to_le_bytes());
        }
        seal(bytes)
    }

    /// Reads the head of a segment of a topic.
    pub(crate) fn decode(bytes: &[u8], topic: Topic) -> Result<Self, HeaderError> {
        let mut rest = open(bytes)?;
        let short = HeaderError::Damaged("the head is too short");
        let partitions = u32::from_le_bytes(take(&mut rest).ok_or(short.clone())?);
        let name: [u8; NAME_BYTES] = take(&mut rest).ok_or(short.clone())?;
        if !name.starts_with(topic.name().as_bytes()) {
            return Err(HeaderError::Damaged("the segment is of another topic"));
        }
        let number = u64::from_le_bytes(take(&mut rest).ok_or(short.clone())?);
        let salt = u64::from_le_bytes(take(&mut rest).ok_or(short.clone())?);
        let mut base = Vec::new();
        for _ in 0..partitions {
            base.push(u64::from_le_bytes(take(&mut rest).ok_or(short.clone())?));
        }
        Ok(Self {
            topic,
            number,
            salt,
            base,
        })
    }

    /// What the CRCs of the segment's frames start from.
    pub(crate) fn seed(&self) -> u32 {
        crc32c::crc32c_append(
            crc32c::crc32c(&self.salt.to_le_bytes()),
            &self.number.to_le_bytes(),
        )
    }
}

/// The bytes of the file that says what log a directory holds.
pub(crate) fn encode_root(partitions: u32) -> Vec<u8> {
    let mut bytes = preamble(widen(PREAMBLE_BYTES + 8));
    bytes.extend(partitions.to_le_bytes());
    seal(bytes)
}

/// The partition count of a log.
pub(crate) fn decode_root(bytes: &[u8]) -> Result<u32, HeaderError> {
    let mut rest = open(bytes)?;
    take(&mut rest)
        .map(u32::from_le_bytes)
        .ok_or(HeaderError::Damaged("the file is too short"))
}

fn preamble(length: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    seal(bytes)
}

fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// Checks preamble and CRCs; returns what stands between them.
fn open(bytes: &[u8]) -> Result<&[u8], HeaderError> {
    let short = HeaderError::Damaged("the head is too short");
    let (mut preamble, _) = bytes
        .split_at_checked(PREAMBLE_BYTES)
        .ok_or(short.clone())?;
    let (checked, _) = preamble.split_at(PREAMBLE_BYTES - 4);
    let crc = crc32c::crc32c(checked);
    if take(&mut preamble) != Some(MAGIC) {
        return Err(HeaderError::Damaged("this is no segment of a log"));
    }
    let mut number = || take(&mut preamble).map_or(0, u32::from_le_bytes);
    let (format, length, expected) = (number(), number(), number());
    if crc != expected {
        return Err(HeaderError::Damaged("the CRC of the preamble is wrong"));
    }
    if format > FORMAT {
        return Err(HeaderError::Newer(format));
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let (head, _) = bytes.split_at_checked(length).ok_or(short.clone())?;
    let (head, expected) = head.split_last_chunk::<4>().ok_or(short.clone())?;
    if crc32c::crc32c(head) != u32::from_le_bytes(*expected) {
        return Err(HeaderError::Damaged("the CRC of the head is wrong"));
    }
    head.split_at_checked(PREAMBLE_BYTES)
        .map(|(_, rest)| rest)
        .ok_or(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            topic: Topic::DeadLetters,
            number: 7,
            salt: 0x1234_5678,
            base: vec![5, 0, u64::MAX],
        }
    }

    #[test]
    fn a_head_comes_back_as_it_was() {
        let bytes = header().encode();
        assert_eq!(widen(bytes.len()), header().end());
        assert_eq!(Header::decode(&bytes, Topic::DeadLetters), Ok(header()));
        assert_eq!(decode_root(&encode_root(64)), Ok(64));
    }

    #[test]
    fn a_flipped_bit_anywhere_is_damage() {
        let bytes = header().encode();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let decoded = Header::decode(&bytes, Topic::DeadLetters);
            assert!(
                matches!(decoded, Err(HeaderError::Damaged(_))),
                "bit {bit}: {decoded:?}"
            );
        }
    }

    #[test]
    fn a_cut_head_and_another_topic_are_refused() {
        let bytes = header().encode();
        for length in 0..bytes.len() {
            assert!(Header::decode(&bytes[..length], Topic::DeadLetters).is_err());
        }
        assert!(Header::decode(&bytes, Topic::Chats).is_err());
    }

    #[test]
    fn a_newer_format_is_named() {
        let mut bytes = header().encode();
        bytes[8..12].copy_from_slice(&9_u32.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..16]);
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(
            Header::decode(&bytes, Topic::DeadLetters),
            Err(HeaderError::Newer(9))
        );
    }
}
