//! The body of a message: opaque bytes with a content type.

use std::collections::BTreeMap;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

/// What a body is, for previews and clients; the server never looks inside.
///
/// In Avro an enum with the default `unknown`, so that a kind added later breaks no reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    /// A kind of a later version.
    #[default]
    Unknown,
    /// Text, as UTF-8.
    Text,
    /// A picture.
    Image,
    /// A film.
    Video,
    /// Sound.
    Audio,
    /// Any file.
    Document,
    /// A place.
    Location,
}

/// The body of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// What it is.
    #[serde(deserialize_with = "super::symbols::or_default")]
    pub kind: BodyKind,
    /// Media type of `bytes`, as `text/plain`.
    pub content_type: CompactString,
    /// The content, opaque: text, a media reference, ciphertext.
    #[serde(
        serialize_with = "serde_bytes::serialize",
        deserialize_with = "super::octets::copied"
    )]
    pub bytes: Vec<u8>,
    /// Structured extras that the server relays: caption, width, latitude …
    pub fields: BTreeMap<String, String>,
    /// Key of the end-to-end encryption, when `bytes` are ciphertext the server cannot read.
    pub e2e_key: Option<String>,
    /// Key under which the log keeps `bytes`, so that a body can be erased by dropping the key.
    pub storage_key: Option<String>,
}

impl Body {
    /// A plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            kind: BodyKind::Text,
            content_type: CompactString::const_new("text/plain"),
            bytes: text.into().into_bytes(),
            fields: BTreeMap::new(),
            e2e_key: None,
            storage_key: None,
        }
    }
}
