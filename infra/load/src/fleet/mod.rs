//! Many sockets on one thread: they send at moments fixed in advance, mark as real clients do, and
//! check what they receive.
//!
//! ```text
//!  schedule ─▶ drive ─▶ socket ──▶ node or echo server
//!                ▲         │
//!              tally ◀─ ledger ◀─ frames ◀─ wire
//! ```
//!
//! The machine is shared with what is measured, so a fleet does little: one thread, one epoll, no
//! task and no allocation for a message, frames read without building them. Nothing here knows what
//! a scenario wants.

pub mod drive;
pub mod frames;
pub mod ledger;
pub mod marks;
pub mod schedule;
pub mod socket;
pub mod tally;
pub mod wire;

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Instant;

use anyhow::Context;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

use self::frames::{Heard, MESSAGE};
use self::ledger::Ledger;
use self::marks::{Marking, Marks};
use self::socket::{Login, Socket, State};
use self::tally::Tally;
use self::wire::Cut;

/// Nanoseconds since a fleet was made.
pub type Nanos = u64;

/// Bytes read from a socket at once.
const READ_BYTES: usize = 256 * 1024;
/// Sockets that are served between two looks at the clock.
const EVENTS: usize = 256;

/// Where a fleet connects.
#[derive(Debug, Clone)]
pub struct Target {
    /// Host and port.
    pub address: SocketAddr,
    /// The path of the handshake.
    pub path: String,
}

/// Many sockets.
pub struct Fleet {
    target: Target,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    payload: Vec<u8>,
    begun: Instant,
    sockets: Vec<Socket>,
    dirty: Vec<usize>,
    /// Sockets that are not live yet.
    opening: usize,
    /// Chats and messages.
    pub ledger: Ledger,
    /// Marks.
    pub marks: Marks,
    /// What is measured.
    pub tally: Tally,
}

