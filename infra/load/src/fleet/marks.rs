//! Marks, merged as our client library does: what came is marked 50 ms after the first entry that
//! waits, or at once when 64 wait; own messages too. Each mark is answered.

use std::collections::VecDeque;
use std::io::Write as _;

use super::Nanos;
use super::frames::MARK;
use super::ledger::Ledger;
use super::socket::Socket;
use super::wire;

/// How long a mark waits for others (the client library's default).
const WITHIN: Nanos = 50_000_000;
/// The most entries that wait for a mark (the client library's default).
const MOST: usize = 64;

/// What is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Marking {
    /// Nothing: the server will push again.
    Off,
    /// `delivered`, by itself.
    #[default]
    Delivered,
    /// `delivered`, and `read` at the same time, as with the chat open.
    Read,
}

/// The marks of a fleet.
#[derive(Debug, Default)]
pub struct Marks {
    marking: Marking,
    due: VecDeque<(Nanos, usize)>,
    sent: Vec<bool>,
    unsettled: usize,
    payload: Vec<u8>,
}

impl Marks {
    /// No marks yet.
    #[must_use]
    pub fn new(marking: Marking) -> Self {
        Self {
            marking,
            ..Self::default()
        }
    }

    /// So many entries came to a view of a socket. True when they are to be marked at once.
    pub(super) fn came(
        &mut self,
        now: Nanos,
        number: usize,
        socket: &mut Socket,
        view: usize,
        entries: usize,
    ) -> bool {
        if self.marking == Marking::Off || entries == 0 {
            return false;
        }
        if let Some(view) = socket.views.get_mut(view) {
            view.unmarked = true;
        }
        if socket.waiting == 0 {
            socket.mark_due = now + WITHIN;
            self.due.push_back((socket.mark_due, number));
        }
        socket.waiting += entries;
        socket.waiting >= MOST
    }

    /// The next socket whose marks are due, by this moment.
    pub(super) fn pop_due(&mut self, now: Nanos) -> Option<(Nanos, usize)> {
        let first = *self.due.front()?;
        (first.0 <= now).then(|| self.due.pop_front())?
    }

    /// When the next marks are due.
    pub(super) fn next_due(&self) -> Option<Nanos> {
        self.due.front().map(|(due, _)| *due)
    }

    /// Puts the marks of a socket into its output.
    pub(super) fn put(&mut self, socket: &mut Socket, ledger: &Ledger) {
        socket.waiting = 0;
        let (views, output) = (&mut socket.views, &mut socket.output);
        for view in views.iter_mut().filter(|view| view.unmarked) {
            view.unmarked = false;
            if view.seq <= view.marked {
                continue;
            }
            view.marked = view.seq;
            let chat = ledger.name(view.chat);
            self.put_one(output, "delivered", chat, view.seq);
            if self.marking == Marking::Read {
                self.put_one(output, "read", chat, view.seq);
            }
        }
    }

    fn put_one(&mut self, output: &mut Vec<u8>, kind: &str, chat: &str, seq: u64) {
        let (number, letter) = (self.sent.len(), char::from(MARK));
        self.sent.push(false);
        self.unsettled += 1;
        self.payload.clear();
        write!(
            self.payload,
            r#"{{"type":"{kind}","ref":"{letter}{number}","data":{{"chat":"{chat}","seq":{seq}}}}}"#
        )
        .expect("a vector takes everything");
        wire::put_text(output, &self.payload);
    }

    /// The mark of a number is durable. False when there is no such mark, or it was before.
    pub fn settled(&mut self, number: Option<u64>) -> bool {
        let at = number.and_then(|n| usize::try_from(n).ok());
        let Some(sent) = at.and_then(|at| self.sent.get_mut(at)) else {
            return false;
        };
        if std::mem::replace(sent, true) {
            return false;
        }
        self.unsettled -= 1;
        true
    }

    /// Marks sent so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sent.len()
    }

    /// True when nothing waits for a mark and every mark was answered.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.unsettled == 0 && self.due.is_empty()
    }

    /// Marks sent and not answered.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.unsettled
    }
}
