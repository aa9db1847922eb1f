//! Table `inbox`: a user's chat list, one row a chat, made from the topic `users`; its versions are
//! positions of `chats`, so that it can be made again from there.
//!
//! Unread is never counted up or down: it is the difference of two places ([`unread`]).

use super::member_chats::UserPartition;
use crate::events::{Body, BodyKind};
use crate::ids::{ChatId, UserId};
use crate::position::{Ordinal, Seq, Timestamp};

/// Characters of a text that a chat list shows at most.
pub const MAX_PREVIEW_CHARS: usize = 120;

table! {
    /// One line of a user's chat list.
    "inbox", InboxRow, InboxKey, UserPartition;
    part {
        /// The user.
        user: UserId,
    }
    cluster {
        /// The chat.
        chat: ChatId => Asc,
    }
    values {
        /// The newest place that the user sees; stays where it was after a removal.
        1 head: Seq,
        /// Countable messages up to it.
        2 ordinal: Ordinal,
        /// Chat time of the newest entry.
        3 at: Timestamp,
        /// Place of the newest message; 0 before the first.
        4 preview_seq: Seq,
        /// Who wrote it.
        5 preview_author: Option<UserId>,
        /// What it is.
        6 preview_kind: BodyKind,
        /// Its first characters, see [`preview`].
        7 preview: String,
        /// Countable messages up to the user's own last send.
        8 own: Ordinal,
        /// Place of the last join; 0 in a direct chat.
        9 since: Seq,
        /// Countable messages up to the last join.
        10 since_ordinal: Ordinal,
        /// Place of the event that ended the stay; 0 while it lasts.
        11 until: Seq,
    }
}

impl InboxRow {
    /// Messages that the user has not read, given the ordinal of their read mark.
    pub fn unread(&self, read: Ordinal) -> u64 {
        unread(self.ordinal, read, self.own, self.since_ordinal)
    }
}

/// Countable messages after everything the user has read, sent or joined after; never below 0.
pub fn unread(head: Ordinal, read: Ordinal, own: Ordinal, since: Ordinal) -> u64 {
    head.0.saturating_sub(read.max(own).max(since).0)
}

/// The first [`MAX_PREVIEW_CHARS`] characters of a plain text; empty for what is no text, is
/// encrypted, or is not UTF-8.
pub fn preview(body: &Body) -> String {
    if body.kind != BodyKind::Text || body.e2e_key.is_some() {
        return String::new();
    }
    // Four bytes a character at most; a cut in the middle of one must not cost the whole text.
    let most = body
        .bytes
        .get(..MAX_PREVIEW_CHARS * 4)
        .unwrap_or(&body.bytes);
    let text = match std::str::from_utf8(most) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && most.len() < body.bytes.len() => {
            let (valid, _cut) = most.split_at(error.valid_up_to());
            std::str::from_utf8(valid).unwrap_or_default()
        }
        Err(_) => "",
    };
    let end = text.char_indices().nth(MAX_PREVIEW_CHARS);
    let shown = end.and_then(|(end, _)| text.get(..end)).unwrap_or(text);
    shown.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unread_counts_from_the_latest_of_read_own_and_join() {
        let count = |head, read, own, since| {
            unread(Ordinal(head), Ordinal(read), Ordinal(own), Ordinal(since))
        };
        assert_eq!(count(10, 4, 0, 0), 6);
        assert_eq!(count(10, 4, 9, 0), 1);
        assert_eq!(count(10, 4, 0, 10), 0);
        assert_eq!(count(3, 4, 0, 0), 0, "never below 0");
    }

    #[test]
    fn preview_is_the_beginning_of_a_text() {
        assert_eq!(preview(&Body::text("hello")), "hello");
        assert_eq!(
            preview(&Body::text("ä".repeat(500))),
            "ä".repeat(MAX_PREVIEW_CHARS)
        );
        // 1 + 3 × n: the cut at 480 bytes falls into a character.
        let text = format!("a{}", "€".repeat(500));
        assert_eq!(
            preview(&Body::text(text)).chars().count(),
            MAX_PREVIEW_CHARS
        );
        let emoji = format!("a{}", "🙂".repeat(500));
        assert_eq!(
            preview(&Body::text(emoji)).chars().count(),
            MAX_PREVIEW_CHARS
        );
    }

    #[test]
    fn what_is_no_readable_text_has_no_preview() {
        let image = Body {
            kind: BodyKind::Image,
            ..Body::text("x")
        };
        let secret = Body {
            e2e_key: Some("k".into()),
            ..Body::text("x")
        };
        let broken = Body {
            bytes: vec![b'a', 0xFF],
            ..Body::text("x")
        };
        let cut = Body {
            bytes: vec![b'a', 0xE2, 0x82],
            ..Body::text("x")
        };
        for body in [image, secret, broken, cut] {
            assert_eq!(preview(&body), "");
        }
    }
}
