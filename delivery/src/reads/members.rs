//! Who is in a chat.

use bytes::Bytes;
use schemas::errors::{Code, Refusal};
use schemas::events::Role;
use schemas::frames::{Member, Members};
use schemas::ids::{ChatId, UserId};
use schemas::position::Seq;
use schemas::tables::{ChatPartition, MemberRow};

use super::{Reads, unavailable};

impl Reads {
    /// The members of a chat, in user id order. Only for members.
    ///
    /// # Errors
    /// `chat_not_found`, `not_member` for who is none now, `unavailable`.
    pub async fn members(&self, user: &UserId, chat: &ChatId) -> Result<Members, Refusal> {
        let access = self.access(user, chat).await?;
        if !access.is_member() {
            return Err(Refusal::plain(Code::NotMember));
        }
        let members = match chat.pair() {
            Some((a, b)) => [a, b].map(in_direct_chat).to_vec(),
            None => in_group(self.member_rows(chat).await?),
        };
        let (title, description, max_members) = match access.chat {
            Some(row) => (row.title, row.description, row.max_members),
            None => (String::new(), String::new(), 2),
        };
        Ok(Members {
            chat: chat.clone(),
            title,
            description,
            max_members,
            members,
        })
    }

    /// Every stay of every member, in user id order.
    pub(super) async fn member_rows(&self, chat: &ChatId) -> Result<Vec<MemberRow>, Refusal> {
        let partition = ChatPartition { chat: chat.clone() };
        let rows = self.all_rows::<MemberRow>(&partition, Bytes::new()).await;
        rows.map_err(|error| unavailable(&error))
    }
}

fn in_direct_chat(user: UserId) -> Member {
    Member {
        user,
        role: Role::Member,
        since: Seq(0),
    }
}

fn in_group(rows: Vec<MemberRow>) -> Vec<Member> {
    let open = rows.into_iter().filter(|row| row.until == Seq(0));
    open.map(|row| Member {
        user: row.user,
        role: row.role,
        since: row.since,
    })
    .collect()
}
