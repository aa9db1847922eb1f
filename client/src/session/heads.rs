//! After a reconnect: does the chat list speak of anything that the resume did not bring?
//!
//! The server resumes from the device's marks. Where those are ahead of what the user has (marks
//! were sent, then the process died before its user had the entries) or were never sent, only the
//! heads of the chats tell. Pages of the chat list are read until every known chat was seen.

use std::collections::BTreeSet;

use schemas::frames::{Chats, ChatsQuery, Command};
use schemas::ids::ChatId;
use schemas::position::Seq;

use crate::Moment;

const PAGE: u32 = 100;
const RETRY_MS: u64 = 1000;

/// One reading of the chat list.
#[derive(Debug, Default)]
pub(super) struct Heads {
    unseen: BTreeSet<ChatId>,
    cursor: Option<String>,
    due: Option<Moment>,
}

impl Heads {
    /// Begins: these chats are known, their heads are wanted.
    pub(super) fn begin(&mut self, now: Moment, known: BTreeSet<ChatId>) {
        self.cursor = None;
        self.due = (!known.is_empty()).then_some(now);
        self.unseen = known;
    }

    pub(super) fn stop(&mut self) {
        *self = Self::default();
    }

    pub(super) fn due(&self) -> Option<Moment> {
        self.due
    }

    /// The query to write now; its answer comes back through `answered` or `refused`.
    pub(super) fn query(&mut self) -> Command {
        self.due = None;
        Command::Chats(ChatsQuery {
            cursor: self.cursor.clone(),
            limit: Some(PAGE),
        })
    }

    /// Takes a page and returns the heads of known chats.
    pub(super) fn answered(&mut self, now: Moment, page: Chats) -> Vec<(ChatId, Seq)> {
        let mut heads = Vec::new();
        for summary in page.chats {
            if self.unseen.remove(&summary.chat) {
                heads.push((summary.chat, summary.head));
            }
        }
        self.cursor = page.cursor;
        self.due = (self.cursor.is_some() && !self.unseen.is_empty()).then_some(now);
        heads
    }

    pub(super) fn refused(&mut self, now: Moment) {
        self.due = Some(now.after(RETRY_MS));
    }
}
