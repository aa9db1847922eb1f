//! Table `overlays`: what became of a message (its deletion, its last edit, the last reaction of
//! each member), by the place of the message, made from the topic `chats`.
//!
//! A page of history is one scan of `messages` and one of this. A reaction that was taken back is
//! a row whose event says so.

use bytes::Bytes;
use compact_str::{CompactString, format_compact};

use super::messages::{Bucket, BucketPartition};
use crate::ids::{ChatId, UserId};
use crate::position::{Seq, Timestamp};

/// `what` of a deletion for everyone.
pub const DELETED: CompactString = CompactString::const_new("deleted");

/// `what` of the last edit.
pub const EDITED: CompactString = CompactString::const_new("edited");

const REACTION: &str = "reaction.";

/// `what` of a user's reaction.
pub fn reaction_of(user: &UserId) -> CompactString {
    format_compact!("{REACTION}{user}")
}

/// Whose reaction this `what` names; none when it is not a reaction.
pub fn reaction_author(what: &str) -> Option<UserId> {
    UserId::new(what.strip_prefix(REACTION)?).ok()
}

table! {
    /// One thing that became of a message.
    "overlays", OverlayRow, OverlayKey, BucketPartition;
    part {
        /// The chat.
        chat: ChatId,
        /// The bucket of the target.
        bucket: Bucket,
    }
    cluster {
        /// The message.
        target: Seq => Asc,
        /// [`DELETED`], [`EDITED`] or [`reaction_of`] a user.
        what: CompactString => Asc,
    }
    values {
        /// Place of the change.
        1 seq: Seq,
        /// Chat time of the change.
        2 at: Timestamp,
        /// The event of `chats`, single-object encoded.
        3 event: Bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaction_names_its_author() {
        let ada = UserId::new("ada").unwrap();
        assert_eq!(reaction_author(&reaction_of(&ada)), Some(ada));
        assert_eq!(reaction_author(&EDITED), None);
        assert_eq!(reaction_author("reaction."), None);
    }
}
