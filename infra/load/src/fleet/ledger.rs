//! What was sent and what came, and whether the two agree: every message that was answered `sent`
//! arrives exactly once at each member, in one order for all of them, without a hole.
//!
//! Pure. A fault is kept in words, so that a failed run can say what was wrong; the first of them
//! are enough.

use ahash::AHashMap;

use super::Nanos;
use super::frames::Batch;

/// Faults kept in words; more are counted.
const KEPT: usize = 10;

/// A chat of the fleet.
#[derive(Debug)]
struct Chat {
    name: String,
    /// Sockets that hear it.
    listeners: usize,
    /// Message numbers by seq, as the first listener heard them. None for what is no message.
    order: AHashMap<u64, Option<u64>>,
    /// The newest message of each author.
    newest: AHashMap<usize, u64>,
}

/// A message of the fleet.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    /// When it should have left.
    pub due: Nanos,
    /// The socket that sent it.
    pub sender: usize,
    /// The chat.
    pub chat: usize,
    /// Which latencies it counts for.
    pub class: usize,
    /// It changes an earlier message, and is none itself.
    pub is_edit: bool,
    /// The server said that it has it durably.
    pub answered: bool,
    /// The server said that it will not have it.
    pub refused: bool,
    /// Listeners that have it, its author among them.
    pub arrived: usize,
}

impl Message {
    /// A message on its way.
    #[must_use]
    pub fn new(due: Nanos, sender: usize, chat: usize, class: usize) -> Self {
        Self {
            due,
            sender,
            chat,
            class,
            is_edit: false,
            answered: false,
            refused: false,
            arrived: 0,
        }
    }
}

/// How far one socket has got in one chat.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The chat.
    pub chat: usize,
    /// Everything up to here came.
    pub seq: u64,
    /// The largest mark that was sent.
    pub marked: u64,
    /// The largest mark that is durable.
    pub settled: u64,
    /// True while an entry waits for a mark.
    pub unmarked: bool,
    /// The place of this socket's own newest message; 0 when it has none.
    pub own: u64,
}

/// Chats and messages of a fleet.
#[derive(Debug, Default)]
pub struct Ledger {
    chats: Vec<Chat>,
    names: AHashMap<String, usize>,
    messages: Vec<Message>,
    faults: Vec<String>,
    fault_count: usize,
    /// Messages the server would not have, and why the first of them was refused.
    refused: (usize, String),
    /// Messages not yet answered.
    unanswered: usize,
    /// Arrivals still to come.
    expected: usize,
}

impl Ledger {
    /// Adds a chat which so many sockets hear.
    pub fn chat(&mut self, name: String, listeners: usize) -> usize {
        let number = self.chats.len();
        self.names.insert(name.clone(), number);
        self.chats.push(Chat {
            name,
            listeners,
            order: AHashMap::new(),
            newest: AHashMap::new(),
        });
        number
    }

    /// A chat's id.
    #[must_use]
    pub fn name(&self, chat: usize) -> &str {
        self.chats.get(chat).map_or("", |chat| chat.name.as_str())
    }

    /// The chat of this id.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// Notes a message that is being sent now, and gives its number.
    pub fn send(&mut self, message: Message) -> u64 {
        self.unanswered += 1;
        self.expected += self.listeners(message.chat);
        self.messages.push(message);
        self.messages.len() as u64 - 1
    }

