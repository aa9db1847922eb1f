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
/// How long a refused mark waits before it is sent again (the client library's).
const AGAIN_AFTER: Nanos = 1_000_000_000;

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

/// A mark that was sent.
#[derive(Debug)]
struct Sent {
    socket: usize,
    view: usize,
    seq: u64,
    is_answered: bool,
}

/// The marks of a fleet.
#[derive(Debug, Default)]
pub struct Marks {
    marking: Marking,
    /// Sockets by the time at which they mark: each list is in order, since all wait equally long.
    due: VecDeque<(Nanos, usize)>,
    again: VecDeque<(Nanos, usize)>,
    sent: Vec<Sent>,
    unsettled: usize,
    refusals: usize,
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
        for list in [&mut self.due, &mut self.again] {
            if list.front().is_some_and(|(due, _)| *due <= now) {
                return list.pop_front();
            }
        }
        None
    }

    /// When the next marks are due.
    pub(super) fn next_due(&self) -> Option<Nanos> {
        let fronts = [self.due.front(), self.again.front()];
        fronts.into_iter().flatten().map(|(due, _)| *due).min()
    }

    /// Puts the marks of a socket into its output.
    pub(super) fn put(&mut self, number: usize, socket: &mut Socket, ledger: &Ledger) {
        socket.waiting = 0;
        let (views, output) = (&mut socket.views, &mut socket.output);
        for (at, view) in views.iter_mut().enumerate().filter(|(_, v)| v.unmarked) {
            view.unmarked = false;
            if view.seq <= view.marked {
                continue;
            }
            view.marked = view.seq;
            let chat = ledger.name(view.chat);
            self.put_one(output, (number, at), "delivered", chat, view.seq);
            if self.marking == Marking::Read {
                self.put_one(output, (number, at), "read", chat, view.seq);
            }
        }
    }

    fn put_one(
        &mut self,
        output: &mut Vec<u8>,
        (socket, view): (usize, usize),
        kind: &str,
        chat: &str,
        seq: u64,
    ) {
        let (number, letter) = (self.sent.len(), char::from(MARK));
        self.sent.push(Sent {
            socket,
            view,
            seq,
            is_answered: false,
        });
        self.unsettled += 1;
        self.payload.clear();
        write!(
            self.payload,
            r#"{{"type":"{kind}","ref":"{letter}{number}","data":{{"chat":"{chat}","seq":{seq}}}}}"#
        )
        .expect("a vector takes everything");
        wire::put_text(output, &self.payload);
    }

    /// The mark of a number is durable. False when there is no such mark, or it was answered before.
    pub(super) fn settled(&mut self, number: Option<u64>, sockets: &mut [Socket]) -> bool {
        let Some((socket, at, seq)) = number.and_then(|number| self.answered(number)) else {
            return false;
        };
        let view = sockets.get_mut(socket).and_then(|s| s.views.get_mut(at));
        if let Some(view) = view {
            view.settled = view.settled.max(seq);
        }
        true
    }

    /// The mark of a number was refused for now: the same place is marked again after a while. False
    /// when there is no such mark, or it was answered before.
    pub(super) fn refused(&mut self, now: Nanos, number: u64, sockets: &mut [Socket]) -> bool {
        let Some((number, at, _)) = self.answered(number) else {
            return false;
        };
        self.refusals += 1;
        let Some(socket) = sockets.get_mut(number) else {
            return false;
        };
        if let Some(view) = socket.views.get_mut(at) {
            (view.marked, view.unmarked) = (0, true);
        }
        if socket.waiting == 0 {
            socket.waiting = 1;
            socket.mark_due = now + AGAIN_AFTER;
            self.again.push_back((socket.mark_due, number));
        }
        true
    }

    /// Notes the answer to a mark: the socket, view and place it was of, the first time.
    fn answered(&mut self, number: u64) -> Option<(usize, usize, u64)> {
        let sent = self.sent.get_mut(usize::try_from(number).ok()?)?;
        if std::mem::replace(&mut sent.is_answered, true) {
            return None;
        }
        self.unsettled -= 1;
        Some((sent.socket, sent.view, sent.seq))
    }

    /// The first mark that was not answered, in words.
    #[must_use]
    pub fn first_unsettled(&self) -> Option<String> {
        let open = self.sent.iter().enumerate().find(|(_, m)| !m.is_answered);
        open.map(|(number, mark)| {
            let (socket, view, seq) = (mark.socket, mark.view, mark.seq);
            format!("mark {number} of socket {socket}, its chat {view} up to {seq}")
        })
    }

    /// Marks that were refused for the time being and sent again.
    #[must_use]
    pub fn refusals(&self) -> usize {
        self.refusals
    }

    /// Marks sent so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sent.len()
    }

    /// True when nothing waits for a mark and every mark was answered.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.unsettled == 0 && self.due.is_empty() && self.again.is_empty()
    }

    /// Marks sent and not answered.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.unsettled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Target;
    use crate::fleet::ledger::Ledger;
    use crate::fleet::socket::Login;

    fn bench() -> (Marks, Vec<Socket>, Ledger) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target {
            address: listener.local_addr().unwrap(),
            path: "/".into(),
        };
        let mut ledger = Ledger::default();
        let login = Login {
            token: None,
            chats: vec![ledger.chat("d.a.b".into(), 1)],
        };
        let mut socket = Socket::connect(0, &target, &login).unwrap();
        socket.output.clear();
        (Marks::new(Marking::Delivered), vec![socket], ledger)
    }

    #[test]
    fn entries_of_a_while_become_one_mark_and_many_do_not_wait() {
        let (mut marks, mut sockets, ledger) = bench();
        for seq in 1..=3 {
            sockets[0].views[0].seq = seq;
            assert!(!marks.came(seq, 0, &mut sockets[0], 0, 1));
        }
        assert_eq!(marks.next_due(), Some(1 + WITHIN));
        assert_eq!(marks.pop_due(WITHIN), None);
        assert_eq!(marks.pop_due(1 + WITHIN), Some((1 + WITHIN, 0)));
        marks.put(0, &mut sockets[0], &ledger);
        let text = String::from_utf8_lossy(&sockets[0].output).into_owned();
        assert!(
            text.ends_with(r#""ref":"s0","data":{"chat":"d.a.b","seq":3}}"#),
            "{text}"
        );
        assert!(marks.settled(Some(0), &mut sockets) && marks.is_settled());
        assert!(!marks.settled(Some(0), &mut sockets), "once");
        assert_eq!(sockets[0].views[0].settled, 3);
        assert!(marks.came(9, 0, &mut sockets[0], 0, MOST), "at once");
    }

    #[test]
    fn a_refused_mark_is_sent_again_after_a_while() {
        let (mut marks, mut sockets, ledger) = bench();
        sockets[0].views[0].seq = 5;
        marks.came(0, 0, &mut sockets[0], 0, 1);
        marks.pop_due(WITHIN);
        marks.put(0, &mut sockets[0], &ledger);
        assert!(marks.refused(WITHIN, 0, &mut sockets));
        assert!(!marks.is_settled());
        let due = WITHIN + AGAIN_AFTER;
        assert_eq!(marks.next_due(), Some(due));
        assert_eq!(marks.pop_due(due), Some((due, 0)));
        marks.put(0, &mut sockets[0], &ledger);
        assert_eq!((marks.count(), marks.refusals()), (2, 1));
    }
}
