//! A message body on the wire: text as text, everything else as base64.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::errors::{Code, Refusal};
use crate::events::{Body, BodyKind};
use crate::frames::MAX_BODY_BYTES;

/// A body as clients write and read it: exactly one of `text` and `data`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireBody {
    /// text, image, video, audio, document or location.
    pub kind: BodyKind,
    /// Media type; `text/plain` where left out with `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<CompactString>,
    /// The content, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The content in base64 (RFC 4648, 4), where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Structured extras: caption, width, latitude …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Key of the end-to-end encryption, when the content is ciphertext.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e2e_key: Option<String>,
}

impl WireBody {
    /// A plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            kind: BodyKind::Text,
            text: Some(text.into()),
            ..Self::default()
        }
    }

    /// The body as the log keeps it.
    ///
    /// # Errors
    /// `invalid_field` when there is not exactly one content, the kind is unknown, a media type is
    /// missing or the base64 is not; `body_too_large` over [`MAX_BODY_BYTES`]; `too_long` when there
    /// are more than 32 fields or they hold more than 8 KiB.
    pub fn into_body(self) -> Result<Body, Refusal> {
        let invalid = |what: &str| Refusal::new(Code::InvalidField, what);
        if self.kind == BodyKind::Unknown {
            return Err(invalid(
                "body.kind: text, image, video, audio, document or location",
            ));
        }
        let is_text = self.text.is_some();
        let bytes = match (self.text, self.data) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(data)) => STANDARD
                .decode(data)
                .map_err(|_| invalid("body.data: not base64"))?,
            _ => return Err(invalid("body: exactly one of text and data")),
        };
        if bytes.len() > MAX_BODY_BYTES {
            return Err(Refusal::plain(Code::BodyTooLarge));
        }
        if bytes.is_empty() {
            return Err(invalid("body: the content is empty"));
        }
        let content_type = match self.content_type {
            Some(given) if is_media_type(&given) => given,
            None if is_text => CompactString::const_new("text/plain"),
            _ => return Err(invalid("body.content_type: a media type such as image/png")),
        };
        let fields_bytes: usize = self.fields.iter().map(|(k, v)| k.len() + v.len()).sum();
        if self.fields.len() > 32 || fields_bytes > 8 * 1024 {
            return Err(Refusal::new(
                Code::TooLong,
                "body.fields: at most 32, at most 8 KiB",
            ));
        }
        if self
            .e2e_key
            .as_ref()
            .is_some_and(|key| key.is_empty() || key.len() > 256)
        {
            return Err(invalid("body.e2e_key: 1 to 256 bytes"));
        }
        let (kind, fields, e2e_key) = (self.kind, self.fields, self.e2e_key);
        Ok(Body {
            kind,
            content_type,
            bytes,
            fields,
            e2e_key,
            storage_key: None,
        })
    }
}

impl From<&Body> for WireBody {
    fn from(body: &Body) -> Self {
        let text = std::str::from_utf8(&body.bytes)
            .ok()
            .filter(|_| body.e2e_key.is_none() && body.content_type.starts_with("text/"));
        let plain = text.is_some() && body.content_type == "text/plain";
        Self {
            kind: body.kind,
            content_type: (!plain).then(|| body.content_type.clone()),
            text: text.map(str::to_owned),
            data: text.is_none().then(|| STANDARD.encode(&body.bytes)),
            fields: body.fields.clone(),
            e2e_key: body.e2e_key.clone(),
        }
    }
}

fn is_media_type(text: &str) -> bool {
    let ok = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
    };
    text.len() <= 127 && text.split_once('/').is_some_and(|(a, b)| ok(a) && ok(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_data_come_back_as_they_went() {
        let text = WireBody::text("hello");
        assert_eq!(WireBody::from(&text.clone().into_body().unwrap()), text);
        let image = WireBody {
            kind: BodyKind::Image,
            content_type: Some("image/png".into()),
            data: Some("AAEC".into()),
            ..WireBody::default()
        };
        assert_eq!(WireBody::from(&image.clone().into_body().unwrap()), image);
    }

    #[test]
    fn what_is_no_body_is_refused_with_its_code() {
        let base = WireBody::text("x");
        let cases = [
            (
                WireBody {
                    kind: BodyKind::Unknown,
                    ..base.clone()
                },
                Code::InvalidField,
            ),
            (
                WireBody {
                    text: None,
                    ..base.clone()
                },
                Code::InvalidField,
            ),
            (
                WireBody {
                    data: Some("AA==".into()),
                    ..base.clone()
                },
                Code::InvalidField,
            ),
            (
                WireBody {
                    text: None,
                    data: Some("!".into()),
                    ..base.clone()
                },
                Code::InvalidField,
            ),
            (
                WireBody {
                    text: None,
                    data: Some("AA==".into()),
                    ..base.clone()
                },
                Code::InvalidField,
            ),
            (
                WireBody {
                    content_type: Some("png".into()),
                    ..base.clone()
                },
                Code::InvalidField,
            ),
            (WireBody::text(""), Code::InvalidField),
            (
                WireBody::text("x".repeat(MAX_BODY_BYTES + 1)),
                Code::BodyTooLarge,
            ),
            (
                WireBody {
                    fields: [("a".into(), "x".repeat(9000))].into(),
                    ..base.clone()
                },
                Code::TooLong,
            ),
        ];
        for (body, code) in cases {
            assert_eq!(body.into_body().unwrap_err().code, code);
        }
    }
}
