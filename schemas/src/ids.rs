//! Who and what: user, device, chat, client message id, message id.
//!
//! Every id is checked when it is made and only its canonical form is accepted; the UTF-8 bytes
//! of an id are its key in the log. Nothing here allocates for ids of up to 24 bytes.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::position::Timestamp;

/// The longest user, device or client message id, in bytes.
pub const MAX_ID_BYTES: usize = 64;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Empty, longer than [`MAX_ID_BYTES`], or with a character that is not allowed.
    #[error("{what} must be 1 to 64 characters of {allowed}")]
    Malformed {
        /// Which id it should have been.
        what: &'static str,
        /// The characters allowed in it.
        allowed: &'static str,
    },
    /// Neither `d.<a>.<b>` with a < b, nor `g.<32 hexadecimal digits>`.
    #[error("a chat id is d.<a>.<b> with a < b bytewise, or g. and 32 hexadecimal digits")]
    Chat,
}

macro_rules! text_id {
    ($(#[$m:meta])* $name:ident, $what:literal, $allowed:literal, $ok:expr) => {
        $(#[$m])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "CompactString", into = "CompactString")]
        pub struct $name(CompactString);

        impl $name {
            /// Checks the text and takes it as an id.
            ///
            /// # Errors
            /// When the text is not in canonical form.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                Self::try_from(CompactString::from(text.as_ref()))
            }

            /// The id's text; its bytes are the key in the log.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<CompactString> for $name {
            type Error = IdError;
            fn try_from(text: CompactString) -> Result<Self, IdError> {
                // Named here and not through a pointer, which would be called for each byte.
                if !is_short(&text) || !text.bytes().all($ok) {
                    return Err(IdError::Malformed { what: $what, allowed: $allowed });
                }
                Ok(Self(text))
            }
        }

        impl From<$name> for CompactString {
            fn from(id: $name) -> CompactString {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

fn is_short(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_ID_BYTES
}

fn is_user(text: &str) -> bool {
    is_short(text) && text.bytes().all(lower)
}

fn lower(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-'
}

text_id!(
    /// A user: `[a-z0-9_-]{1,64}`.
    UserId, "a user id", "a-z, 0-9, _ and -", lower
);
text_id!(
    /// A device of a user: `[a-z0-9_-]{1,64}`.
    DeviceId, "a device id", "a-z, 0-9, _ and -", lower
);
text_id!(
    /// The id a client gives to a command so that a resend is known: printable ASCII, 1 to 64.
    ClientId, "a client id", "printable ASCII without space", |b| b.is_ascii_graphic()
);

/// A chat: `d.<a>.<b>` for the direct chat of users a < b, or `g.<32 hex>` for a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "CompactString", into = "CompactString")]
pub struct ChatId(CompactString);

impl ChatId {
    /// Checks the text and takes it as a chat id.
    ///
    /// # Errors
    /// [`IdError::Chat`] when it is not canonical.
    pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
        Self::try_from(CompactString::from(text.as_ref()))
    }

    /// The direct chat of two users, whichever is named first; a chat with oneself does not exist.
    ///
    /// # Errors
    /// [`IdError::Chat`] when both are the same user.
    pub fn direct(one: &UserId, other: &UserId) -> Result<Self, IdError> {
        let (a, b) = if one < other {
            (one, other)
        } else {
            (other, one)
        };
        Self::new(format!("d.{a}.{b}"))
    }

    /// The group made by the create command that this user, device and client id name.
    pub fn group(author: &UserId, device: &DeviceId, client: &ClientId) -> Self {
        let id = digest_of(&["group", author.as_str(), device.as_str(), client.as_str()]);
        Self(compact_str::format_compact!("g.{}", MessageId(id)))
    }

    /// The id's text; its bytes are the key in the log.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The two members of a direct chat, in byte order; `None` for a group.
    pub fn pair(&self) -> Option<(UserId, UserId)> {
        let (a, b) = self.0.strip_prefix("d.")?.split_once('.')?;
        Some((UserId::new(a).ok()?, UserId::new(b).ok()?))
    }

    /// True for a group.
    pub fn is_group(&self) -> bool {
        self.0.starts_with("g.")
    }
}

impl TryFrom<CompactString> for ChatId {
    type Error = IdError;
    fn try_from(text: CompactString) -> Result<Self, IdError> {
        let ok = match text.split_once('.') {
            Some(("d", pair)) => pair
                .split_once('.')
                .is_some_and(|(a, b)| a < b && is_user(a) && is_user(b)),
            Some(("g", hex)) => {
                hex.len() == 32
                    && hex
                        .bytes()
                        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            }
            _ => false,
        };
        if ok {
            Ok(Self(text))
        } else {
            Err(IdError::Chat)
        }
    }
}

impl From<ChatId> for CompactString {
    fn from(id: ChatId) -> CompactString {
        id.0
    }
}

impl std::fmt::Display for ChatId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// When the token's time is over.
    pub expires_at: Timestamp,
}

/// Names a command for ever: the first 16 bytes of SHA-256 over (chat, user, device, client id),
/// so that a resend gets the same id, whichever node answers. Shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 16]);

impl MessageId {
    /// The id of the command that these four name.
    pub fn of(chat: &ChatId, user: &UserId, device: &DeviceId, client: &ClientId) -> Self {
        Self(digest_of(&[
            "message",
            chat.as_str(),
            user.as_str(),
            device.as_str(),
            client.as_str(),
        ]))
    }

    /// The id as clients see it.
    pub fn text(&self) -> CompactString {
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        // Digits are one byte each.
        CompactString::from_utf8(text).unwrap_or_default()
    }
}

impl std::fmt::Display for MessageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

impl std::fmt::Debug for MessageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MessageId({self})")
    }
}

impl Serialize for MessageId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text())
    }
}

