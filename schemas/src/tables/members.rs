//! Table `members`: who is and was in a chat, one row a stay, made from the topic `chats`.
//!
//! What a person sees of a chat is the union of their stays, each from the entry that made them a
//! member to the one that ended it, their own removal included.

use super::chats::ChatPartition;
use crate::events::Role;
use crate::ids::{ChatId, UserId};
use crate::position::{Ordinal, Seq, Timestamp};

table! {
    /// One stay of a member in a chat.
    "members", MemberRow, MemberKey, ChatPartition;
    part {
        /// The chat.
        chat: ChatId,
    }
    cluster {
        /// The member.
        user: UserId => Asc,
        /// Place of the event that made them a member; 0 in a direct chat.
        since: Seq => Asc,
    }
    values {
        /// Countable messages up to the join.
        1 since_ordinal: Ordinal,
        /// Place of the event that ended the stay; 0 while it lasts.
        2 until: Seq,
        /// What they may do, or might at the end.
        3 role: Role,
        /// Chat time of the join.
        4 joined_at: Timestamp,
    }
}

/// The stretch of a chat that one stay lets its member see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stay {
    /// Place of the event that made them a member; 0 in a direct chat.
    pub since: Seq,
    /// Place of the event that ended the stay; 0 while it lasts.
    pub until: Seq,
}

impl Stay {
    /// True while it lasts.
    pub fn is_open(self) -> bool {
        self.until == Seq(0)
    }

    /// True when the member sees this place: from the entry of the join to that of the end, both
    /// included.
    pub fn sees(self, seq: Seq) -> bool {
        seq > Seq(0) && seq >= self.since && (self.is_open() || seq <= self.until)
    }
}

impl From<&MemberRow> for Stay {
    fn from(row: &MemberRow) -> Self {
        Self {
            since: row.since,
            until: row.until,
        }
    }
}

/// True when somebody with these stays sees this place of the chat.
pub fn visible(stays: &[Stay], seq: Seq) -> bool {
    stays.iter().any(|stay| stay.sees(seq))
}

/// The first place from `from` on that somebody with these stays sees, if there is one up to
/// `head`.
pub fn first_visible(stays: &[Stay], from: Seq, head: Seq) -> Option<Seq> {
    let from = from.max(Seq(1));
    let first = stays.iter().filter_map(|stay| {
        let seq = from.max(stay.since);
        (seq <= head && stay.sees(seq)).then_some(seq)
    });
    first.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stay(since: u64, until: u64) -> Stay {
        Stay {
            since: Seq(since),
            until: Seq(until),
        }
    }

    #[test]
    fn a_person_sees_the_union_of_their_stays_with_join_and_end() {
        let stays = [stay(3, 5), stay(8, 0)];
        let seen: Vec<u64> = (0..12).filter(|s| visible(&stays, Seq(*s))).collect();
        assert_eq!(seen, [3, 4, 5, 8, 9, 10, 11]);
        assert!(!visible(&[], Seq(1)));
    }

    #[test]
    fn a_direct_chat_is_seen_from_its_first_event() {
        let seen: Vec<u64> = (0..4).filter(|s| stay(0, 0).sees(Seq(*s))).collect();
        assert_eq!(seen, [1, 2, 3]);
    }

    #[test]
    fn the_first_visible_place_agrees_with_looking_at_each() {
        let stays = [stay(8, 0), stay(3, 5)];
        for from in 0..12 {
            let naive = (from..=9).map(Seq).find(|s| visible(&stays, *s));
            assert_eq!(
                first_visible(&stays, Seq(from), Seq(9)),
                naive,
                "from {from}"
            );
        }
    }
}
