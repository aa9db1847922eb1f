//! Who may read what of a chat: the stays of a person, and the newest place they see.

use schemas::errors::{Code, Refusal};
use schemas::ids::{ChatId, UserId};
use schemas::position::Seq;
use schemas::tables::{
    ChatKey, ChatPartition, ChatRow, MemberKey, MemberRow, Stay, encode_cluster_prefix,
};

use super::{Reads, unavailable};

/// What one person may read of a chat.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// Their stays; at least one.
    pub(super) stays: Vec<Stay>,
    /// The chat; none for a direct chat in which nothing happened yet.
    pub(super) chat: Option<ChatRow>,
}

impl Access {
    /// The newest place that they see and that the tables have; 0 before the first.
    pub(super) fn head(&self) -> Seq {
        let head = self.chat.as_ref().map_or(Seq(0), |chat| chat.head);
        last_visible(&self.stays, head).unwrap_or_default()
    }

    /// True while they are a member.
    pub(super) fn is_member(&self) -> bool {
        self.stays.iter().any(|stay| stay.is_open())
    }
}

/// The last place up to `through` that somebody with these stays sees.
pub(super) fn last_visible(stays: &[Stay], through: Seq) -> Option<Seq> {
    let last = stays.iter().filter_map(|stay| {
        let seq = if stay.is_open() {
            through
        } else {
            through.min(stay.until)
        };
        stay.sees(seq).then_some(seq)
    });
    last.max()
}

impl Reads {
    /// The stays of a user in a chat, oldest first; none for who never was in it.
    ///
    /// # Errors
    /// `unavailable` when the tables do not answer.
    pub async fn stays(&self, user: &UserId, chat: &ChatId) -> Result<Vec<Stay>, Refusal> {
        if let Some((a, b)) = chat.pair() {
            let stay = Stay {
                since: Seq(0),
                until: Seq(0),
            };
            return Ok(if *user == a || *user == b {
                vec![stay]
            } else {
                Vec::new()
            });
        }
        let key = MemberKey {
            chat: chat.clone(),
            user: user.clone(),
            since: Seq(0),
        };
        let prefix = encode_cluster_prefix::<MemberRow>(&key, 1).into();
        let partition = ChatPartition { chat: chat.clone() };
        let rows = self.all_rows::<MemberRow>(&partition, prefix).await;
        let rows = rows.map_err(|error| unavailable(&error))?;
        Ok(rows.iter().map(Stay::from).collect())
    }

    /// The newest place of a chat that a user sees; 0 before the first.
    ///
    /// # Errors
    /// As [`Reads::timeline`].
    pub async fn visible_head(&self, user: &UserId, chat: &ChatId) -> Result<Seq, Refusal> {
        Ok(self.access(user, chat).await?.head())
    }

    /// What a user may read of a chat.
    pub(super) async fn access(&self, user: &UserId, chat: &ChatId) -> Result<Access, Refusal> {
        let row = self.row::<ChatRow>(&ChatKey { chat: chat.clone() }).await;
        let row = row.map_err(|error| unavailable(&error))?;
        let stays = self.stays(user, chat).await?;
        match (stays.is_empty(), &row) {
            (false, _) => Ok(Access { stays, chat: row }),
            (true, Some(_)) => Err(Refusal::plain(Code::NotMember)),
            (true, None) if chat.is_group() => Err(Refusal::plain(Code::ChatNotFound)),
            (true, None) => Err(Refusal::plain(Code::NotMember)),
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::tables::visible;

    use super::*;

    #[test]
    fn the_last_visible_place_agrees_with_looking_at_each() {
        let stay = |since, until| Stay {
            since: Seq(since),
            until: Seq(until),
        };
        for stays in [
            vec![stay(3, 5), stay(8, 0)],
            vec![stay(3, 5)],
            vec![stay(0, 0)],
            vec![],
        ] {
            for through in 0..12 {
                let naive = (0..=through)
                    .rev()
                    .map(Seq)
                    .find(|seq| visible(&stays, *seq));
                assert_eq!(
                    last_visible(&stays, Seq(through)),
                    naive,
                    "{stays:?} {through}"
                );
            }
        }
    }
}
