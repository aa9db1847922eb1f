//! Where answers to commands are made: on the thread that delivers, once a commit, not by the task
//! of each session.
//!
//! A command's future is begun by its session and from then on polled here, when whatever it waits
//! for (the log) wakes it. Committer, fold, worker: in the production runtime the last two and this
//! share a thread, so one wake-up follows a commit, and `sent` leaves in the same write as the entry.
//! Answers never wait for entries: this task lets the fold and the worker have their turn, then
//! answers what they did not.

use std::sync::Arc;

use infra_ports::runtime::let_others_run;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Gateway;
use super::session::Session;
use super::session::owed::Pending;

/// Turns that others have first: the fold's, then the worker's, and one in which the fold appends.
const TURNS_OF_OTHERS: usize = 3;

/// Where commands that can go on are called out.
#[derive(Default)]
pub(crate) struct Answers {
    ready: Mutex<Vec<Arc<Pending>>>,
    called: Notify,
}

impl Answers {
    /// Has a command's future polled again. Called from any thread, and never waits.
    pub(crate) fn call(&self, pending: Arc<Pending>) {
        let mut ready = self.ready.lock();
        ready.push(pending);
        let is_first = ready.len() == 1;
        drop(ready);
        if is_first {
            self.called.notify_one();
        }
    }
}

impl Gateway {
    /// Answers commands for ever; to be run beside everything else.
    pub(crate) async fn serve_answers(&self) {
        loop {
            self.answers.called.notified().await;
            for _ in 0..TURNS_OF_OTHERS {
                let_others_run().await;
            }
            let answered = self.answer_ready();
            answered.iter().for_each(|session| session.flush());
        }
    }

    /// Puts the answers that can be given into outboxes. Returns the sessions that are to be written
    /// out.
    pub(super) fn answer_ready(&self) -> Vec<Arc<Session>> {
        let ready = std::mem::take(&mut *self.answers.ready.lock());
        let mut answered = Vec::new();
        for pending in ready {
            let session = pending.session();
            if pending.advance() && session.answer_in_turn() {
                answered.push(Arc::clone(session));
            }
        }
        answered
    }
}
