//! Who waits for which ticket.

use std::collections::BTreeMap;

use schemas::errors::Refusal;
use schemas::frames::Frame;
use tokio::sync::oneshot;

use crate::pending::Promise;
use crate::{Outcome, Sent, Ticket};

/// What a read, mark or setting is answered with.
pub(crate) type Answer = Result<Box<Frame>, Refusal>;

/// Everybody who waits. Whoever has stopped waiting is passed over.
#[derive(Debug, Default)]
pub(super) struct Desk {
    promises: BTreeMap<Ticket, Promise>,
    answers: BTreeMap<Ticket, oneshot::Sender<Answer>>,
    last: u64,
}

impl Desk {
    pub(super) fn promise(&mut self, promise: Promise) -> Ticket {
        let ticket = self.ticket();
        self.promises.insert(ticket, promise);
        ticket
    }

    pub(super) fn question(&mut self, answer: oneshot::Sender<Answer>) -> Ticket {
        let ticket = self.ticket();
        self.answers.insert(ticket, answer);
        ticket
    }

    pub(super) fn sent(&mut self, ticket: Ticket, sent: Sent) {
        let promise = self.promises.get_mut(&ticket);
        if let Some(told) = promise.and_then(|promise| promise.sent.take()) {
            drop(told.send(sent));
        }
    }

    pub(super) fn settled(&mut self, ticket: Ticket, outcome: Outcome) {
        if let Some(promise) = self.promises.remove(&ticket) {
            drop(promise.outcome.send(outcome));
        }
    }

    pub(super) fn answered(&mut self, ticket: Ticket, answer: Answer) {
        if let Some(asked) = self.answers.remove(&ticket) {
            drop(asked.send(answer));
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.last += 1;
        Ticket(self.last)
    }
}
