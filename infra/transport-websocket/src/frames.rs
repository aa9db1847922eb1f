//! Frames of a client taken apart (RFC 6455, 5.2). Pure: bytes in, what they say out. A bad frame is
//! found as soon as its header shows it, before its payload has come.
//!
//! ```text
//! fin | rsv rsv rsv | opcode │ masked | length < 126            │ mask, 4 bytes │ payload
//! fin | rsv rsv rsv | opcode │ masked | 126 │ length, 2 bytes BE │ mask, 4 bytes │ payload
//! fin | rsv rsv rsv | opcode │ masked | 127 │ length, 8 bytes BE │ mask, 4 bytes │ payload
//! ```

/// The longest payload of a ping, pong or close.
const CONTROL_BYTES: usize = 125;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first part of a text.
    Text,
    /// The next part of it.
    More,
    Close,
    Ping,
    Pong,
}

/// Why a frame is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// More than there may be.
    TooLarge,
    /// Not what a client may send.
    Malformed(&'static str),
}

/// A frame that is there as a whole; its payload is masked still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Masked<'a> {
    pub(crate) kind: Kind,
    /// No further part follows.
    pub(crate) is_last: bool,
    /// With its header.
    pub(crate) whole_bytes: usize,
    mask: [u8; 4],
    payload: &'a [u8],
}

impl<'a> Masked<'a> {
    /// The frame that stands first, or none when there must come more. A part of a text may have at
    /// most `room_bytes`.
    ///
    /// # Errors
    /// The bytes do not begin with a frame that a client may send.
    pub(crate) fn first(bytes: &'a [u8], room_bytes: usize) -> Result<Option<Self>, Bad> {
        let Some((first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let is_last = first & 0x80 != 0;
        let kind = kind(*first, is_last)?;
        let Some((length, rest)) = length(rest)? else {
            return Ok(None);
        };
        let is_part = matches!(kind, Kind::Text | Kind::More);
        if !is_part && length > CONTROL_BYTES as u64 {
            return Err(Bad::Malformed("a control frame of more than 125 bytes"));
        }
        if is_part && length > room_bytes as u64 {
            return Err(Bad::TooLarge);
        }
        let length = usize::try_from(length).map_err(|_| Bad::TooLarge)?;
        let masked = rest.split_first_chunk::<4>();
        let Some((mask, payload)) =
            masked.and_then(|(mask, rest)| Some((*mask, rest.get(..length)?)))
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            kind,
            is_last,
            whole_bytes: bytes.len() - rest.len() + mask.len() + length,
            mask,
            payload,
        }))
    }

    /// Appends the payload as the client meant it.
    pub(crate) fn unmask_into(&self, out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(self.payload);
        let own = out.get_mut(from..).unwrap_or_default();
        // In words first: a mask of four bytes fits twice into each.
        let [a, b, c, d] = self.mask;
        let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (words, rest) = own.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(self.mask.iter().cycle()) {
            *byte ^= key;
        }
    }

    /// The payload as the client meant it, in a buffer of exactly its size.
    pub(crate) fn unmasked(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len());
        self.unmask_into(&mut out);
        out
    }
}

fn kind(first: u8, is_last: bool) -> Result<Kind, Bad> {
    if first & 0x70 != 0 {
        return Err(Bad::Malformed("reserved bits"));
    }
    let kind = match first & 0x0F {
        0x0 => Kind::More,
        0x1 => Kind::Text,
        0x2 => return Err(Bad::Malformed("binary frame")),
        0x8 => Kind::Close,
        0x9 => Kind::Ping,
        0xA => Kind::Pong,
        _ => return Err(Bad::Malformed("unknown opcode")),
    };
    let is_control = matches!(kind, Kind::Close | Kind::Ping | Kind::Pong);
    if is_control && !is_last {
        return Err(Bad::Malformed("a control frame in parts"));
    }
    Ok(kind)
}

