//! Commands from the user's wish to their end: in order, no further from the oldest unsettled one of
//! their chat than the server remembers, put on every new connection again until settled.
//!
//! Decides what is to be written and when; writes nothing. Three kinds of command: *logged* ones
//! have a client id and are settled by a verdict; settings and reads are settled by their answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use schemas::errors::{Code, Refusal};
use schemas::frames::{Command, MAX_UNSETTLED};
use schemas::ids::{ChatId, ClientId};

use crate::config::grown_ms;
use crate::{Moment, Ticket};

/// The first wait after a retryable refusal that names none, and the bound of later ones.
const RETRY_MS: (u64, u64) = (200, 5_000);
/// How many refused commands are tried again at once, and the pause between two such rounds.
const ROUND: (usize, u64) = (32, 20);

/// How many commands of a chat may be begun from its oldest unsettled one on, that one included (ADR 0036).
/// The fold knows a resend by the last 256 commands that it has judged. Since it judged an unsettled one it
/// may have judged all that were begun after it, settled ones too, and all before it that were refused at
/// first: twice 127. The gateway counts as many; what is sent again while its entry comes counts there once more.
const SPAN: usize = MAX_UNSETTLED / 2;

/// What names a logged command: the chat (none where the command makes it) and its client id.
pub(super) type Key = (Option<ChatId>, ClientId);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waits for a place in the order of its chat.
    Waiting,
    /// Was put on a socket, now or earlier.
    Flying { since: Moment },
}

/// One command under way.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) command: Command,
    pub(super) key: Option<Key>,
    stage: Stage,
    /// How often it was put on a socket.
    asked: u32,
    /// How often of these it may have been taken on this connection and was not answered.
    unanswered: u32,
    /// Whether the user was told `sent`.
    pub(super) told_sent: bool,
}

/// The commands of one chat.
#[derive(Debug, Default)]
struct Lane {
    /// Those that were begun, from the oldest unsettled one on; none where one is settled.
    begun: VecDeque<Option<Ticket>>,
    waiting: VecDeque<Ticket>,
}

impl Lane {
    fn has_room(&self) -> bool {
        self.begun.len() < SPAN
    }

    /// The command is settled: its place is given up once no older one is unsettled.
    fn leave(&mut self, ticket: Ticket) {
        if let Some(begun) = self.begun.iter_mut().find(|begun| **begun == Some(ticket)) {
            *begun = None;
            while self.begun.front() == Some(&None) {
                self.begun.pop_front();
            }
        } else {
            self.waiting.retain(|waiting| *waiting != ticket);
        }
    }
}

impl Outgoing {
    /// True when it was put on a socket once only.
    pub(super) fn is_first(&self) -> bool {
        self.asked == 1
    }
}

/// All commands under way.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    commands: BTreeMap<Ticket, Outgoing>,
    keys: BTreeMap<Key, Ticket>,
    lanes: BTreeMap<Option<ChatId>, Lane>,
    waiting: usize,
    /// To be written now.
    ready: VecDeque<Ticket>,
    /// Refused for now; to be written again at `again_at`, before anything newer of their chats.
    again: BTreeSet<Ticket>,
    again_at: Moment,
    refusals: u32,
    /// True between `welcome` and the end of the connection.
    open: bool,
    /// How long a command may stay without a verdict before it is written again for the first time.
    resend_ms: u64,
    /// When to look next for those that stay too long: never later than the first of them is due.
    look_at: Option<Moment>,
}

impl Outbox {
    pub(super) fn new(resend_ms: u64) -> Self {
        Self {
            resend_ms,
            ..Self::default()
        }
    }

    /// Takes a command; false when one with this client id is under way in the same chat.
    pub(super) fn push(&mut self, ticket: Ticket, command: Command) -> bool {
        let key = key_of(&command);
        let lane = key.as_ref().map(|(chat, _)| chat.clone());
        if let Some(key) = &key {
            if self.keys.contains_key(key) {
                return false;
            }
            self.keys.insert(key.clone(), ticket);
        }
        let outgoing = Outgoing {
            command,
            key,
            stage: Stage::Waiting,
            asked: 0,
            unanswered: 0,
            told_sent: false,
        };
        self.commands.insert(ticket, outgoing);
        self.waiting += 1;
        match lane {
            Some(chat) => {
                let lane = self.lanes.entry(chat.clone()).or_default();
                lane.waiting.push_back(ticket);
                self.fly(&chat);
            }
            None if self.open => self.ready.push_back(ticket),
            None => {}
        }
        true
    }

