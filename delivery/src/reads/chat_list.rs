//! The chat list: inbox ⋈ read marks ⋈ settings ⋈ titles; pinned first, then newest first.
//!
//! The cursor names the last chat of a page and where it stood, so that a page does not depend on
//! what moved above it meanwhile.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use infra_ports::StoreError;
use schemas::errors::{Code, Refusal};
use schemas::frames::{ChatSummary, Chats, ChatsQuery, PAGE, Preview};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Seq, Timestamp};
use schemas::tables::{ChatKey, ChatRow, ChatSettingRow, CursorRow, InboxRow, UserPartition};

use super::{Reads, page_size, unavailable};

/// Where a chat stands in the list; smaller is further up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    unpinned: bool,
    at: Reverse<Timestamp>,
    chat: ChatId,
}

impl Place {
    fn of(summary: &ChatSummary) -> Self {
        let (at, chat) = (Reverse(summary.at), summary.chat.clone());
        Self {
            unpinned: !summary.pinned,
            at,
            chat,
        }
    }

    fn cursor(&self) -> String {
        let pinned = if self.unpinned { 'u' } else { 'p' };
        format!("{pinned}{}.{}", self.at.0, self.chat)
    }

    fn parse(cursor: &str) -> Option<Self> {
        let unpinned = match cursor.get(..1)? {
            "u" => true,
            "p" => false,
            _ => return None,
        };
        let (at, chat) = cursor.get(1..)?.split_once('.')?;
        let at = Reverse(Timestamp(at.parse().ok()?));
        Some(Self {
            unpinned,
            at,
            chat: ChatId::new(chat).ok()?,
        })
    }
}

impl Reads {
    /// A page of a user's chat list, as the tables have it: whether they are behind is for the asker
    /// to say.
    ///
    /// # Errors
    /// `invalid_field` for a bad limit or cursor, `unavailable`.
    pub async fn chats(&self, user: &UserId, query: &ChatsQuery) -> Result<Chats, Refusal> {
        let limit = page_size(query.limit, PAGE)?;
        let bad = || Refusal::new(Code::InvalidField, "cursor: not one of ours");
        let after = match &query.cursor {
            Some(cursor) => Some(Place::parse(cursor).ok_or_else(bad)?),
            None => None,
        };
        let _turn = self.turn().await?;
        let page = async {
            let partition = UserPartition { user: user.clone() };
            let inbox = self.all_rows::<InboxRow>(&partition, Bytes::new()).await?;
            let listed: BTreeSet<ChatId> = inbox.iter().map(|row| row.chat.clone()).collect();
            let read = self.read_rows(user, |chat| listed.contains(chat)).await?;
            // Anybody may mute what they were never in: that is read, and not kept.
            let listed = |row: &ChatSettingRow| listed.contains(&row.chat);
            let settings = self.rows_of(&partition, Bytes::new(), listed).await?;
            let mut page = page(join(inbox, read, settings), after.as_ref(), limit);
            self.entitle(&mut page.chats).await?;
            Ok(page)
        };
        page.await.map_err(|error: StoreError| unavailable(&error))
    }

    /// Adds the titles of groups; who has left gets none, since the present one may have been given
    /// after they left.
    async fn entitle(&self, chats: &mut [ChatSummary]) -> Result<(), StoreError> {
        let named = |summary: &&mut ChatSummary| summary.chat.is_group() && summary.member;
        for summary in chats.iter_mut().filter(named) {
            let key = ChatKey {
                chat: summary.chat.clone(),
            };
            summary.title = self
                .row::<ChatRow>(&key)
                .await?
                .map(|row| row.title)
                .unwrap_or_default();
        }
        Ok(())
    }
}

/// All lines of the list, in no order. Pure.
fn join(
    inbox: Vec<InboxRow>,
    read: Vec<CursorRow>,
    settings: Vec<ChatSettingRow>,
) -> Vec<ChatSummary> {
    let mut read: BTreeMap<_, _> = read
        .into_iter()
        .map(|row| (row.chat.clone(), row))
        .collect();
    let mut settings: BTreeMap<_, _> = settings
        .into_iter()
        .map(|row| (row.chat.clone(), row))
        .collect();
    let line = |row: InboxRow| {
        let (read, setting) = (read.remove(&row.chat), settings.remove(&row.chat));
        line(row, read, setting)
    };
    inbox.into_iter().map(line).collect()
}