/// The payload's length, and what follows it.
fn length(bytes: &[u8]) -> Result<Option<(u64, &[u8])>, Bad> {
    let Some((second, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if second & 0x80 == 0 {
        return Err(Bad::Malformed("not masked"));
    }
    Ok(match second & 0x7F {
        126 => rest
            .split_first_chunk()
            .map(|(length, rest)| (u64::from(u16::from_be_bytes(*length)), rest)),
        127 => rest
            .split_first_chunk()
            .map(|(length, rest)| (u64::from_be_bytes(*length), rest)),
        short => Some((u64::from(short), rest)),
    })
}

/// What is to be answered to a close with this payload: the same code and reason, or 1002 where
/// the code is none that may be sent (RFC 6455, 7.4).
///
/// # Errors
/// Half a code, or a reason that is not UTF-8.
pub(crate) fn close_answer(payload: &[u8]) -> Result<Option<(u16, &str)>, Bad> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(None),
            _ => Err(Bad::Malformed("half a close code")),
        };
    };
    let reason = std::str::from_utf8(reason).map_err(|_| Bad::Malformed("not utf-8"))?;
    Ok(Some(match u16::from_be_bytes(*code) {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => (code, reason),
        _ => (1002, "not a close code"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 300;

    /// A frame with a mask of four different bytes; its length in as few bytes as it needs.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match u8::try_from(payload.len()) {
            Ok(short @ 0..126) => frame.push(0x80 | short),
            _ => {
                let middle = u16::try_from(payload.len()).unwrap();
                frame.push(0x80 | 126);
                frame.extend_from_slice(&middle.to_be_bytes());
            }
        }
        let mask = [1, 20, 77, 255];
        frame.extend_from_slice(&mask);
        let keys = mask.iter().cycle();
        frame.extend(payload.iter().zip(keys).map(|(byte, key)| byte ^ key));
        frame
    }

    #[test]
    fn a_frame_is_taken_once_its_last_byte_is_there_and_leaves_what_follows() {
        for length in [0, 1, 7, 8, 9, 125, 126, 255, 300] {
            let payload: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let mut bytes = frame(0x81, &payload);
            let whole_bytes = bytes.len();
            for cut in 0..whole_bytes {
                assert_eq!(Masked::first(&bytes[..cut], ROOM), Ok(None), "{cut}");
            }
            bytes.extend(frame(0x89, b"!"));
            let taken = Masked::first(&bytes, ROOM).unwrap().unwrap();
            assert_eq!((taken.kind, taken.is_last), (Kind::Text, true));
            assert_eq!(taken.whole_bytes, whole_bytes);
            assert_eq!(taken.unmasked(), payload);
        }
    }

    #[test]
    fn a_length_in_more_bytes_than_it_needs_is_taken() {
        let mut bytes = vec![0x80, 0x80 | 127];
        bytes.extend_from_slice(&3_u64.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 0, b'a', b'b', b'c']);
        let taken = Masked::first(&bytes, ROOM).unwrap().unwrap();
        assert_eq!((taken.kind, taken.whole_bytes), (Kind::More, 17));
        assert_eq!(taken.unmasked(), b"abc");
    }

    #[test]
    fn what_a_client_may_not_send_is_refused_by_its_header_alone() {
        let refused = [
            (vec![0xC1], Bad::Malformed("reserved bits")),
            (vec![0x83], Bad::Malformed("unknown opcode")),
            (vec![0x82], Bad::Malformed("binary frame")),
            (vec![0x08], Bad::Malformed("a control frame in parts")),
            (vec![0x81, 5], Bad::Malformed("not masked")),
            (
                vec![0x89, 0x80 | 126, 0, 126],
                Bad::Malformed("a control frame of more than 125 bytes"),
            ),
            (vec![0x81, 0x80 | 126, 1, 45], Bad::TooLarge),
            (
                [&[0x80, 0x80 | 127][..], &[0xFF; 8]].concat(),
                Bad::TooLarge,
            ),
        ];
        for (bytes, bad) in refused {
            assert_eq!(Masked::first(&bytes, ROOM), Err(bad), "{bytes:?}");
        }
    }

    #[test]
    fn a_close_is_answered_with_its_code_unless_that_is_none() {
        assert_eq!(close_answer(b""), Ok(None));
        assert_eq!(close_answer(b"\x03\xE8"), Ok(Some((1000, ""))));
        assert_eq!(close_answer(b"\x0F\xA1bye"), Ok(Some((4001, "bye"))));
        for none in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000_u16] {
            let answered = close_answer(&none.to_be_bytes())
                .unwrap()
                .map(|(code, _)| code);
            assert_eq!(answered, Some(1002));
        }
        assert!(close_answer(b"\x03").is_err());
        assert!(close_answer(b"\x03\xE8\xC3").is_err());
    }
}