    /// The next command to write, in order; it counts as written.
    pub(super) fn pop(&mut self, now: Moment) -> Option<(Ticket, &mut Outgoing)> {
        let ticket = loop {
            let ticket = self.ready.pop_front()?;
            if self.commands.contains_key(&ticket) && !self.again.contains(&ticket) {
                break ticket;
            }
        };
        let outgoing = self.commands.get_mut(&ticket)?;
        if outgoing.stage == Stage::Waiting {
            self.waiting = self.waiting.saturating_sub(1);
        }
        outgoing.stage = Stage::Flying { since: now };
        outgoing.asked = outgoing.asked.saturating_add(1);
        outgoing.unanswered = outgoing.unanswered.saturating_add(1);
        let due = now.after(patience_ms(self.resend_ms, outgoing.unanswered));
        self.look_at = Some(self.look_at.map_or(due, |at| at.min(due)));
        Some((ticket, outgoing))
    }

    /// The connection speaks: everything that was on an earlier one goes first, in order.
    pub(super) fn opened(&mut self) {
        self.open = true;
        self.again.clear();
        self.refusals = 0;
        self.ready.clear();
        for outgoing in self.commands.values_mut() {
            outgoing.unanswered = 0;
        }
        let lanes = self.lanes.values();
        let held: BTreeSet<Ticket> = lanes
            .flat_map(|lane| lane.waiting.iter().copied())
            .collect();
        let flying = self
            .commands
            .keys()
            .filter(|ticket| !held.contains(*ticket));
        self.ready.extend(flying);
        self.fly_all();
    }

    /// The connection is gone.
    pub(super) fn lost(&mut self) {
        self.open = false;
        self.ready.clear();
        self.again.clear();
        self.look_at = None;
    }

    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Outgoing> {
        self.commands.get_mut(&ticket)
    }

    pub(super) fn ticket(&self, key: &Key) -> Option<Ticket> {
        self.keys.get(key).copied()
    }

    /// The command has come to its end.
    pub(super) fn settle(&mut self, ticket: Ticket) -> Option<Outgoing> {
        let outgoing = self.commands.remove(&ticket)?;
        let freed = self.again.remove(&ticket) && !self.holds_back();
        self.refusals = 0;
        if outgoing.stage == Stage::Waiting {
            self.waiting = self.waiting.saturating_sub(1);
        }
        if let Some(key) = &outgoing.key {
            self.keys.remove(key);
            self.leave_lane(&key.0, ticket);
            self.fly(&key.0);
        }
        if freed {
            self.fly_all();
        }
        Some(outgoing)
    }

    fn leave_lane(&mut self, chat: &Option<ChatId>, ticket: Ticket) {
        let Some(lane) = self.lanes.get_mut(chat) else {
            return;
        };
        lane.leave(ticket);
        if lane.begun.is_empty() && lane.waiting.is_empty() {
            self.lanes.remove(chat);
        }
    }

    /// The server cannot take the command now; it is written again later, before newer ones.
    pub(super) fn refused_for_now(&mut self, now: Moment, ticket: Ticket, refusal: &Refusal) {
        let Some(outgoing) = self.commands.get_mut(&ticket) else {
            return;
        };
        outgoing.unanswered = 0;
        let grown = grown_ms(RETRY_MS, self.refusals);
        let wait = refusal.retry_after_ms.unwrap_or(grown);
        if self.again.is_empty() || self.again_at < now.after(wait) {
            self.again_at = now.after(wait);
        }
        self.refusals = self.refusals.saturating_add(1);
        self.again.insert(ticket);
    }

