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

#[cfg(test)]
mod tests {
    use schemas::frames::{Command, Frame, Send, WireBody};
    use schemas::ids::ClientId;

    use crate::testing::{Scene, chat};

    #[test]
    fn a_commit_of_many_is_answered_in_one_go_whatever_tokio_lets_a_task_do() {
        let mut scene = Scene::new();
        let client = scene.live("ada/phone");
        *scene.commands.held.lock() = Some(Vec::new());
        for peer in ["bob", "cyd"] {
            for n in 0..200 {
                let send = Command::Send(Send {
                    chat: chat(&format!("d.ada.{peer}")),
                    client_id: ClientId::new(format!("{peer}-{n}")).unwrap(),
                    body: WireBody::text("x"),
                    reply_to: None,
                });
                scene.command(&client, &n.to_string(), &send);
            }
        }
        scene.wait(100);
        let gateway = scene.delivery.gateway.gateway_for_tests();
        let held = scene.commands.held.lock().take().unwrap();
        assert_eq!(held.len(), 400);
        held.into_iter().for_each(|tells| tells.send(()).unwrap());

        // As on its thread in production: a task of tokio, which may do so much until it has to yield.
        let tokio = tokio::runtime::Builder::new_current_thread().build();
        let answered = tokio.unwrap().block_on(async { gateway.answer_ready() });
        answered.iter().for_each(|session| session.flush());
        let frames = scene.frames(&client);
        let sent = frames.iter().filter(|one| matches!(one, Frame::Sent(_)));
        assert_eq!(sent.count(), 400);
    }
}