    /// Messages sent so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.messages.len()
    }

    /// The server will not have the message of this number.
    pub fn refused(&mut self, number: Option<u64>, code: &str) {
        let at = number.and_then(|n| usize::try_from(n).ok());
        let Some(message) = at.and_then(|at| self.messages.get_mut(at)) else {
            return self.fault(format!("refused: {code}"));
        };
        let first = !std::mem::replace(&mut message.refused, true);
        let (answered, chat) = (message.answered, message.chat);
        if first {
            self.unanswered -= usize::from(!answered);
            self.expected = self.expected.saturating_sub(self.listeners(chat));
            if self.refused.0 == 0 {
                code.clone_into(&mut self.refused.1);
            }
            self.refused.0 += 1;
        }
    }

    /// Messages that were refused so far, and why the first of them was.
    #[must_use]
    pub fn refusals(&self) -> (usize, &str) {
        (self.refused.0, &self.refused.1)
    }

    /// Sockets that hear a chat.
    #[must_use]
    pub fn listeners(&self, chat: usize) -> usize {
        self.chats.get(chat).map_or(0, |chat| chat.listeners)
    }

    /// The message of a number was answered. Gives it back the first time.
    pub fn sent(&mut self, number: Option<u64>) -> Option<Message> {
        let at = number.and_then(|n| usize::try_from(n).ok());
        let Some(message) = at.and_then(|at| self.messages.get_mut(at)) else {
            self.fault("`sent` for a message that nobody sent".to_owned());
            return None;
        };
        if std::mem::replace(&mut message.answered, true) {
            self.fault(format!("repeated: `sent` for message {number:?}"));
            return None;
        }
        self.unanswered -= 1;
        Some(*message)
    }

    /// An entry came to a socket. Gives the message back when it is one of the fleet's.
    pub fn entry(
        &mut self,
        socket: usize,
        view: &mut View,
        seq: u64,
        number: Option<u64>,
    ) -> Option<Message> {
        if seq != view.seq + 1 {
            let what = if seq <= view.seq { "repeated" } else { "lost" };
            let (chat, due) = (self.name(view.chat).to_owned(), view.seq + 1);
            self.fault(format!(
                "{what}: seq {seq} of {chat} came to socket {socket} where {due} was due"
            ));
        }
        view.seq = view.seq.max(seq);
        self.place(socket, view.chat, seq, number);
        let at = usize::try_from(number?).ok()?;
        let Some(message) = self.messages.get_mut(at).filter(|m| m.chat == view.chat) else {
            self.fault(format!("message {at} is none of this chat"));
            return None;
        };
        message.arrived += 1;
        let message = *message;
        if message.sender == socket && !message.is_edit {
            view.own = seq;
        }
        self.expected = self.expected.saturating_sub(1);
        Some(message)
    }

    /// Several entries came at once: those that were missed. What lies before `from` is passed over
    /// by a device that had nothing of the chat.
    pub fn batch(&mut self, socket: usize, view: &mut View, batch: &Batch) -> usize {
        let is_new = view.seq == 0;
        if is_new {
            view.seq = batch.from.saturating_sub(1);
        }
        let mut taken = 0;
        for (seq, number) in &batch.entries {
            if *seq <= view.settled {
                let name = self.name(view.chat).to_owned();
                self.fault(format!("repeated: seq {seq} of {name}, which was marked"));
            }
            // Not marked yet, it may come again after a reconnect.
            if *seq <= view.seq {
                continue;
            }
            self.entry(socket, view, *seq, *number);
            taken += 1;
        }
        let (said, brought) = (batch.through, view.seq);
        if said != brought {
            let name = self.name(view.chat).to_owned();
            self.fault(match said < brought {
                true => format!(
                    "repeated: a batch of {name} through {said}, all of it before {brought}"
                ),
                false => format!("lost: a batch of {name} says {said} and brought {brought}"),
            });
            view.seq = said.max(brought);
        }
        taken
    }

    /// What an echo server gave back has arrived and is answered, both.
    pub fn echoed(&mut self, number: Option<u64>) -> Option<Message> {
        let message = self.sent(number)?;
        let at = usize::try_from(number?).ok()?;
        self.messages.get_mut(at)?.arrived += 1;
        self.expected = self.expected.saturating_sub(1);
        Some(message)
    }

    /// Every member hears the same order, and each author's messages in the order of sending.
    fn place(&mut self, socket: usize, chat: usize, seq: u64, number: Option<u64>) {
        let Some(chat) = self.chats.get_mut(chat) else {
            return;
        };
        if let Some(known) = chat.order.get(&seq) {
            if *known != number {
                let fault = format!(
                    "swapped: seq {seq} of {} is {number:?} to socket {socket} and {known:?} to another",
                    chat.name
                );
                self.fault(fault);
            }
            return;
        }
        chat.order.insert(seq, number);
        let author = number.and_then(|n| self.messages.get(usize::try_from(n).ok()?));
        let (Some(number), Some(author)) = (number, author.map(|m| m.sender)) else {
            return;
        };
        let before = chat.newest.insert(author, number);
        if before.is_some_and(|before| before >= number) {
            let fault = format!(
                "swapped: message {number} of {} follows {before:?} of the same author",
                chat.name
            );
            self.fault(fault);
        }
    }

    /// Notes something wrong.
    pub fn fault(&mut self, fault: String) {
        self.fault_count += 1;
        if self.faults.len() < KEPT {
            self.faults.push(fault);
        }
    }

    /// True when everything was answered and has arrived everywhere.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.unanswered == 0 && self.expected == 0
    }

    /// Messages sent and not answered.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Arrivals still to come.
    #[must_use]
    pub fn expected(&self) -> usize {
        self.expected
    }

    /// True when something was wrong.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        self.fault_count > 0
    }

    /// Closes the books: everything that is wrong, in words; nothing when all is well.
    pub fn close(&mut self) -> Vec<String> {
        let open = self.messages.iter().enumerate().filter_map(|(number, m)| {
            let listeners = self.chats.get(m.chat)?.listeners;
            let wanted = if m.refused { 0 } else { listeners };
            let what = if m.arrived > wanted {
                "repeated"
            } else if m.arrived < wanted || !(m.answered || m.refused) {
                "lost"
            } else {
                return None;
            };
            let (answered, arrived) = (m.answered, m.arrived);
            Some(format!(
                "{what}: message {number} (answered: {answered}) has {arrived} arrivals of {wanted}"
            ))
        });
        let open: Vec<_> = open.collect();
        open.into_iter().for_each(|fault| self.fault(fault));
        let mut told = std::mem::take(&mut self.faults);
        let more = std::mem::take(&mut self.fault_count) - told.len();
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        told
    }
}

#[cfg(test)]
mod tests;
