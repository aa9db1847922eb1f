//! WebSocket as far as a fleet needs it (RFC 6455): whole frames cut from bytes that came, client
//! frames written. Pure.
//!
//! Frames that leave are masked with the key 0: valid, nothing to compute here, and the server
//! unmasks them like any other.

/// Text, in one frame.
const TEXT: u8 = 0x81;
/// A close.
const CLOSE: u8 = 0x88;
/// A ping.
const PING: u8 = 0x89;
/// A pong.
const PONG: u8 = 0x8a;
/// The bit that says a frame is masked.
const MASKED: u8 = 0x80;

/// A frame of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut<'a> {
    /// A whole text.
    Text(&'a [u8]),
    /// A ping, to be answered with its payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// A close, with its code where it has one.
    Close(Option<u16>),
}

/// What the server sent is no frame it may send, or one in several pieces, which it never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame that begins with {0:#04x} {1:#04x}")]
pub struct NoFrame(pub u8, pub u8);

/// Cuts the first frame off: it, and how many bytes it took. None when more bytes must come first.
///
/// # Errors
/// [`NoFrame`].
pub fn cut(bytes: &[u8]) -> Result<Option<(Cut<'_>, usize)>, NoFrame> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    let (length, at) = match (second, rest) {
        (126, &[a, b, ..]) => (usize::from(u16::from_be_bytes([a, b])), 4),
        (127, &[a, b, c, d, e, f, g, h, ..]) => {
            let length = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            let length = usize::try_from(length).map_err(|_| NoFrame(first, second))?;
            (length, 10)
        }
        (126 | 127, _) => return Ok(None),
        (short, _) if short & MASKED == 0 => (usize::from(short), 2),
        _ => return Err(NoFrame(first, second)),
    };
    let end = at + length;
    let Some(payload) = bytes.get(at..end) else {
        return Ok(None);
    };
    let frame = match first {
        TEXT => Cut::Text(payload),
        PING => Cut::Ping(payload),
        PONG => Cut::Pong,
        CLOSE => Cut::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
        _ => return Err(NoFrame(first, second)),
    };
    Ok(Some((frame, end)))
}

/// Writes a text as a client does.
pub fn put_text(out: &mut Vec<u8>, payload: &[u8]) {
    put(out, TEXT, payload);
}

/// Answers a ping.
pub fn put_pong(out: &mut Vec<u8>, payload: &[u8]) {
    put(out, PONG, payload);
}

/// A text as a server writes it.
#[must_use]
pub fn serve_text(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 10);
    put_header(&mut frame, TEXT, 0, payload.len());
    frame.extend_from_slice(payload);
    frame
}

/// Cuts off the first text that [`put_text`] wrote, and says how many bytes it took. None when it is
/// not whole yet.
#[must_use]
pub fn cut_client(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (length, at) = match *bytes {
        [TEXT, second, a, b, ..] if second == MASKED | 126 => {
            (usize::from(u16::from_be_bytes([a, b])), 4)
        }
        [TEXT, second, ..] if second < MASKED | 126 => (usize::from(second & !MASKED), 2),
        _ => return None,
    };
    let end = at + 4 + length;
    Some((bytes.get(at + 4..end)?, end))
}

fn put(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    put_header(out, first, MASKED, payload.len());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

fn put_header(out: &mut Vec<u8>, first: u8, masked: u8, length: usize) {
    out.push(first);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..126), _) => out.push(masked | short),
        (_, Ok(middle)) => {
            out.push(masked | 126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of a server that is no text.
    fn served(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = serve_text(payload);
        frame[0] = first;
        frame
    }

    #[test]
    fn frames_of_every_length_are_cut_whole_and_never_early() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload = vec![b'x'; length];
            let mut bytes = served(TEXT, &payload);
            let whole = bytes.len();
            bytes.push(PING);
            assert_eq!(cut(&bytes), Ok(Some((Cut::Text(&payload), whole))));
            for early in [0, 1, 2, 3, 5, 9, whole - 1] {
                if early < whole {
                    assert_eq!(cut(&bytes[..early]), Ok(None), "{early} of {length}");
                }
            }
        }
    }

    #[test]
    fn pings_and_closes_are_told_apart_and_the_rest_is_refused() {
        assert_eq!(cut(&served(PING, b"a")), Ok(Some((Cut::Ping(b"a"), 3))));
        let close = served(CLOSE, &[0x03, 0xe8, b'x']);
        assert_eq!(cut(&close), Ok(Some((Cut::Close(Some(1000)), 5))));
        assert_eq!(cut(&served(CLOSE, &[])), Ok(Some((Cut::Close(None), 2))));
        assert_eq!(cut(&[TEXT, MASKED | 1, 0]), Err(NoFrame(TEXT, MASKED | 1)));
        assert!(cut(&served(0x01, b"a piece")).is_err());
    }

    #[test]
    fn what_is_written_is_masked_with_zero() {
        let mut out = Vec::new();
        put_text(&mut out, b"ab");
        assert_eq!(out, [TEXT, MASKED | 2, 0, 0, 0, 0, b'a', b'b']);
        for length in [0, 125, 126, 60_000] {
            let (payload, mut out) = (vec![b'x'; length], Vec::new());
            put_text(&mut out, &payload);
            assert_eq!(cut_client(&out), Some((payload.as_slice(), out.len())));
            assert_eq!(cut_client(&out[..out.len() - 1]), None);
        }
    }
}
