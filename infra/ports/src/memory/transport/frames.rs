//! Wire bytes taken apart, as a client does it: RFC 6455, 5.2, unmasked, unfragmented.

use bytes::{Buf, Bytes, BytesMut};

/// What a client received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A text frame.
    Text(Bytes),
    /// A ping: a client answers with a pong.
    Ping(Bytes),
    /// The answer to its own ping.
    Pong(Bytes),
    /// The server closes.
    Close {
        /// Why, as a number.
        code: u16,
        /// Why, as text.
        reason: String,
    },
    /// Something that no client understands.
    Garbage(Bytes),
    /// The connection ended; nothing follows.
    Ended,
}

/// Takes one whole frame off the front, when there is one.
pub(super) fn take_frame(bytes: &mut BytesMut) -> Option<Received> {
    let (first, header_bytes, payload_bytes) = {
        let mut header = bytes.as_ref();
        let first = header.try_get_u8().ok()?;
        let (length_bytes, payload_bytes) = match header.try_get_u8().ok()? {
            126 => (2, u64::from(header.try_get_u16().ok()?)),
            127 => (8, header.try_get_u64().ok()?),
            short => (0, u64::from(short)),
        };
        (
            first,
            2 + length_bytes,
            usize::try_from(payload_bytes).ok()?,
        )
    };
    if bytes.len() - header_bytes < payload_bytes {
        return None;
    }
    bytes.advance(header_bytes);
    let payload = bytes.split_to(payload_bytes).freeze();
    Some(match first {
        0x81 => Received::Text(payload),
        0x88 => close(payload),
        0x89 => Received::Ping(payload),
        0x8A => Received::Pong(payload),
        _ => Received::Garbage(payload),
    })
}

fn close(mut payload: Bytes) -> Received {
    let whole = payload.clone();
    let code = payload.try_get_u16().ok();
    let reason = String::from_utf8(payload.to_vec()).ok();
    match (code, reason) {
        (Some(code), Some(reason)) => Received::Close { code, reason },
        (None, _) | (_, None) => Received::Garbage(whole),
    }
}
