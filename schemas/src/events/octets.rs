//! Bytes of an event, taken out of what is read with one copy: serde's own way makes room full of
//! zeros first, which for an event within an event costs as much as the copy.

use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Visitor};

/// For `#[serde(deserialize_with)]`: bytes of Avro, as a `Vec` or as `Bytes`.
pub(super) fn copied<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: From<Vec<u8>>,
{
    deserializer.deserialize_bytes(Octets(PhantomData))
}

struct Octets<T>(PhantomData<T>);

impl<T: From<Vec<u8>>> Visitor<'_> for Octets<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<T, E> {
        Ok(T::from(bytes.to_vec()))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<T, E> {
        Ok(T::from(bytes))
    }
}
