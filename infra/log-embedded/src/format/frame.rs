//! One record in a segment.
//!
//! ```text
//!  0  u32  CRC32C of bytes 4..41, from the segment's seed
//!  4  u32  CRC32C of key, value and end mark, from the segment's seed
//!  8  u32  length of the key
//! 12  u32  length of the value
//! 16  u32  partition
//! 20  u32  claim: everything in this segment before this byte was durable when this was written
//! 24  u64  offset
//! 32  i64  time, milliseconds
//! 40  u8   0x80, or 0x81 when the next frame is of the same batch
//! 41       key, value
//!  …  u8   end mark 0x5A
//! ```
//!
//! The head has a CRC of its own, so that a frame's length can be believed before its body is read.
//! Head and frame end with a byte that is never zero: a frame that was written in part can be told
//! from one that was written whole and damaged later.

use bytes::{BufMut, BytesMut};

use super::take;

/// Bytes of a frame before its key.
pub(crate) const HEAD_BYTES: usize = 41;
/// Bytes of a frame beside key and value.
pub(crate) const OVERHEAD_BYTES: usize = HEAD_BYTES + 1;
const END_MARK: u8 = 0x5A;
const LAST: u8 = 0x80;
const MORE: u8 = 0x81;

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) body_crc: u32,
    pub(crate) key_bytes: u32,
    pub(crate) value_bytes: u32,
    pub(crate) partition: u32,
    pub(crate) claim: u32,
    pub(crate) offset: u64,
    pub(crate) at: i64,
    /// The next frame is of the same batch.
    pub(crate) more: bool,
}

impl FrameHead {
    /// Reads a head, if one stands here.
    pub(crate) fn decode(bytes: &[u8], seed: u32) -> Option<Self> {
        let (crc, rest) = bytes.first_chunk::<HEAD_BYTES>()?.split_first_chunk()?;
        if crc32c::crc32c_append(seed, rest) != u32::from_le_bytes(*crc) {
            return None;
        }
        Self::decode_unchecked(bytes)
    }

    /// Reads a head from bytes that are known to be what was written.
    pub(crate) fn decode_unchecked(bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<HEAD_BYTES>()?;
        let more = match *head.last()? {
            LAST => false,
            MORE => true,
            _ => return None,
        };
        let (_crc, mut rest) = head.split_at_checked(4)?;
        Some(Self {
            body_crc: u32::from_le_bytes(take(&mut rest)?),
            key_bytes: u32::from_le_bytes(take(&mut rest)?),
            value_bytes: u32::from_le_bytes(take(&mut rest)?),
            partition: u32::from_le_bytes(take(&mut rest)?),
            claim: u32::from_le_bytes(take(&mut rest)?),
            offset: u64::from_le_bytes(take(&mut rest)?),
            at: i64::from_le_bytes(take(&mut rest)?),
            more,
        })
    }

    /// Bytes of the key.
    pub(crate) fn key_length(&self) -> usize {
        usize::try_from(self.key_bytes).unwrap_or(usize::MAX)
    }

    /// Bytes of key and value.
    pub(crate) fn body_length(&self) -> usize {
        self.key_length()
            .saturating_add(usize::try_from(self.value_bytes).unwrap_or(usize::MAX))
    }

    /// Bytes of the whole frame.
    pub(crate) fn frame_length(&self) -> usize {
        self.body_length().saturating_add(OVERHEAD_BYTES)
    }

    /// Whether the body of a frame, which starts at its first byte here, is what was written.
    pub(crate) fn body_is_whole(&self, frame: &[u8], seed: u32) -> bool {
        let body = frame.get(HEAD_BYTES..self.frame_length());
        body.is_some_and(|body| {
            body.last() == Some(&END_MARK) && crc32c::crc32c_append(seed, body) == self.body_crc
        })
    }
}

/// What a frame is made of, beside key and value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) partition: u32,
    pub(crate) claim: u32,
    pub(crate) offset: u64,
    pub(crate) at: i64,
    pub(crate) more: bool,
}

/// Appends a frame to a buffer. Key and value are below the limit of a record.
pub(crate) fn encode(buffer: &mut BytesMut, seed: u32, stamp: Stamp, key: &[u8], value: &[u8]) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut body_crc = crc32c::crc32c_append(seed, key);
    body_crc = crc32c::crc32c_append(body_crc, value);
    body_crc = crc32c::crc32c_append(body_crc, &[END_MARK]);
    let mut head = [0; HEAD_BYTES - 4];
    let mut rest = head.as_mut_slice();
    rest.put_u32_le(body_crc);
    rest.put_u32_le(length(key));
    rest.put_u32_le(length(value));
    rest.put_u32_le(stamp.partition);
    rest.put_u32_le(stamp.claim);
    rest.put_u64_le(stamp.offset);
    rest.put_i64_le(stamp.at);
    rest.put_u8(if stamp.more { MORE } else { LAST });
    buffer.put_u32_le(crc32c::crc32c_append(seed, &head));
    buffer.put_slice(&head);
    buffer.put_slice(key);
    buffer.put_slice(value);
    buffer.put_u8(END_MARK);
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        partition: 3,
        claim: 900,
        offset: 77,
        at: -5,
        more: true,
    };

    fn frame() -> BytesMut {
        let mut buffer = BytesMut::new();
        encode(&mut buffer, 9, STAMP, b"key", b"value");
        buffer
    }

    #[test]
    fn a_frame_comes_back_as_it_was() {
        let frame = frame();
        let head = FrameHead::decode(&frame, 9).unwrap();
        assert_eq!(frame.len(), head.frame_length());
        assert_eq!(
            (head.partition, head.claim, head.offset, head.at),
            (3, 900, 77, -5)
        );
        assert!(head.more && head.body_is_whole(&frame, 9));
        assert_eq!(
            &frame[HEAD_BYTES..HEAD_BYTES + head.body_length()],
            b"keyvalue"
        );
    }

    #[test]
    fn a_flipped_bit_anywhere_is_seen() {
        let frame = frame();
        for bit in 0..frame.len() * 8 {
            let mut frame = frame.clone();
            frame[bit / 8] ^= 1 << (bit % 8);
            let head = FrameHead::decode(&frame, 9);
            assert!(
                head.is_none_or(|head| !head.body_is_whole(&frame, 9)),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_frame_of_another_segment_and_zeros_are_no_frame() {
        assert_eq!(FrameHead::decode(&frame(), 8), None);
        assert_eq!(FrameHead::decode(&[0; 64], 0), None);
    }
}
