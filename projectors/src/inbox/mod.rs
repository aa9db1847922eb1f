//! inbox: folds the topic `users` into one row a (user, chat): the chat list with exact unread
//! counts.
//!
//! Rows are versioned by the `chats` offset that each record carries, not by the record's own place
//! in `users`: that topic may be lost, doubled and made again without a row changing.

pub mod fold;
#[cfg(test)]
mod tests;
mod understood;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use infra_ports::StoreError;
use parking_lot::Mutex;
use schemas::avro::{DecodeError, LogEvent};
use schemas::events::UserEvent;
use schemas::ids::{ChatId, UserId};
use schemas::position::Version;
use schemas::tables::{InboxKey, InboxRow, Table, TableDef};
use schemas::topics::Topic;

use crate::engine::projection::{Effects, Memory, Place, Projection, Tables};
use fold::{Line, News, Preview};
use understood::Understood;

/// The projection of the topic `users`.
#[derive(Debug, Default)]
pub struct Inbox {
    understood: Mutex<Understood>,
}

#[async_trait]
impl Projection for Inbox {
    /// None: told to sockets only, of no meaning for chat lists.
    type Event = Option<News>;
    type Key = (UserId, ChatId);
    type State = Line;
    type Want = ();
    type Facts = ();

    const NAME: &'static str = "inbox";
    const WRITER: &'static str = "inbox-rows";
    const ORIGIN: Topic = Topic::Users;
    const VERSIONED_BY: Topic = Topic::Chats;

    fn tables() -> &'static [&'static TableDef] {
        const TABLES: &[&TableDef] = &[InboxRow::DEF];
        TABLES
    }

    fn decode(&self, value: &Bytes) -> Result<Option<News>, DecodeError> {
        match UserEvent::decode(value)? {
            UserEvent::EntryTold(told) => {
                let meaning = self.understood.lock().meaning(&told)?;
                Ok(Some(News::told(told, meaning)))
            }
            UserEvent::VerdictTold(_)
            | UserEvent::StatusTold(_)
            | UserEvent::MarkTold(_)
            | UserEvent::SettingTold(_) => Ok(None),
        }
    }

    fn routed_by<'a>(&self, _event: &'a Option<News>) -> Option<&'a str> {
        None
    }

    fn keys(&self, event: &Option<News>, into: &mut Vec<(UserId, ChatId)>) {
        let Some(news) = event else { return };
        let recipients = news.recipients.iter();
        into.extend(recipients.map(|user| (user.clone(), news.chat.clone())));
    }

    fn home_of<'a>(&self, (user, _): &'a (UserId, ChatId)) -> &'a str {
        user.as_str()
    }

    fn have_same_keys(&self, one: &Option<News>, other: &Option<News>) -> bool {
        match (one, other) {
            (Some(one), Some(other)) => {
                one.chat == other.chat && one.recipients == other.recipients
            }
            (None, _) | (_, None) => false,
        }
    }

    fn fresh(&self, _key: &(UserId, ChatId)) -> Line {
        Line::default()
    }

    async fn load(
        &self,
        tables: &Tables,
        (user, chat): &(UserId, ChatId),
    ) -> Result<Line, StoreError> {
        let key = InboxKey {
            user: user.clone(),
            chat: chat.clone(),
        };
        let row = tables.get::<InboxRow>(&key).await?;
        Ok(row.map_or_else(Line::default, |(row, version)| line(row, version)))
    }

    fn wants(&self, _event: &Option<News>, _state: &Line) -> Option<()> {
        None
    }

    async fn facts(&self, _tables: &Tables, _want: &()) -> Result<(), StoreError> {
        Ok(())
    }

    fn apply(
        &self,
        _place: &Place<'_>,
        event: &Option<News>,
        (user, _): &(UserId, ChatId),
        line: &mut Line,
        _facts: Option<()>,
        _effects: &mut Effects,
    ) -> bool {
        event
            .as_ref()
            .is_some_and(|news| fold::apply(line, user, news))
    }

    fn remember(&self, key: &(UserId, ChatId), line: &mut Line, memory: &mut Memory) {
        memory.put(&row(key, line), line.version);
    }

    fn weight(&self, _line: &Line) -> usize {
        4
    }
}

fn row((user, chat): &(UserId, ChatId), line: &Line) -> InboxRow {
    InboxRow {
        user: user.clone(),
        chat: chat.clone(),
        head: line.head,
        ordinal: line.ordinal,
        at: line.at,
        preview_seq: line.preview.seq,
        preview_author: line.preview.author.clone(),
        preview_kind: line.preview.kind,
        preview: line.preview.text.clone(),
        own: line.own,
        since: line.since,
        since_ordinal: line.since_ordinal,
        until: line.until,
    }
}

fn line(row: InboxRow, version: Version) -> Line {
    Line {
        version,
        head: row.head,
        ordinal: row.ordinal,
        at: row.at,
        preview: Arc::new(Preview {
            seq: row.preview_seq,
            author: row.preview_author,
            kind: row.preview_kind,
            text: row.preview,
        }),
        own: row.own,
        since: row.since,
        since_ordinal: row.since_ordinal,
        until: row.until,
    }
}
