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
mod take;
pub mod tally;
pub mod wire;

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use self::drive::{Shot, What};
use self::frames::{COMMAND, MESSAGE};
use self::ledger::{Ledger, Message};
use self::marks::{Marking, Marks};
use self::socket::{Login, Socket, State};
use self::tally::Tally;

/// Nanoseconds since a fleet was made.
pub type Nanos = u64;

/// Bytes read from a socket at once.
const READ_BYTES: usize = 256 * 1024;
/// Sockets that are served between two looks at the clock.
const EVENTS: usize = 256;
/// The number of the timer among the sockets.
const TIMER: u64 = u64::MAX;

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
    /// Ends a wait: to the microsecond, where epoll's own time-out counts whole milliseconds.
    timer: OwnedFd,
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
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        Ok(Self {
            target,
            epoll,
            timer,
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
        let socket = Socket::connect(number, &self.target, login)?;
        self.watch(number, &socket)?;
        self.sockets.push(socket);
        Ok(number)
    }

    /// Cuts a socket off, as a network does. What it knows of its chats stays.
    pub fn cut_off(&mut self, number: usize) {
        if let Some(socket) = self.sockets.get_mut(number) {
            socket.cut_off();
            let _ = epoll::delete(&self.epoll, &socket.stream);
        }
    }

    /// Begins to connect a socket that was cut off.
    ///
    /// # Errors
    /// When the system gives no socket.
    pub fn reconnect(&mut self, number: usize, login: &Login) -> anyhow::Result<()> {
        let mut socket = Socket::connect(number, &self.target, login)?;
        if let Some(old) = self.sockets.get_mut(number) {
            socket.views = std::mem::take(&mut old.views);
            std::mem::swap(old, &mut socket);
        }
        // The old connection is closed only now, so that its number is not given out twice.
        drop(socket);
        let sockets = std::mem::take(&mut self.sockets);
        let watched = sockets.get(number).map(|socket| self.watch(number, socket));
        self.sockets = sockets;
        watched.unwrap_or(Ok(()))
    }

    fn watch(&mut self, number: usize, socket: &Socket) -> anyhow::Result<()> {
        let data = EventData::new_u64(number as u64);
        let flags = EventFlags::IN | EventFlags::OUT;
        epoll::add(&self.epoll, &socket.stream, data, flags)?;
        self.opening += 1;
        Ok(())
    }

    /// Sends what is due. It leaves with the next [`Fleet::flush`]. An edit by who has no message of
    /// their own yet is a message.
    pub fn send(&mut self, shot: &Shot, text: &str) {
        let Some(socket) = self.sockets.get_mut(shot.from) else {
            return;
        };
        let Some((chat, own)) = socket
            .views
            .get(shot.view)
            .map(|view| (view.chat, view.own))
        else {
            return;
        };
        let is_edit = shot.what == What::Edit && own > 0;
        let number = self.ledger.send(Message {
            is_edit,
            ..Message::new(shot.due, shot.from, chat, shot.class)
        });
        let edited = is_edit.then_some(own);
        self.payload.clear();
        put_command(
            &mut self.payload,
            number,
            self.ledger.name(chat),
            text,
            edited,
        );
        wire::put_text(&mut socket.output, &self.payload);
        self.touch(shot.from);
    }

    /// Sends marks that are due.
    pub fn mark(&mut self, now: Nanos) {
        while let Some((due, number)) = self.marks.pop_due(now) {
            // Marked already, when enough entries had come.
            let is_due = |socket: &&mut Socket| socket.waiting > 0 && socket.mark_due == due;
            if let Some(socket) = self.sockets.get_mut(number).filter(is_due) {
                self.marks.put(number, socket, &self.ledger);
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
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        let timeout = self.set_timer(until)?;
        let spare = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&self.epoll, spare, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let (flags, number) = (event.flags, event.data.u64());
            let Some(number) = usize::try_from(number).ok().filter(|_| number != TIMER) else {
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

    /// Has the timer end the next wait then. Where it is time already, the time-out of a wait that
    /// only looks.
    fn set_timer(&self, until: Nanos) -> anyhow::Result<Option<Timespec>> {
        let left = Duration::from_nanos(until.saturating_sub(self.now()));
        let left = Timespec::try_from(left).context("a wait of years")?;
        let never = Timespec::default();
        if left == never {
            return Ok(Some(never));
        }
        // Set anew it is not due any more, so nobody has to read it.
        let once = Itimerspec {
            it_interval: never,
            it_value: left,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(None)
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

/// The message of a number, or, with a place, the change of the message there.
fn put_command(out: &mut Vec<u8>, number: u64, chat: &str, text: &str, edited: Option<u64>) {
    let name = if edited.is_some() { "edit" } else { "send" };
    let (letter, command) = (char::from(MESSAGE), char::from(COMMAND));
    let all_there = write!(
        out,
        r#"{{"type":"{name}","ref":"{command}{number}","data":{{"chat":"{chat}","client_id":"{letter}{number}","body":{{"kind":"text","text":"{text}"}}"#
    );
    all_there.expect("a vector takes everything");
    if let Some(seq) = edited {
        write!(out, r#","seq":{seq}"#).expect("a vector takes everything");
    }
    out.extend_from_slice(b"}}");
}

#[cfg(test)]
mod tests {
    use schemas::frames::{Command, decode_command};

    use super::*;

    #[test]
    fn a_wait_ends_within_a_fraction_of_a_millisecond() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let path = "/".to_owned();
        let mut fleet = Fleet::new(Target { address, path }, Marking::Off).unwrap();
        let swift = (0..200).any(|_| {
            let until = fleet.now() + 100_000;
            fleet.wait(until).unwrap();
            let now = fleet.now();
            assert!(now >= until, "never early");
            now - until < 500_000
        });
        assert!(swift, "not one of 200 waits of 0.1 ms ended within 0.6 ms");
    }

    #[test]
    fn commands_are_what_the_protocol_calls_so() {
        for edited in [None, Some(3)] {
            let mut text = Vec::new();
            put_command(&mut text, 7, "d.a.b", "hello", edited);
            let received = decode_command(&text);
            assert_eq!(received.reference.as_deref(), Some("c7"));
            let command = received.value.unwrap();
            let seq = match &command {
                Command::Edit(edit) => Some(edit.seq.0),
                _ => None,
            };
            assert_eq!(seq, edited);
            assert_eq!(command.logged().unwrap().1.as_str(), "m7");
        }
    }
}