fn line(row: InboxRow, read: Option<CursorRow>, setting: Option<ChatSettingRow>) -> ChatSummary {
    let (read, read_ordinal) = read.map(|row| (row.seq, row.ordinal)).unwrap_or_default();
    let preview = match (row.preview_seq, row.preview_author.clone()) {
        (seq, Some(author)) if seq > Seq(0) => {
            let (kind, text) = (row.preview_kind, row.preview.clone());
            Some(Preview {
                seq,
                author,
                kind,
                text,
            })
        }
        _ => None,
    };
    let setting = setting.as_ref();
    ChatSummary {
        title: String::new(),
        head: row.head,
        ordinal: row.ordinal,
        at: row.at,
        unread: row.unread(read_ordinal),
        read,
        preview,
        muted_until: setting.map(|s| s.muted_until).unwrap_or_default(),
        archived: setting.is_some_and(|s| s.archived),
        pinned: setting.is_some_and(|s| s.pinned),
        member: row.until == Seq(0),
        chat: row.chat,
    }
}

/// One page of the list. Pure.
fn page(mut chats: Vec<ChatSummary>, after: Option<&Place>, limit: usize) -> Chats {
    chats.retain(|summary| after.is_none_or(|after| Place::of(summary) > *after));
    chats.sort_by_cached_key(Place::of);
    let more = chats.len() > limit;
    chats.truncate(limit);
    let cursor = chats
        .last()
        .filter(|_| more)
        .map(|last| Place::of(last).cursor());
    Chats {
        chats,
        cursor,
        behind: false,
    }
}

#[cfg(test)]
mod tests {
    use schemas::events::BodyKind;
    use schemas::position::Ordinal;

    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn inbox(chat: &str, at: i64, ordinal: u64) -> InboxRow {
        InboxRow {
            user: user("ada"),
            chat: ChatId::new(chat).unwrap(),
            head: Seq(ordinal + 1),
            ordinal: Ordinal(ordinal),
            at: Timestamp(at),
            preview_seq: Seq(ordinal),
            preview_author: Some(user("bob")),
            preview_kind: BodyKind::Text,
            preview: "hi".into(),
            own: Ordinal(2),
            since: Seq(0),
            since_ordinal: Ordinal(0),
            until: Seq(0),
        }
    }

    fn names(page: &Chats) -> Vec<&str> {
        page.chats
            .iter()
            .map(|summary| summary.chat.as_str())
            .collect()
    }

    #[test]
    fn unread_counts_what_came_after_the_read_mark_and_the_own_last_send() {
        let read = |ordinal| CursorRow {
            user: user("ada"),
            device: None,
            chat: ChatId::new("d.ada.bob").unwrap(),
            seq: Seq(9),
            ordinal: Ordinal(ordinal),
            since: Seq(0),
        };
        let unread = |read| join(vec![inbox("d.ada.bob", 1, 10)], read, Vec::new())[0].unread;
        assert_eq!(unread(Vec::new()), 8, "after the own last send");
        assert_eq!(unread(vec![read(7)]), 3, "after the read mark");
        assert_eq!(unread(vec![read(12)]), 0);
    }

    #[test]
    fn pages_follow_each_other_pinned_first_then_newest_first() {
        let pin = ChatSettingRow {
            user: user("ada"),
            chat: ChatId::new("d.ada.bob").unwrap(),
            muted_until: Timestamp(0),
            archived: false,
            pinned: true,
        };
        let rows = || {
            let rows = [
                ("d.ada.bob", 1),
                ("d.ada.cyd", 5),
                ("d.ada.dan", 9),
                ("d.ada.eve", 5),
            ];
            let inbox = rows.map(|(chat, at)| inbox(chat, at, 3)).to_vec();
            join(inbox, Vec::new(), vec![pin.clone()])
        };
        let first = page(rows(), None, 3);
        assert_eq!(names(&first), ["d.ada.bob", "d.ada.dan", "d.ada.cyd"]);
        let after = Place::parse(first.cursor.as_deref().unwrap()).unwrap();
        let last = page(rows(), Some(&after), 3);
        assert_eq!((names(&last), &last.cursor), (vec!["d.ada.eve"], &None));
        assert_eq!(Place::parse("x1.d.a.b"), None);
        assert_eq!(Place::parse("u.d.a.b"), None);
    }
}
