//! The pure client: frames, commands and times go in, [`Output`]s come out.
//!
//! Owns the rooms that decide one thing each: `link` (phases, heartbeats, backoff), `outgoing`
//! (commands until settled), `order` (one chat's entries, once and in order), `marks`, `heads`
//! (what a resume did not bring). It must never look at a clock, draw a number or touch a socket.

mod heads;
mod incoming;
mod link;
mod marks;
mod order;
mod outgoing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use schemas::errors::{Code, Refusal};
use schemas::events::MarkKind;
use schemas::frames::{
    Command, Hello, MAX_FRAME_BYTES, MarkUpTo, TimelineQuery, Welcome, encode_command,
};
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::Seq;

use self::heads::Heads;
use self::link::{Link, Want};
use self::marks::Marks;
use self::order::Order;
use self::outgoing::Outbox;
use crate::{Event, Lost, Moment, Outcome, Output, Progress, SessionConfig, State, Ticket};

/// The most timeline queries under way at once.
const MAX_ASKING: usize = 16;

/// What a `ref` of the session's own stands for.
#[derive(Debug)]
enum Own {
    Gap(ChatId),
    Mark(marks::Due),
    Heads,
    Ping,
}

/// A client without its shell.
///
/// The shell calls [`Session::tick`] when [`Session::due`] has come, reports what its socket does
/// (`opened`, `received`, `heard`, `lost`) and carries out every [`Output`] in order. Frames of a
/// socket that was reported lost must not be given any more. What comes out as an entry is on its way
/// to the user; only when the shell says that it was taken ([`Session::taken`]) is the server told
/// that the device has it, and forgets it for this device.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    link: Link,
    outbox: Outbox,
    orders: BTreeMap<ChatId, Order>,
    /// Chats with a gap that nobody is asking for.
    gaps: BTreeSet<ChatId>,
    marks: Marks,
    /// The highest marks told to the user: of each device, and the user's read mark.
    told: BTreeMap<(ChatId, Option<DeviceId>), Seq>,
    heads: Heads,
    identity: Option<(UserId, DeviceId)>,
    own: BTreeMap<u64, Own>,
    asking: usize,
    next_ref: u64,
    out: VecDeque<Output>,
}

impl Session {
    /// A session that has handed over what `progress` says, and wants to connect at once.
    pub fn new(config: SessionConfig, progress: &Progress) -> Self {
        let known = |(chat, last): (&ChatId, Seq)| (chat.clone(), Order::from(last));
        Self {
            link: Link::new(),
            outbox: Outbox::new(config.resend_ms),
            orders: progress.iter().map(known).collect(),
            gaps: BTreeSet::new(),
            marks: Marks::new(config.marking),
            told: BTreeMap::new(),
            heads: Heads::default(),
            identity: None,
            own: BTreeMap::new(),
            asking: 0,
            next_ref: 0,
            out: VecDeque::new(),
            config,
        }
    }

    /// The next thing to do or tell.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Takes a command of the user. It ends in exactly one `Settled` (if it has a client id) or
    /// `Answered`, unless the session is closed before.
    pub fn submit(&mut self, now: Moment, ticket: Ticket, command: Command) {
        if let Err(refusal) = self.admit(ticket, &command) {
            self.refuse(ticket, &command, refusal);
            return;
        }
        if !self.outbox.push(ticket, command.clone()) {
            let reason = "client_id: a command with this id is under way in this chat";
            self.refuse(ticket, &command, Refusal::new(Code::InvalidField, reason));
        }
        self.write_commands(now);
    }

    /// The user has read a chat up to here; sent soon, merged, and again until settled.
    pub fn mark_read(&mut self, now: Moment, chat: &ChatId, seq: Seq) {
        self.marks.read(now, chat, seq);
    }

    /// The socket asked for is open. `hello` carries the token, unless the handshake did.
    pub fn opened(&mut self, now: Moment, hello: Option<String>) {
        self.link.opened(now);
        if let Some(token) = hello {
            let token = Some(token);
            self.write(now, None, &Command::Hello(Hello { token }));
        }
    }

    /// Something that is no frame (a ping, a pong) came.
    pub fn heard(&mut self, now: Moment) {
        self.link.heard(now);
    }

    /// The socket is gone, or could not be opened. `random` spreads the next attempts.
    pub fn lost(&mut self, now: Moment, why: Lost, random: u64) {
        if self.link.state() == State::Closed {
            return;
        }
        let retry_in_ms = self.link.lost(now, &why, random, &self.config);
        self.outbox.lost();
        self.own.clear();
        self.asking = 0;
        self.heads.stop();
        for order in self.orders.values_mut() {
            order.forget_asking();
        }
        self.tell(Event::Disconnected { why, retry_in_ms });
    }

    /// Writes the marks that wait, without waiting longer.
    pub fn flush_marks(&mut self, now: Moment) {
        if self.link.is_welcome() {
            self.write_marks(now);
        }
    }

    /// The user is done, or the token is refused for good: nothing more comes out.
    pub fn close(&mut self) {
        self.link.close();
        self.outbox.lost();
    }

    /// When [`Session::tick`] must be called, if nothing comes in before.
    pub fn due(&self) -> Option<Moment> {
        let timers = [
            self.link.due(&self.config),
            self.outbox.due(),
            self.marks.due().filter(|_| self.link.is_welcome()),
            self.heads.due().filter(|_| self.is_live()),
            self.gap_due(),
        ];
        timers.into_iter().flatten().min()
    }

