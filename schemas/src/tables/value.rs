//! Tagged values: `[tag][length as a varint][CQL wire bytes]`, in rising tag order.
//!
//! The varint is LEB128: seven bits a byte, the low ones first, the high bit says that more follow.

/// Appends one tagged value.
pub(super) fn put(tag: u8, wire: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    put_varint(u64::try_from(wire.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(wire);
}

/// Takes one tagged value off the front; none when the bytes end within it.
pub(super) fn take<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (tag, mut rest) = bytes.split_first()?;
    let length = usize::try_from(take_varint(&mut rest)?).ok()?;
    let (wire, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some((*tag, wire))
}

/// Appends a number in as few bytes as it needs.
pub(super) fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(number & 0x7F).unwrap_or(0x7F);
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Takes a number off the front; none when the bytes end within it, it does not fit, or it could
/// have been shorter.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let low = u64::from(byte & 0x7F);
        let shifted = low << shift;
        if shifted >> shift != low {
            return None;
        }
        number |= shifted;
        if byte & 0x80 == 0 {
            let canonical = *byte != 0 || shift == 0;
            return canonical.then_some(number);
        }
    }
    None
}