    /// When something is to be written without anything having come in between.
    pub(super) fn due(&self) -> Option<Moment> {
        if !self.open {
            return None;
        }
        let again = (!self.again.is_empty()).then_some(self.again_at);
        [again, self.look_at].into_iter().flatten().min()
    }

    /// Makes ready what is due: a round of refused ones, and those that wait too long.
    pub(super) fn tick(&mut self, now: Moment) {
        if !self.open {
            return;
        }
        if !self.again.is_empty() && now >= self.again_at {
            let round: Vec<Ticket> = self.again.iter().copied().take(ROUND.0).collect();
            for ticket in round {
                self.again.remove(&ticket);
                self.ready.push_back(ticket);
            }
            self.again_at = now.after(ROUND.1);
            if !self.holds_back() {
                self.fly_all();
            }
        }
        if self.look_at.is_some_and(|at| now >= at) {
            self.look(now);
        }
    }

    /// What became of a logged command may have been told and never come: all those that were put on
    /// the socket are put on it again.
    pub(super) fn ask_again(&mut self) {
        let flying = |(ticket, outgoing): (&Ticket, &Outgoing)| {
            let asked = outgoing.key.is_some() && outgoing.stage != Stage::Waiting;
            (asked && !self.again.contains(ticket)).then_some(*ticket)
        };
        let flying = self.commands.iter().filter_map(flying);
        self.ready.extend(flying);
    }

    fn look(&mut self, now: Moment) {
        let mut next = None;
        for (ticket, outgoing) in &self.commands {
            let Stage::Flying { since } = outgoing.stage else {
                continue;
            };
            if self.again.contains(ticket) {
                continue;
            }
            let mut due = since.after(patience_ms(self.resend_ms, outgoing.unanswered));
            if due <= now {
                self.ready.push_back(*ticket);
                due = now.after(patience_ms(
                    self.resend_ms,
                    outgoing.unanswered.saturating_add(1),
                ));
            }
            next = Some(next.map_or(due, |earlier: Moment| earlier.min(due)));
        }
        self.look_at = next.map(|at| at.max(Moment(now.0.saturating_add(1))));
    }

    /// How many commands wait for a place.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many commands are under way, waiting ones included.
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// Lets waiting commands of a chat go, as far as there is room.
    fn fly(&mut self, chat: &Option<ChatId>) {
        if !self.open || self.holds_back() {
            return;
        }
        let Some(lane) = self.lanes.get_mut(chat) else {
            return;
        };
        while lane.has_room() {
            let Some(ticket) = lane.waiting.pop_front() else {
                return;
            };
            lane.begun.push_back(Some(ticket));
            self.ready.push_back(ticket);
        }
    }

    /// True while a logged command is to be written again, before anything newer. A read that was refused
    /// holds nothing back.
    fn holds_back(&self) -> bool {
        let keyed = |ticket| self.commands.get(ticket).is_some_and(|o| o.key.is_some());
        self.again.iter().any(keyed)
    }

    fn fly_all(&mut self) {
        let waits = |(chat, lane): (&Option<ChatId>, &Lane)| {
            (!lane.waiting.is_empty() && lane.has_room()).then(|| chat.clone())
        };
        let chats: Vec<_> = self.lanes.iter().filter_map(waits).collect();
        for chat in chats {
            self.fly(&chat);
        }
    }
}

/// How long a command that was put on the socket so often, without an answer, may stay without a verdict:
/// each time twice as long, up to 32 times. Each resend is a record in the log, and while nobody folds it none
/// has an answer.
fn patience_ms(first: u64, unanswered: u32) -> u64 {
    first.saturating_mul(1 << unanswered.saturating_sub(1).min(5))
}

/// The key of a logged command; none for settings, marks and reads.
pub(super) fn key_of(command: &Command) -> Option<Key> {
    let (chat, id) = command.logged()?;
    Some((chat.cloned(), id.clone()))
}

/// True for refusals that speak of the session, not of the command: it stays unsettled.
pub(super) fn is_of_session(code: Code) -> bool {
    matches!(
        code,
        Code::Unauthorized | Code::TokenExpired | Code::HelloRequired | Code::HelloTwice
    )
}

#[cfg(test)]
mod tests;
