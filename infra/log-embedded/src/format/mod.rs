//! The bytes of the log. Pure: no file is touched here. `docs/embedded-log.md` has the picture.

pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod sums;

/// The newest format that this program reads and the one that it writes.
pub(crate) const FORMAT: u32 = 1;

/// Takes `N` bytes off the front.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}
