//! What stands under a key: `[version, 8 bytes, big-endian][1 put, 0 deleted][tagged values]`.

use bytes::Bytes;
use infra_ports::StoreError;
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

/// The bytes to stand under a key.
pub(crate) fn write(version: Version, values: Option<&Bytes>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + values.map_or(0, Bytes::len));
    bytes.extend_from_slice(&version.0.to_be_bytes());
    match values {
        Some(values) => {
            bytes.push(PUT);
            bytes.extend_from_slice(values);
        }
        None => bytes.push(DELETED),
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        for values in [
            None,
            Some(Bytes::new()),
            Some(Bytes::from_static(b"\x01\x00")),
        ] {
            let bytes = write(Version(7), values.as_ref());
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
