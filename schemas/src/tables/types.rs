//! Which Rust types can be columns, and as what: numbers, texts, ids, blobs, flags.
//!
//! An id that may be none is an empty text; no column is ever null. Positions are unsigned here and
//! signed in CQL: none reaches 2^63, and a bound above it counts as 2^63 − 1.

use bytes::Bytes;
use compact_str::CompactString;

use super::column::{ColumnType, CqlType};
use super::messages::Bucket;
use crate::events::{BodyKind, Role};
use crate::ids::{ChatId, ClientId, DeviceId, UserId};
use crate::position::{Generation, Offset, Ordinal, Partition, Seq, Timestamp, Version};

fn bigint(bytes: &[u8]) -> Result<i64, &'static str> {
    bytes
        .try_into()
        .map(i64::from_be_bytes)
        .map_err(|_| "not 8 bytes")
}

fn int(bytes: &[u8]) -> Result<i32, &'static str> {
    bytes
        .try_into()
        .map(i32::from_be_bytes)
        .map_err(|_| "not 4 bytes")
}

fn text(bytes: &[u8]) -> Result<&str, &'static str> {
    std::str::from_utf8(bytes).map_err(|_| "not UTF-8")
}

impl ColumnType for i64 {
    const CQL: CqlType = CqlType::Bigint;

    fn wire<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
        take(&self.to_be_bytes())
    }

    fn from_wire(bytes: &[u8]) -> Result<Self, &'static str> {
        bigint(bytes)
    }

    fn absent() -> Option<Self> {
        Some(0)
    }
}

impl ColumnType for u64 {
    const CQL: CqlType = CqlType::Bigint;

    fn wire<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
        take(&i64::try_from(*self).unwrap_or(i64::MAX).to_be_bytes())
    }

    fn from_wire(bytes: &[u8]) -> Result<Self, &'static str> {
        Self::try_from(bigint(bytes)?).map_err(|_| "negative")
    }

    fn absent() -> Option<Self> {
        Some(0)
    }
}

impl ColumnType for u32 {
    const CQL: CqlType = CqlType::Int;

    fn wire<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
        take(&i32::try_from(*self).unwrap_or(i32::MAX).to_be_bytes())
    }

    fn from_wire(bytes: &[u8]) -> Result<Self, &'static str> {
        Self::try_from(int(bytes)?).map_err(|_| "negative")
    }

    fn absent() -> Option<Self> {
        Some(0)
    }
}

impl ColumnType for bool {
    const CQL: CqlType = CqlType::Boolean;

    fn wire<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
        take(&[u8::from(*self)])
    }

    fn from_wire(bytes: &[u8]) -> Result<Self, &'static str> {
        match bytes {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err("neither 0 nor 1"),
        }
    }

    fn absent() -> Option<Self> {
        Some(false)
    }
}

impl ColumnType for Timestamp {
    const CQL: CqlType = CqlType::Timestamp;

    fn wire<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
        self.0.wire(take)
    }

    fn from_wire(bytes: &[u8]) -> Result<Self, &'static str> {
        bigint(bytes).map(Self)
    }

    fn absent() -> Option<Self> {
        Some(Self(0))
    }
}

impl ColumnType for Bytes {
    const CQL: CqlType = CqlType::Blob;

    fn wire<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
        take(self)
    }

    fn from_wire(bytes: &[u8]) -> Result<Self, &'static str> {
        Ok(Self::copy_from_slice(bytes))
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

/// Newtypes over a number.
macro_rules! position {
    ($($name:ident),+) => {$(
        impl ColumnType for $name {
            const CQL: CqlType = CqlType::of(&$name(0).0);

            fn wire<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
                self.0.wire(take)
            }

            fn from_wire(bytes: &[u8]) -> Result<Self, &'static str> {
                ColumnType::from_wire(bytes).map(Self)
            }

            fn absent() -> Option<Self> {
                Some(Self(0))
            }
        }
    )+};
}

impl CqlType {
    /// The column type of a value's type.
    const fn of<T: ColumnType>(_: &T) -> Self {
        T::CQL
    }
}

position!(Seq, Ordinal, Offset, Version, Bucket, Partition, Generation);

/// Free texts: an empty one stands for "not written yet".
macro_rules! free_text {
    ($($name:ident),+) => {$(
        impl ColumnType for $name {
            const CQL: CqlType = CqlType::Text;

            fn wire<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
                take(self.as_bytes())
            }

            fn from_wire(bytes: &[u8]) -> Result<Self, &'static str> {
                text(bytes).map(Self::from)
            }

            fn absent() -> Option<Self> {
                Some(Self::default())
            }
        }
    )+};
}

free_text!(String, CompactString);

/// Ids: checked when read, none has an absent value; `Option` of one is an empty text.
macro_rules! id {
    ($($name:ident),+) => {$(
        impl ColumnType for $name {
            const CQL: CqlType = CqlType::Text;

            fn wire<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
                take(self.as_str().as_bytes())
            }

            fn from_wire(bytes: &[u8]) -> Result<Self, &'static str> {
                Self::new(text(bytes)?).map_err(|_| concat!("not a canonical ", stringify!($name)))
            }

            fn absent() -> Option<Self> {
                None
            }
        }

        impl ColumnType for Option<$name> {
            const CQL: CqlType = CqlType::Text;

            fn wire<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
                take(self.as_ref().map_or("", $name::as_str).as_bytes())
            }

            fn from_wire(bytes: &[u8]) -> Result<Self, &'static str> {
                if bytes.is_empty() { Ok(None) } else { $name::from_wire(bytes).map(Some) }
            }

            fn absent() -> Option<Self> {
                Some(None)
            }
        }
    )+};
}

id!(UserId, DeviceId, ClientId, ChatId);

/// Closed enums, by their names on the wire.
macro_rules! named {
    ($name:ident, $unknown:expr, $($variant:ident = $text:literal),+) => {
        impl ColumnType for $name {
            const CQL: CqlType = CqlType::Text;

            fn wire<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
                let text: &str = match self {
                    $(Self::$variant => $text,)+
                };
                take(text.as_bytes())
            }

            fn from_wire(bytes: &[u8]) -> Result<Self, &'static str> {
                match bytes {
                    $(b if b == $text.as_bytes() => Ok(Self::$variant),)+
                    _ => $unknown,
                }
            }

            fn absent() -> Option<Self> {
                Some(Self::default())
            }
        }
    };
}

named!(
    Role,
    Err("not a role"),
    Member = "member",
    Admin = "admin",
    Owner = "owner"
);
named!(
    BodyKind,
    Ok(Self::Unknown),
    Unknown = "unknown",
    Text = "text",
    Image = "image",
    Video = "video",
    Audio = "audio",
    Document = "document",
    Location = "location"
);
