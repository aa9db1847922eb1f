//! What stands under a key: `[version, 8 bytes, big-endian][1 put, 0 deleted][tagged values]`.

use infra_ports::store::supersedes;
use infra_ports::{Mutation, StoreError};
use schemas::position::Version;

const PUT: u8 = 1;
const DELETED: u8 = 0;

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held<'a> {
    /// Which write made it.
    pub(crate) version: Version,
    /// Tagged values; none is deleted.
    pub(crate) values: Option<&'a [u8]>,
}

impl<'a> Held<'a> {
    /// True when a mutation takes its place.
    pub(crate) fn gives_way_to(&self, new: &Mutation) -> bool {
        let (deletes, deleted) = (new.values.is_none(), self.values.is_none());
        supersedes(new.version, deletes, self.version, deleted)
    }

    /// Takes the bytes under a key apart.
    pub(crate) fn read(table: &'static str, bytes: &'a [u8]) -> Result<Self, StoreError> {
        let damaged = |reason: &str| StoreError::Damaged {
            table,
            reason: reason.into(),
        };
        let (version, rest) = bytes
            .split_first_chunk()
            .ok_or_else(|| damaged("no version"))?;
        let version = Version(u64::from_be_bytes(*version));
        match rest.split_first() {
            Some((&PUT, values)) => Ok(Self {
                version,
                values: Some(values),
            }),
            Some((&DELETED, [])) => Ok(Self {
                version,
                values: None,
            }),
            Some(_) | None => Err(damaged("neither put nor deleted")),
        }
    }
}

/// Makes the bytes to stand under a key, in place of what the buffer holds.
pub(crate) fn write(version: Version, values: Option<&[u8]>, into: &mut Vec<u8>) {
    into.clear();
    into.extend_from_slice(&version.0.to_be_bytes());
    match values {
        Some(values) => {
            into.push(PUT);
            into.extend_from_slice(values);
        }
        None => into.push(DELETED),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_was_written_is_read() {
        for values in [
            None,
            Some(Bytes::new()),
            Some(Bytes::from_static(b"\x01\x00")),
        ] {
            let mut bytes = vec![9];
            write(Version(7), values.as_deref(), &mut bytes);
            let held = Held::read("t", &bytes).unwrap();
            assert_eq!(
                held,
                Held {
                    version: Version(7),
                    values: values.as_deref()
                }
            );
        }
    }

    #[test]
    fn damage_is_an_error() {
        for bytes in [
            &[][..],
            &[0; 7],
            &[0; 8],
            b"\0\0\0\0\0\0\0\x01\x02",
            b"\0\0\0\0\0\0\0\x01\x00\x05",
        ] {
            assert!(matches!(
                Held::read("t", bytes),
                Err(StoreError::Damaged { .. })
            ));
        }
    }
}
