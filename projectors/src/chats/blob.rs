//! The bytes of a fold state's row: a format number, then fields in a fixed order.
//!
//! ```text
//!  [1] [u64 LE] … [length u32 LE][text] … [0|1][…]
//! ```
//!
//! Read by this room only; another format gets another number, and both are read.

/// The format that this build writes.
const FORMAT: u8 = 1;

/// Why a state's bytes cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BlobError {
    /// Written by a newer build.
    #[error("state of format {0}, this build knows {FORMAT}")]
    UnknownFormat(u8),
    /// Too short, or no text where a text should be.
    #[error("damaged state at {0}")]
    Damaged(&'static str),
    /// Rows that do not belong together.
    #[error("rows of several moments")]
    Torn,
}

/// Puts fields.
#[derive(Debug)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new() -> Self {
        Self(vec![FORMAT])
    }

    pub(super) fn number(mut self, n: u64) -> Self {
        self.0.extend_from_slice(&n.to_le_bytes());
        self
    }

    pub(super) fn signed(self, n: i64) -> Self {
        self.number(n.cast_unsigned())
    }

    /// At most 4 GiB, which no id, title or description comes near.
    pub(super) fn text(mut self, text: &str) -> Self {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes fields in the order in which they were put.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, BlobError> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => Ok(Self(rest)),
            Some((format, _)) => Err(BlobError::UnknownFormat(*format)),
            None => Err(BlobError::Damaged("format")),
        }
    }

    pub(super) fn number(&mut self, what: &'static str) -> Result<u64, BlobError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(BlobError::Damaged(what))?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*head))
    }

    /// A number that builds before did not put; nothing may come behind it.
    pub(super) fn last_number(&mut self, what: &'static str) -> Result<Option<u64>, BlobError> {
        let is_there = !self.0.is_empty();
        is_there.then(|| self.number(what)).transpose()
    }

    pub(super) fn signed(&mut self, what: &'static str) -> Result<i64, BlobError> {
        Ok(self.number(what)?.cast_signed())
    }

    pub(super) fn small(&mut self, what: &'static str) -> Result<u32, BlobError> {
        u32::try_from(self.number(what)?).map_err(|_| BlobError::Damaged(what))
    }

    pub(super) fn text(&mut self, what: &'static str) -> Result<&'a str, BlobError> {
        let damaged = BlobError::Damaged(what);
        let (length, rest) = self.0.split_first_chunk().ok_or(damaged.clone())?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| damaged.clone())?;
        let (text, rest) = rest.split_at_checked(length).ok_or(damaged.clone())?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_in_order_and_short_bytes_are_damage() {
        let bytes = Writer::new().number(7).signed(-3).text("ada").finish();
        let mut reader = Reader::new(&bytes).unwrap();
        assert_eq!(reader.number("n"), Ok(7));
        assert_eq!(reader.signed("s"), Ok(-3));
        assert_eq!(reader.text("t"), Ok("ada"));
        assert_eq!(reader.number("end"), Err(BlobError::Damaged("end")));
        assert_eq!(Reader::new(&[9]).unwrap_err(), BlobError::UnknownFormat(9));
    }
}
