//! After a reconnect: does the chat list speak of anything that the resume did not bring?
//!
//! The server resumes from the device's marks. Where those are ahead of what the user has (marks
//! were sent, then the process died before its user had written down what it had taken), only the
//! heads of the chats tell. Pages of the chat list are read until every known chat was seen, and as
//! many lines as a screen shows: of those in which nothing is known the newest page is owed, as to
//! a new device. A list of which the server says that it is behind is read again from its top until
//! it is not.

use std::collections::BTreeSet;

use schemas::frames::{Chats, ChatsQuery, Command};
use schemas::ids::ChatId;
use schemas::position::Seq;

use crate::Moment;
use crate::config::grown_ms;

const PAGE: u32 = 100;
const RETRY_MS: u64 = 1000;
/// The bound of the growing pauses before a list that was behind is read again.
const LONGEST_MS: u64 = 10_000;
/// Lines of the list whose chats are owed though nothing is known of them: to so many the server
/// resumes a new device.
const SCREEN: usize = 20;

/// One reading of the chat list.
#[derive(Debug, Default)]
pub(super) struct Heads {
    unseen: BTreeSet<ChatId>,
    /// Lines seen so far: of pinned chats, which come first, and of others.
    seen: [usize; 2],
    cursor: Option<String>,
    due: Option<Moment>,
    /// A page of this reading was behind.
    behind: bool,
    /// So many readings since the reconnect were behind.
    fruitless: u32,
}

impl Heads {
    /// Begins at that moment: these chats are known, their heads are wanted.
    pub(super) fn begin(&mut self, now: Moment, known: BTreeSet<ChatId>) {
        *self = Self {
            unseen: known,
            due: Some(now),
            ..Self::default()
        };
    }

    /// Begins again after a pause, if what was read was behind: these chats are known now.
    pub(super) fn begin_again(&mut self, now: Moment, known: impl FnOnce() -> BTreeSet<ChatId>) {
        if self.due.is_some() || !self.behind {
            return;
        }
        let fruitless = self.fruitless;
        let pause = grown_ms((RETRY_MS, LONGEST_MS), fruitless);
        self.begin(now.after(pause), known());
        self.fruitless = fruitless.saturating_add(1);
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

    /// Takes a page and returns the heads that matter.
    pub(super) fn answered(&mut self, now: Moment, page: Chats) -> Vec<(ChatId, Seq)> {
        let mut heads = Vec::new();
        for line in page.chats {
            let [pinned, others] = &mut self.seen;
            let seen = if line.pinned { pinned } else { others };
            *seen += 1;
            let is_on_screen = *seen <= SCREEN;
            if self.unseen.remove(&line.chat) || is_on_screen {
                heads.push((line.chat, line.head));
            }
        }
        self.cursor = page.cursor;
        self.behind |= page.behind;
        let [_, others] = self.seen;
        let more = !self.unseen.is_empty() || others < SCREEN;
        self.due = (self.cursor.is_some() && more).then_some(now);
        heads
    }

    pub(super) fn refused(&mut self, now: Moment) {
        self.due = Some(now.after(RETRY_MS));
    }
}