    /// Time has come this far.
    pub fn tick(&mut self, now: Moment) {
        match self.link.tick(now, &self.config) {
            Some(Want::Connect { to }) => self.out.push_back(Output::Connect { to }),
            Some(Want::Ping) => self.write_own(now, Own::Ping, &Command::Ping {}),
            Some(Want::Disconnect(why)) => self.out.push_back(Output::Disconnect(why)),
            None => {}
        }
        if !self.link.is_welcome() {
            return;
        }
        self.outbox.tick(now);
        self.write_commands(now);
        if self.marks.due().is_some_and(|due| now >= due) {
            self.write_marks(now);
        }
        if self.is_live() && self.heads.due().is_some_and(|due| now >= due) {
            let query = self.heads.query();
            self.write_own(now, Own::Heads, &query);
        }
        self.ask_gaps(now);
    }

    /// How far the connection has got.
    pub fn state(&self) -> State {
        self.link.state()
    }

    /// Who the server says this is, once it has.
    pub fn identity(&self) -> Option<&(UserId, DeviceId)> {
        self.identity.as_ref()
    }

    /// How far the user has taken every chat ([`Session::taken`]).
    pub fn progress(&self) -> Progress {
        let mut progress = Progress::new();
        for (chat, order) in &self.orders {
            if let Some(taken) = order.taken() {
                progress.advance(chat, taken);
            }
        }
        progress
    }

    /// How many commands wait to be begun: the shell stops taking more.
    pub fn waiting(&self) -> usize {
        self.outbox.waiting()
    }

    /// True when no command is under way and every mark is settled.
    pub fn is_settled(&self) -> bool {
        self.outbox.len() == 0 && self.marks.is_settled()
    }

    fn is_live(&self) -> bool {
        self.link.state() == State::Live
    }

    fn tell(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    fn admit(&self, ticket: Ticket, command: &Command) -> Result<(), Refusal> {
        if matches!(command, Command::Hello(_)) {
            return Err(Refusal::plain(Code::HelloTwice));
        }
        let reference = command_ref(ticket);
        if encode_command(Some(&reference), command).len() > MAX_FRAME_BYTES {
            return Err(Refusal::plain(Code::FrameTooLarge));
        }
        Ok(())
    }

    fn refuse(&mut self, ticket: Ticket, command: &Command, refusal: Refusal) {
        self.out.push_back(match outgoing::key_of(command) {
            Some((_, client_id)) => Output::Settled {
                ticket,
                client_id,
                outcome: Outcome::Refused(refusal),
            },
            None => Output::Answered {
                ticket,
                answer: Err(refusal),
            },
        });
    }

    fn welcomed(&mut self, now: Moment, welcome: Welcome) {
        self.link.welcomed(welcome.heartbeat_ms);
        self.identity = Some((welcome.user.clone(), welcome.device.clone()));
        self.tell(Event::Welcome(welcome));
        self.outbox.opened();
        self.marks.again(now);
        self.write_commands(now);
    }

    fn write(&mut self, now: Moment, reference: Option<&str>, command: &Command) {
        self.link.spoke(now);
        let text = encode_command(reference, command);
        self.out.push_back(Output::Write(text));
    }

    fn write_own(&mut self, now: Moment, own: Own, command: &Command) {
        self.next_ref += 1;
        let reference = format!("s{}", self.next_ref);
        self.own.insert(self.next_ref, own);
        self.write(now, Some(&reference), command);
    }

    fn write_commands(&mut self, now: Moment) {
        if !self.link.is_welcome() {
            return;
        }
        while let Some((ticket, outgoing)) = self.outbox.pop(now) {
            let first = outgoing.is_first();
            let key = outgoing.key.clone().filter(|_| first);
            let text = encode_command(Some(&command_ref(ticket)), &outgoing.command);
            if let Some((chat, client_id)) = key {
                self.out.push_back(Output::Began {
                    ticket,
                    chat,
                    client_id,
                });
            }
            self.link.spoke(now);
            self.out.push_back(Output::Write(text));
        }
    }

    fn write_marks(&mut self, now: Moment) {
        for (kind, chat, seq) in self.marks.flush() {
            let mark = MarkUpTo {
                chat: chat.clone(),
                seq,
            };
            let command = match kind {
                MarkKind::Delivered => Command::Delivered(mark),
                MarkKind::Read => Command::Read(mark),
            };
            self.write_own(now, Own::Mark((kind, chat, seq)), &command);
        }
    }

    fn gap_due(&self) -> Option<Moment> {
        if !self.is_live() || self.asking >= MAX_ASKING {
            return None;
        }
        let gap = |chat: &ChatId| self.orders.get(chat)?.gap().map(|(_, at)| at);
        self.gaps.iter().filter_map(gap).min()
    }

    /// Asks for what is missing. Not while a resume is going on: that is what it brings.
    fn ask_gaps(&mut self, now: Moment) {
        if !self.is_live() || self.gaps.is_empty() {
            return;
        }
        for chat in std::mem::take(&mut self.gaps) {
            let Some(order) = self.orders.get_mut(&chat) else {
                continue;
            };
            match order.gap() {
                Some((from, at)) if at <= now && self.asking < MAX_ASKING => {
                    order.asking();
                    self.asking += 1;
                    let query = Command::Timeline(TimelineQuery {
                        chat: chat.clone(),
                        from,
                        limit: None,
                    });
                    self.write_own(now, Own::Gap(chat), &query);
                }
                Some(_) => drop(self.gaps.insert(chat)),
                None => {}
            }
        }
    }
}

fn command_ref(ticket: Ticket) -> String {
    format!("c{}", ticket.0)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
