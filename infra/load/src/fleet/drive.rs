//! The loop: sends what is due, marks, writes, waits, takes what came; until all has arrived.

use std::ops::Range;
use std::time::Duration;

use super::socket::Login;
use super::{Fleet, Nanos};
use crate::progress::Progress;

/// Messages sent between two looks at what came.
const BURST: usize = 64;
/// How long connecting may take without any socket becoming live.
const OPEN_WITHIN: Nanos = 30_000_000_000;
/// Where something is waited for, it is looked at so often at least.
const LOOK: Nanos = 10_000_000;
/// Handshakes under way at once while a fleet is set up: fewer than a backlog holds.
const HANDSHAKES: usize = 256;

/// A message to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shot {
    /// When it should leave.
    pub due: Nanos,
    /// By which socket.
    pub from: usize,
    /// Into which of its chats.
    pub view: usize,
    /// Which latencies it counts for.
    pub class: usize,
    /// A message, or a change of one.
    pub what: What,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum What {
    /// A message.
    #[default]
    Message,
    /// A new text for the sender's own newest message in that chat.
    Edit,
}

/// What is sent, and how long it is waited for.
#[derive(Debug, Clone)]
pub struct Run<I> {
    /// Messages in the order of their time.
    pub shots: I,
    /// The text of each.
    pub text: String,
    /// Messages that should leave in here are measured.
    pub measured: Range<Nanos>,
    /// Classes of latencies.
    pub classes: usize,
    /// After the last message, so long for everything that is waited for.
    pub patience: Duration,
    /// What is waited for.
    pub until: Until,
}

/// What a run waits for after its last message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Until {
    /// Everything has arrived and is marked.
    #[default]
    Settled,
    /// Everything is durable: some who should hear it are away.
    Answered,
}

impl Fleet {
    /// Connects sockets and waits until all are live.
    ///
    /// # Errors
    /// When one is refused or does not become live.
    pub fn connect_all(&mut self, logins: impl IntoIterator<Item = Login>) -> anyhow::Result<()> {
        self.open_all(logins.into_iter(), HANDSHAKES, |fleet, login| {
            fleet.connect(&login).map(drop)
        })
    }

    /// Connects sockets that were cut off, with so many handshakes under way at once, and waits
    /// until all are live.
    ///
    /// # Errors
    /// When one is refused or does not become live.
    pub fn reconnect_all(
        &mut self,
        logins: impl IntoIterator<Item = (usize, Login)>,
        at_once: usize,
    ) -> anyhow::Result<()> {
        self.open_all(logins.into_iter(), at_once, |fleet, (number, login)| {
            fleet.reconnect(number, &login)
        })
    }

    fn open_all<T>(
        &mut self,
        logins: impl Iterator<Item = T>,
        at_once: usize,
        mut open: impl FnMut(&mut Self, T) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut logins = logins.peekable();
        let (mut opened, mut moved) = (0_usize, (0, self.now()));
        while logins.peek().is_some() || self.opening() > 0 {
            while self.opening() < at_once
                && let Some(login) = logins.next()
            {
                open(self, login)?;
                opened += 1;
            }
            // Not how many are opening: while the server is slower that is always as many as may.
            let (now, live) = (self.now(), opened.saturating_sub(self.opening()));
            if live != moved.0 {
                moved = (live, now);
            }
            if now - moved.1 > OPEN_WITHIN {
                let (opening, all) = (self.opening(), self.len());
                self.ledger
                    .fault(format!("{opening} of {all} sockets do not become live"));
            }
            if self.ledger.is_faulty() {
                self.close_books()?;
            }
            self.step(now, now + LOOK)?;
        }
        Ok(())
    }

    /// Sends everything at its time and waits until all has arrived and is marked, or patience ends.
    /// What is wrong then stands in the ledger.
    ///
    /// # Errors
    /// When the system does not wait.
    pub fn run(
        &mut self,
        run: Run<impl Iterator<Item = Shot>>,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        self.tally.begin(run.measured.clone(), run.classes);
        let patience = Nanos::try_from(run.patience.as_nanos())?;
        let mut shots = run.shots.peekable();
        let mut last_due = self.now();
        while !self.ledger.is_faulty() {
            let now = self.now();
            let mut burst = 0;
            while let Some(shot) = shots.next_if(|shot| shot.due <= now && burst < BURST) {
                self.send(&shot, &run.text);
                (last_due, burst) = (shot.due, burst + 1);
            }
            let next = shots.peek().map(|shot| shot.due);
            let deadline = last_due.max(run.measured.end) + patience;
            let done = match run.until {
                Until::Settled => self.is_settled(),
                Until::Answered => self.ledger.unanswered() == 0,
            };
            if next.is_none() && ((done && self.dirty.is_empty()) || now > deadline) {
                break;
            }
            self.step(now, next.unwrap_or(deadline))?;
            progress.at(now);
        }
        Ok(())
    }

    /// Waits until all has arrived and is marked, or patience ends.
    ///
    /// # Errors
    /// When the system does not wait.
    pub fn settle(&mut self, patience: Duration) -> anyhow::Result<()> {
        let deadline = self.now() + Nanos::try_from(patience.as_nanos())?;
        let mut now = self.now();
        while now < deadline && !self.is_settled() && !self.ledger.is_faulty() {
            self.step(now, now + LOOK)?;
            now = self.now();
        }
        Ok(())
    }

    /// Only takes what comes, for a while.
    ///
    /// # Errors
    /// When the system does not wait.
    pub fn attend(&mut self, span: Duration) -> anyhow::Result<()> {
        let deadline = self.now() + Nanos::try_from(span.as_nanos())?;
        while self.now() < deadline {
            self.step(self.now(), deadline)?;
        }
        Ok(())
    }

    /// True when everything sent was answered and has arrived, and every mark was answered.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.ledger.is_settled() && self.marks.is_settled()
    }

    /// One round: marks, writes, and takes what comes until then.
    ///
    /// # Errors
    /// When the system does not wait.
    pub fn step(&mut self, now: Nanos, until: Nanos) -> anyhow::Result<()> {
        self.mark(now);
        self.flush();
        let marks = self.marks.next_due().unwrap_or(until);
        self.wait(until.min(marks))
    }

    /// Closes the books of a run: fails with everything that was wrong.
    ///
    /// # Errors
    /// When a message was lost, repeated or swapped, or something was refused, in words.
    pub fn close_books(&mut self) -> anyhow::Result<()> {
        let unsettled = self.marks.unsettled();
        if let Some(first) = self.marks.first_unsettled() {
            self.ledger.fault(format!(
                "lost: {unsettled} marks were not answered, the first is {first}"
            ));
        }
        let faults = self.ledger.close();
        anyhow::ensure!(
            faults.is_empty(),
            "a failed run:\n  {}",
            faults.join("\n  ")
        );
        Ok(())
    }
}
