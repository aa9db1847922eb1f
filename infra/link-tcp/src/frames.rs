//! Frames of the link and their bytes. Numbers are little-endian.
//!
//! ```text
//! │ length of the rest, 4 │ kind, 1 │ …
//!   subscribe      1      subscriber, 8 │ user
//!   unsubscribe    2      user
//!   ping           3
//!   subscribed     4      partition, 4 │ offset, 8      answers subscriptions in their order
//!   told           5      count, 4 │ subscribers, 8 each │ the record as it stands in the log
//!   detached       6      partitions, 4 each
//!   ended          7
//! ```
//!
//! A frame is at most [`MAX_FRAME_BYTES`] long, and decoding takes no more memory than a small multiple
//! of the bytes that are there.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use infra_ports::link::{Subscribed, SubscriberId};
use schemas::ids::UserId;
use schemas::position::{Offset, Partition};

/// The longest frame, its length excluded: a record of 1 MiB and its subscribers.
pub const MAX_FRAME_BYTES: usize = 2 << 20;
/// Subscribers of one frame; a record for more is sent several times, each to others.
const MAX_TO: usize = 65_536;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// Subscribes a user.
    Subscribe(SubscriberId, UserId),
    /// Ends a subscription.
    Unsubscribe(UserId),
    /// Says nothing but that it is there.
    Ping,
    /// The answer to the oldest subscription that was not answered.
    Subscribed(Subscribed),
    /// A record for these subscribers.
    Told(Vec<SubscriberId>, Bytes),
    /// Records of these partitions may have been left out.
    Detached(Vec<Partition>),
    /// Nothing is delivered any more.
    Ended,
}

/// Bytes that are no frame: the connection is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// It says that it is longer than any frame.
    #[error("a frame of {0} bytes, over {MAX_FRAME_BYTES}")]
    TooLong(usize),
    /// Of a kind that this version does not know.
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    /// Not what its kind holds.
    #[error("a frame of kind {0} is malformed")]
    Malformed(u8),
}

impl Frame {
    /// Writes the frame behind what is there.
    pub fn encode(&self, into: &mut BytesMut) {
        match self {
            Self::Subscribe(subscriber, user) => framed(into, 1, |into| {
                into.put_u64_le(subscriber.0);
                into.put_slice(user.as_str().as_bytes());
            }),
            Self::Unsubscribe(user) => framed(into, 2, |into| {
                into.put_slice(user.as_str().as_bytes());
            }),
            Self::Ping => framed(into, 3, |_| {}),
            Self::Subscribed(subscribed) => framed(into, 4, |into| {
                into.put_u32_le(subscribed.partition.0);
                into.put_u64_le(subscribed.from.0);
            }),
            Self::Told(to, record) => encode_told(to, record, into),
            Self::Detached(partitions) => framed(into, 6, |into| {
                partitions.iter().for_each(|one| into.put_u32_le(one.0));
            }),
            Self::Ended => framed(into, 7, |_| {}),
        }
    }

    /// Takes the first frame off the bytes; none when it is not there whole yet.
    ///
    /// # Errors
    /// When the bytes cannot be a frame.
    pub fn decode(bytes: &mut BytesMut) -> Result<Option<Self>, FrameError> {
        let Some(length) = bytes.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::TooLong(length));
        }
        if bytes.len() < 4 + length {
            return Ok(None);
        }
        bytes.advance(4);
        let mut body = bytes.split_to(length).freeze();
        let kind = body.try_get_u8().map_err(|_| FrameError::Malformed(0))?;
        let frame = decode_body(kind, body)?;
        frame.ok_or(FrameError::Malformed(kind)).map(Some)
    }
}

/// Writes a record for subscribers, in as many frames as they need.
pub(crate) fn encode_told(to: &[SubscriberId], record: &[u8], into: &mut BytesMut) {
    for to in to.chunks(MAX_TO) {
        framed(into, 5, |into| {
            into.put_u32_le(u32::try_from(to.len()).unwrap_or(u32::MAX));
            to.iter().for_each(|one| into.put_u64_le(one.0));
            into.put_slice(record);
        });
    }
}