/// The hexadecimal digit of a number below 16.
fn digit(number: u8) -> u8 {
    match number {
        0..=9 => b'0' + number,
        _ => b'a' + number - 10,
    }
}

/// Each part ends with a zero byte, which no id contains, so no two lists read the same.
fn digest_of(parts: &[&str]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let full: [u8; 32] = hash.finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(full.split_at(16).0);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_ids_are_accepted() {
        for bad in ["", "Ada", "a.b", "a b", "ä", &"x".repeat(65)] {
            assert!(UserId::new(bad).is_err(), "{bad:?}");
        }
        assert!(UserId::new("a-da_9").is_ok());
        for bad in [
            "d.b.a", "d.a.a", "d.a", "g.12", "g.ABCDEF", "x.a.b", "", "d.a.b.c",
        ] {
            assert!(ChatId::new(bad).is_err(), "{bad:?}");
        }
        assert!(ChatId::new("d.ada.bob").is_ok());
    }

    #[test]
    fn direct_chat_is_the_same_from_both_sides() {
        let (a, b) = (UserId::new("ada").unwrap(), UserId::new("bob").unwrap());
        assert_eq!(ChatId::direct(&a, &b), ChatId::direct(&b, &a));
        assert!(ChatId::direct(&a, &a).is_err());
        assert_eq!(ChatId::direct(&a, &b).unwrap().pair(), Some((a, b)));
    }

    #[test]
    fn message_id_depends_on_every_part() {
        let (u, d) = (UserId::new("ada").unwrap(), DeviceId::new("phone").unwrap());
        let c = ClientId::new("1").unwrap();
        let chat = ChatId::group(&u, &d, &c);
        assert!(ChatId::new(chat.as_str()).is_ok());
        let id = MessageId::of(&chat, &u, &d, &c);
        assert_ne!(
            id,
            MessageId::of(&chat, &u, &d, &ClientId::new("2").unwrap())
        );
        assert_eq!(id, MessageId::of(&chat, &u, &d, &c));
    }

    #[test]
    fn a_message_id_is_shown_as_lowercase_hexadecimal_digits() {
        let id = MessageId(*b"\x00\x09\x0a\x0f\x10\x99\xaa\xff\x7f\x80\x01\x23\x45\x67\x89\xef");
        assert_eq!(id.to_string(), "00090a0f1099aaff7f800123456789ef");
        assert_eq!(id.text(), id.to_string());
    }
}
