//! Ordered key bytes of a column, from and to its CQL wire bytes: byte order is value order.
//!
//! ```text
//! bigint, int, timestamp   big-endian with the sign bit flipped
//! boolean                  one byte
//! text, blob               the bytes, each 00 as 00 FF, then 00 01
//! ```
//!
//! A falling column has all these bytes inverted. No column's bytes are a prefix of another's of
//! the same column, so keys can be joined and prefixes end where columns do.

use super::column::{ColumnRole, CqlType};

const ESCAPE: u8 = 0x00;
const ESCAPED_ZERO: u8 = 0xFF;
const END: u8 = 0x01;
const SIGN: u8 = 0x80;

/// What keys are inverted with.
const fn mask(role: ColumnRole) -> u8 {
    match role {
        ColumnRole::Desc => 0xFF,
        ColumnRole::Part | ColumnRole::Asc | ColumnRole::Value(_) => 0,
    }
}

/// Appends the ordered bytes of a column.
pub(super) fn put(cql: CqlType, role: ColumnRole, wire: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    match cql {
        CqlType::Text | CqlType::Blob => put_escaped(wire, out),
        CqlType::Bigint | CqlType::Int | CqlType::Timestamp => {
            out.extend(
                wire.iter()
                    .enumerate()
                    .map(|(i, b)| if i == 0 { b ^ SIGN } else { *b }),
            );
        }
        CqlType::Boolean => out.extend_from_slice(wire),
    }
    let mask = mask(role);
    if mask != 0 {
        out.iter_mut().skip(start).for_each(|b| *b ^= mask);
    }
}

fn put_escaped(wire: &[u8], out: &mut Vec<u8>) {
    if !wire.contains(&ESCAPE) {
        out.extend_from_slice(wire);
        out.extend_from_slice(&[ESCAPE, END]);
        return;
    }
    for (i, part) in wire.split(|b| *b == ESCAPE).enumerate() {
        if i > 0 {
            out.extend_from_slice(&[ESCAPE, ESCAPED_ZERO]);
        }
        out.extend_from_slice(part);
    }
    out.extend_from_slice(&[ESCAPE, END]);
}

/// What is wrong with key bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyError {
    /// They end within the column.
    Short,
    /// An escape that is none.
    Escape,
}

/// How many bytes a column takes at the front of ordered bytes; none when they end within it.
pub(super) fn length(cql: CqlType, role: ColumnRole, bytes: &[u8]) -> Option<usize> {
    let size = match cql {
        CqlType::Text | CqlType::Blob => {
            let [escape, end] = [ESCAPE ^ mask(role), END ^ mask(role)];
            // An escaped zero is never followed by what would end the column.
            let mut from = 0;
            loop {
                from += bytes.get(from..)?.iter().position(|byte| *byte == escape)?;
                if *bytes.get(from + 1)? == end {
                    break from + 2;
                }
                from += 2;
            }
        }
        CqlType::Bigint | CqlType::Timestamp => 8,
        CqlType::Int => 4,
        CqlType::Boolean => 1,
    };
    (size <= bytes.len()).then_some(size)
}

/// Takes the wire bytes of a column off the front of ordered bytes and appends them.
pub(super) fn take(
    cql: CqlType,
    role: ColumnRole,
    bytes: &mut &[u8],
    wire: &mut Vec<u8>,
) -> Result<(), KeyError> {
    let mask = mask(role);
    let size = match cql {
        CqlType::Text | CqlType::Blob => return take_escaped(bytes, mask, wire),
        CqlType::Bigint | CqlType::Timestamp => 8,
        CqlType::Int => 4,
        CqlType::Boolean => 1,
    };
    let (head, rest) = bytes.split_at_checked(size).ok_or(KeyError::Short)?;
    *bytes = rest;
    let start = wire.len();
    wire.extend(head.iter().map(|b| b ^ mask));
    if let (Some(first), false) = (wire.get_mut(start), cql == CqlType::Boolean) {
        *first ^= SIGN;
    }
    Ok(())
}

fn take_escaped(bytes: &mut &[u8], mask: u8, wire: &mut Vec<u8>) -> Result<(), KeyError> {
    let mut rest = *bytes;
    loop {
        let escape = rest.iter().position(|byte| byte ^ mask == ESCAPE);
        let (plain, after) = rest.split_at(escape.ok_or(KeyError::Short)?);
        wire.extend(plain.iter().map(|byte| byte ^ mask));
        let [_, byte, after @ ..] = after else {
            return Err(KeyError::Short);
        };
        rest = after;
        match byte ^ mask {
            ESCAPED_ZERO => wire.push(ESCAPE),
            END => {
                *bytes = rest;
                return Ok(());
            }
            _ => return Err(KeyError::Escape),
        }
    }
}