impl Fleet {
    /// A fleet without sockets.
    ///
    /// # Errors
    /// When the system gives no epoll.
    pub fn new(target: Target, marking: Marking) -> anyhow::Result<Self> {
        // Wake up when it is time, not some 50 µs later.
        rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?;
        Ok(Self {
            target,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            payload: Vec::new(),
            begun: Instant::now(),
            sockets: Vec::new(),
            dirty: Vec::new(),
            opening: 0,
            ledger: Ledger::default(),
            marks: Marks::new(marking),
            tally: Tally::default(),
        })
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Nanos {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// How many sockets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Sockets that are not live yet.
    #[must_use]
    pub fn opening(&self) -> usize {
        self.opening
    }

    /// Begins to connect one more socket. Its number.
    ///
    /// # Errors
    /// When the system gives no socket.
    pub fn connect(&mut self, login: &Login) -> anyhow::Result<usize> {
        let number = self.sockets.len();
        let socket = Socket::connect(number, self.target.address, &self.target.path, login)?;
        self.opening += 1;
        let flags = EventFlags::IN | EventFlags::OUT;
        epoll::add(
            &self.epoll,
            &socket.stream,
            EventData::new_u64(number as u64),
            flags,
        )?;
        self.sockets.push(socket);
        Ok(number)
    }

    /// Sends a message of this many bytes in the `view`-th chat of a socket. It leaves with the next
    /// [`Fleet::flush`].
    pub fn send(&mut self, due: Nanos, from: usize, view: usize, class: usize, text: &str) {
        let Some(socket) = self.sockets.get_mut(from) else {
            return;
        };
        let Some(chat) = socket.views.get(view).map(|view| view.chat) else {
            return;
        };
        let number = self.ledger.send(due, from, chat, class);
        let (chat, letter) = (self.ledger.name(chat), char::from(MESSAGE));
        self.payload.clear();
        write!(
            self.payload,
            r#"{{"type":"send","ref":"c{number}","data":{{"chat":"{chat}","client_id":"{letter}{number}","body":{{"kind":"text","text":"{text}"}}}}}}"#
        )
        .expect("a vector takes everything");
        wire::put_text(&mut socket.output, &self.payload);
        self.touch(from);
    }

    /// Sends marks that are due.
    pub fn mark(&mut self, now: Nanos) {
        while let Some((due, number)) = self.marks.pop_due(now) {
            // Marked already, when enough entries had come.
            let is_due = |socket: &&mut Socket| socket.waiting > 0 && socket.mark_due == due;
            if let Some(socket) = self.sockets.get_mut(number).filter(is_due) {
                self.marks.put(socket, &self.ledger);
                self.touch(number);
            }
        }
    }

    /// Writes everything that waits to leave.
    pub fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for number in dirty.drain(..) {
            self.write(number);
        }
        self.dirty = dirty;
    }

    /// Waits until something comes, at the longest until then, and takes it.
    ///
    /// # Errors
    /// When the system does not wait.
    pub fn wait(&mut self, until: Nanos) -> anyhow::Result<()> {
        let left = std::time::Duration::from_nanos(until.saturating_sub(self.now()));
        let timeout = Timespec::try_from(left).context("a wait of years")?;
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        let spare = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.epoll, spare, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let (flags, number) = (event.flags, event.data.u64());
            let Ok(number) = usize::try_from(number) else {
                continue;
            };
            if flags.contains(EventFlags::OUT) {
                self.write(number);
            }
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                self.take(number);
            }
        }
        self.events = events;
        Ok(())
    }

    fn touch(&mut self, number: usize) {
        if let Some(socket) = self.sockets.get_mut(number)
            && !socket.dirty
        {
            socket.dirty = true;
            self.dirty.push(number);
        }
    }

    fn write(&mut self, number: usize) {
        let Some(socket) = self.sockets.get_mut(number) else {
            return;
        };
        socket.dirty = false;
        if socket.state == State::Closed {
            return;
        }
        let blocked = match socket.write() {
            Ok(done) => !done,
            Err(error) => return self.lost(number, &error),
        };
        if blocked != socket.blocked {
            socket.blocked = blocked;
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, blocked);
            let data = EventData::new_u64(number as u64);
            if let Err(error) = epoll::modify(&self.epoll, &socket.stream, data, flags) {
                self.lost(number, &error.into());
            }
        }
    }

    /// Reads what came to a socket.
    fn take(&mut self, number: usize) {
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
                if !self.marks.settled(of) {
                    self.ledger
                        .fault(format!("a mark that nobody sent was answered: {of:?}"));
                }
            }
            Heard::Batch(batch) => self.batch(now, number, &batch),
            Heard::Live => self.live(number),
            Heard::Refused(code) => self
                .ledger
                .fault(format!("refused: socket {number} was told {code}")),
            Heard::Welcome | Heard::Answer(_) | Heard::Other => {}
        }
        Ok(())
    }

    fn live(&mut self, number: usize) {
        if let Some(socket) = self.sockets.get_mut(number)
            && socket.state == State::Loading
        {
            socket.state = State::Live;
            self.opening -= 1;
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
        if let Some(message) = self.ledger.entry(number, view, seq, of)
            && message.sender != number
        {
            self.tally.delivered(now, message.class, message.due);
        }
        if self.marks.came(now, number, socket, at, 1) {
            self.marks.put(socket, &self.ledger);
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
        if self.marks.came(now, number, socket, at, taken) {
            self.marks.put(socket, &self.ledger);
            self.touch(number);
        }
    }

    /// A connection ended that should not have.
    fn lost(&mut self, number: usize, error: &anyhow::Error) {
        self.ledger
            .fault(format!("socket {number} was lost: {error:#}"));
        if let Some(socket) = self.sockets.get_mut(number) {
            if matches!(socket.state, State::Opening | State::Loading) {
                self.opening -= 1;
            }
            socket.state = State::Closed;
            // It may be gone from there already.
            let _ = epoll::delete(&self.epoll, &socket.stream);
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