fn framed(into: &mut BytesMut, kind: u8, write: impl FnOnce(&mut BytesMut)) {
    let begin = into.len();
    into.put_u32_le(0);
    into.put_u8(kind);
    write(into);
    let length = u32::try_from(into.len() - begin - 4).unwrap_or(u32::MAX);
    if let Some(place) = into.get_mut(begin..begin + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

/// None when the body is not what its kind holds.
fn decode_body(kind: u8, mut body: Bytes) -> Result<Option<Frame>, FrameError> {
    let frame = match kind {
        1 => body
            .try_get_u64_le()
            .ok()
            .and_then(|subscriber| Some(Frame::Subscribe(SubscriberId(subscriber), user(&body)?))),
        2 => user(&body).map(Frame::Unsubscribe),
        3 => body.is_empty().then_some(Frame::Ping),
        4 => subscribed(body),
        5 => told(body),
        6 => body.len().is_multiple_of(4).then(|| {
            let each = std::iter::from_fn(|| body.try_get_u32_le().ok());
            Frame::Detached(each.map(Partition).collect())
        }),
        7 => body.is_empty().then_some(Frame::Ended),
        other => return Err(FrameError::Kind(other)),
    };
    Ok(frame)
}

fn user(bytes: &[u8]) -> Option<UserId> {
    UserId::new(std::str::from_utf8(bytes).ok()?).ok()
}

fn subscribed(mut body: Bytes) -> Option<Frame> {
    let partition = Partition(body.try_get_u32_le().ok()?);
    let from = Offset(body.try_get_u64_le().ok()?);
    let subscribed = Subscribed { partition, from };
    body.is_empty().then_some(Frame::Subscribed(subscribed))
}

fn told(mut body: Bytes) -> Option<Frame> {
    let count = usize::try_from(body.try_get_u32_le().ok()?).ok()?;
    // Before anything is taken for them: a count is only believed when they are there.
    if body.len() / 8 < count {
        return None;
    }
    let mut to = Vec::with_capacity(count);
    for _ in 0..count {
        to.push(SubscriberId(body.try_get_u64_le().ok()?));
    }
    Some(Frame::Told(to, body))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Frame> {
        let user = "[a-z0-9_-]{1,64}".prop_map(|text| UserId::new(text).unwrap());
        let ids = prop::collection::vec(any::<u64>().prop_map(SubscriberId), 0..20);
        let partitions = prop::collection::vec(any::<u32>().prop_map(Partition), 0..70);
        prop_oneof![
            (any::<u64>(), user.clone())
                .prop_map(|(n, user)| Frame::Subscribe(SubscriberId(n), user)),
            user.prop_map(Frame::Unsubscribe),
            Just(Frame::Ping),
            (any::<u32>(), any::<u64>()).prop_map(|(partition, from)| {
                let (partition, from) = (Partition(partition), Offset(from));
                Frame::Subscribed(Subscribed { partition, from })
            }),
            (ids, prop::collection::vec(any::<u8>(), 0..300))
                .prop_map(|(to, record)| Frame::Told(to, record.into())),
            partitions.prop_map(Frame::Detached),
            Just(Frame::Ended),
        ]
    }

    fn all_of(mut bytes: BytesMut) -> Result<(Vec<Frame>, usize), FrameError> {
        let mut found = Vec::new();
        while let Some(frame) = Frame::decode(&mut bytes)? {
            found.push(frame);
        }
        Ok((found, bytes.len()))
    }

    proptest! {
        #[test]
        fn frames_are_read_back_wherever_the_bytes_were_cut(
            frames in prop::collection::vec(frames(), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            // A told record without subscribers is not sent at all.
            let sent = |frame: &&Frame| !matches!(frame, Frame::Told(to, _) if to.is_empty());
            let frames: Vec<_> = frames.iter().filter(sent).cloned().collect();
            let mut bytes = BytesMut::new();
            frames.iter().for_each(|frame| frame.encode(&mut bytes));
            let whole = bytes.clone();
            prop_assert_eq!(all_of(whole), Ok((frames.clone(), 0)));
            if !bytes.is_empty() {
                let cut = cut.index(bytes.len());
                let (found, _) = all_of(BytesMut::from(&bytes[..cut])).unwrap();
                prop_assert_eq!(&found[..], &frames[..found.len()]);
                prop_assert!(found.len() < frames.len(), "one is not there whole");
            }
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(all_of(BytesMut::from(&bytes[..])));
            let mut body = vec![u8::try_from(bytes.len()).unwrap(), 0, 0, 0];
            body.extend_from_slice(&bytes);
            if let Ok((found, left)) = all_of(BytesMut::from(&body[..])) {
                prop_assert_eq!((found.len(), left), (1, 0));
                let mut again = BytesMut::new();
                found[0].encode(&mut again);
                let is_silent = matches!(&found[0], Frame::Told(to, _) if to.is_empty());
                prop_assert!(is_silent || again == body, "one frame has one form");
            }
        }
    }

    #[test]
    fn a_length_or_a_count_is_not_believed_before_the_bytes_are_there() {
        let mut long = BytesMut::from(&[0xFF; 8][..]);
        let error = Frame::decode(&mut long).unwrap_err();
        assert_eq!(error, FrameError::TooLong(0xFFFF_FFFF));
        let mut many = BytesMut::from(&[9, 0, 0, 0, 5, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4][..]);
        assert_eq!(Frame::decode(&mut many), Err(FrameError::Malformed(5)));
        let mut kind = BytesMut::from(&[1, 0, 0, 0, 99][..]);
        assert_eq!(Frame::decode(&mut kind), Err(FrameError::Kind(99)));
        let mut empty = BytesMut::from(&[0, 0, 0, 0][..]);
        assert_eq!(Frame::decode(&mut empty), Err(FrameError::Malformed(0)));
    }

    #[test]
    fn a_record_for_very_many_fits_into_frames() {
        let to: Vec<_> = (0..MAX_TO as u64 + 5).map(SubscriberId).collect();
        let record = vec![7; 1 << 20];
        let mut bytes = BytesMut::new();
        encode_told(&to, &record, &mut bytes);
        let (found, left) = all_of(bytes).unwrap();
        assert_eq!((found.len(), left), (2, 0));
        let told = found.iter().flat_map(|frame| match frame {
            Frame::Told(to, _) => to.clone(),
            _ => Vec::new(),
        });
        assert!(told.eq(to.iter().copied()));
    }
}
