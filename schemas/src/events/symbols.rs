//! Enum symbols of a later version read as the enum's default, as Avro's schema resolution has it.
//!
//! On fields of events only: a client that names a role we do not know must be refused, not
//! taken for somebody with the least of roles.

use std::marker::PhantomData;

use serde::de::value::{Error as SymbolError, StrDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, Visitor};

/// For `#[serde(deserialize_with)]`: the symbol, or the enum's default when it is none of ours.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: for<'a> Deserialize<'a> + Default,
{
    deserializer.deserialize_str(Symbol(PhantomData))
}

struct Symbol<T>(PhantomData<T>);

impl<T: for<'a> Deserialize<'a> + Default> Visitor<'_> for Symbol<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a symbol of an enum")
    }

    fn visit_str<E: Error>(self, symbol: &str) -> Result<T, E> {
        let known: StrDeserializer<'_, SymbolError> = symbol.into_deserializer();
        Ok(T::deserialize(known).unwrap_or_default())
    }
}
