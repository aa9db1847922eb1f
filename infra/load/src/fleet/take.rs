//! What a fleet does with bytes that come: cut into frames, read, entered in the books, marked.

use schemas::errors::Code;

use super::frames::{self, Heard, Of};
use super::ledger::Ledger;
use super::socket::{Socket, State};
use super::wire::{self, Cut};
use super::{Fleet, Nanos};

impl Fleet {
    /// Reads what came to a socket.
    pub(super) fn take(&mut self, number: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        if let Err(error) = self.read(number, &mut buffer) {
            self.lost(number, &error);
        }
        self.buffer = buffer;
    }

    fn read(&mut self, number: usize, buffer: &mut [u8]) -> anyhow::Result<()> {
        let Some(socket) = self.sockets.get_mut(number) else {
            return Ok(());
        };
        if socket.state == State::Closed {
            return Ok(());
        }
        let Some(came) = socket.read(buffer)? else {
            return Ok(());
        };
        let came = buffer.get(..came).unwrap_or_default();
        let now = self.now();
        let Some(socket) = self.sockets.get_mut(number) else {
            return Ok(());
        };
        if socket.input.is_empty() {
            let taken = self.take_all(now, number, came)?;
            let rest = came.get(taken..).unwrap_or_default();
            if let Some(socket) = self.sockets.get_mut(number) {
                socket.input.extend_from_slice(rest);
            }
        } else {
            let mut input = std::mem::take(&mut socket.input);
            input.extend_from_slice(came);
            let taken = self.take_all(now, number, &input)?;
            input.drain(..taken);
            if let Some(socket) = self.sockets.get_mut(number) {
                socket.input = input;
            }
        }
        Ok(())
    }

    /// Takes every whole frame; how many bytes that were.
    fn take_all(&mut self, now: Nanos, number: usize, bytes: &[u8]) -> anyhow::Result<usize> {
        let mut at = 0;
        if self
            .sockets
            .get(number)
            .is_some_and(|s| s.state == State::Opening)
        {
            let Some(taken) = Socket::opened(bytes)? else {
                return Ok(0);
            };
            at = taken;
            self.opened(number);
        }
        while let Some((frame, taken)) = wire::cut(bytes.get(at..).unwrap_or_default())? {
            at += taken;
            self.hear(now, number, frame)?;
        }
        Ok(at)
    }

    fn opened(&mut self, number: usize) {
        if let Some(socket) = self.sockets.get_mut(number) {
            socket.state = State::Loading;
            if socket.is_echo {
                socket.state = State::Live;
                self.opening -= 1;
            }
        }
    }

    fn hear(&mut self, now: Nanos, number: usize, frame: Cut<'_>) -> anyhow::Result<()> {
        match frame {
            Cut::Text(text) => self.take_text(now, number, text),
            Cut::Ping(payload) => {
                if let Some(socket) = self.sockets.get_mut(number) {
                    wire::put_pong(&mut socket.output, payload);
                    self.touch(number);
                }
                Ok(())
            }
            Cut::Pong => Ok(()),
            Cut::Close(code) => anyhow::bail!("the server closed with {code:?}"),
        }
    }

    fn take_text(&mut self, now: Nanos, number: usize, text: &[u8]) -> anyhow::Result<()> {
        match frames::read(text)? {
            Heard::Entry(seen) => self.entry(now, number, &seen.chat, seen.seq, seen.number),
            Heard::Sent(of) => {
                if let Some(message) = self.ledger.sent(of) {
                    self.tally.sent(now, message.class, message.due);
                }
            }
            Heard::Echoed(of) => {
                if let Some(message) = self.ledger.echoed(of) {
                    self.tally.delivered(now, message.class, message.due);
                }
            }
            Heard::Settled(of) => {
                if !self.marks.settled(of, &mut self.sockets) {
                    self.ledger
                        .fault(format!("a mark that nobody sent was answered: {of:?}"));
                }
            }
            Heard::Batch(batch) => self.batch(now, number, &batch),
            Heard::Live => self.live(now, number),
            Heard::Refused(of, code) => self.refused(now, of, &code),
            Heard::Welcome | Heard::Other => {}
        }
        Ok(())
    }

    /// A message that is refused is refused; a mark that may be taken later is sent again, as our
    /// client library does.
    fn refused(&mut self, now: Nanos, of: Of, code: &str) {
        match of {
            Of::Message(number) => self.ledger.refused(Some(number), code),
            Of::Mark(number) => {
                let again = Code::parse(code).is_some_and(|code| code.is_retryable());
                if !again || !self.marks.refused(now, number, &mut self.sockets) {
                    self.ledger.fault(format!("refused: a mark: {code}"));
                }
            }
            Of::Other => self.ledger.fault(format!("refused: {code}")),
        }
    }

    fn live(&mut self, now: Nanos, number: usize) {
        if let Some(socket) = self.sockets.get_mut(number)
            && socket.state == State::Loading
        {
            socket.state = State::Live;
            self.opening -= 1;
            self.tally.last_live = now;
        }
    }

    fn entry(&mut self, now: Nanos, number: usize, chat: &str, seq: u64, of: Option<u64>) {
        let Some((socket, at)) = view_of(&mut self.sockets, &self.ledger, number, chat) else {
            let fault = format!("socket {number} heard of {chat}, which is not its own");
            return self.ledger.fault(fault);
        };
        let Some(view) = socket.views.get_mut(at) else {
            return;
        };
        if let Some(message) = self.ledger.entry(number, view, seq, of) {
            if message.sender != number {
                self.tally.delivered(now, message.class, message.due);
            }
            if message.arrived == self.ledger.listeners(message.chat) {
                self.tally.complete(now, message.class, message.due);
            }
        }
        if self.marks.came(now, number, socket, at, 1) {
            self.marks.put(number, socket, &self.ledger);
            self.touch(number);
        }
    }

    fn batch(&mut self, now: Nanos, number: usize, batch: &frames::Batch) {
        let found = view_of(&mut self.sockets, &self.ledger, number, &batch.chat);
        let Some((socket, at)) = found else {
            return;
        };
        let Some(view) = socket.views.get_mut(at) else {
            return;
        };
        let taken = self.ledger.batch(number, view, batch);
        self.tally.caught_up(now, taken);
        if self.marks.came(now, number, socket, at, taken) {
            self.marks.put(number, socket, &self.ledger);
            self.touch(number);
        }
    }
}

/// A socket, and which of its views is of this chat.
fn view_of<'a>(
    sockets: &'a mut [Socket],
    ledger: &Ledger,
    number: usize,
    chat: &str,
) -> Option<(&'a mut Socket, usize)> {
    let socket = sockets.get_mut(number)?;
    let at = match socket.views.as_slice() {
        [only] if ledger.name(only.chat) == chat => 0,
        views => {
            let chat = ledger.find(chat)?;
            views.iter().position(|view| view.chat == chat)?
        }
    };
    Some((socket, at))
}
