//! Turns what a client's session puts out into observations for the checker.

use std::collections::BTreeMap;
use std::sync::Arc;

use cursus_client::{Event, Observer, Outcome, Output, Ticket};
use parking_lot::Mutex;
use schemas::events::MarkKind;
use schemas::ids::{ChatId, ClientId, DeviceId};
use schemas::position::Seq;

use crate::checker::Observation;

/// Records one device's observations, over all its connections and restarts.
#[derive(Debug, Default)]
pub struct Recorder {
    seen: Mutex<Vec<Observation>>,
    commands: Mutex<BTreeMap<Ticket, (ChatId, ClientId)>>,
}

impl Recorder {
    /// A recorder that a client can be given as its observer.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// A read mark was given to the client, which brings it home however often its node dies.
    pub fn has_read(&self, chat: &ChatId, seq: Seq) {
        self.note(Observation::HasRead {
            chat: chat.clone(),
            seq,
        });
    }

    /// The client ended and begins anew.
    pub fn restarted(&self) {
        self.note(Observation::Restarted);
    }

    /// Everything observed so far.
    pub fn observations(&self) -> Vec<Observation> {
        self.seen.lock().clone()
    }

    /// The highest entry received of a chat.
    pub fn newest(&self, chat: &ChatId) -> Seq {
        let seen = self.seen.lock();
        let seqs = seen
            .iter()
            .rev()
            .filter_map(|observation| match observation {
                Observation::Received(entry) if entry.chat == *chat => Some(entry.seq),
                Observation::Received(_)
                | Observation::Began { .. }
                | Observation::Acknowledged { .. }
                | Observation::Refused { .. }
                | Observation::Marked { .. }
                | Observation::HasRead { .. }
                | Observation::Restarted
                | Observation::Gone => None,
            });
        seqs.max().unwrap_or_default()
    }

    fn note(&self, observation: Observation) {
        self.seen.lock().push(observation);
    }

    fn event(&self, event: &Event) {
        if let Event::Entry(entry) = event {
            self.note(Observation::Received((**entry).clone()));
        } else if let Event::Marked(marked) = event {
            let device: Option<DeviceId> =
                (marked.kind == MarkKind::Delivered).then(|| marked.device.clone());
            let (chat, kind, seq) = (marked.chat.clone(), marked.kind, marked.seq);
            self.note(Observation::Marked {
                chat,
                device,
                kind,
                seq,
            });
        }
    }
}

impl Observer for Recorder {
    fn observe(&self, output: &Output) {
        if let Output::Began {
            ticket,
            chat: Some(chat),
            client_id,
        } = output
        {
            let command = (chat.clone(), client_id.clone());
            self.commands.lock().insert(*ticket, command);
            self.note(Observation::Began {
                chat: chat.clone(),
                client_id: client_id.clone(),
            });
        } else if let Output::Sent { sent, .. } = output {
            let (chat, client_id) = (sent.chat.clone(), sent.client_id.clone());
            self.note(Observation::Acknowledged { chat, client_id });
        } else if let Output::Settled {
            ticket,
            outcome: Outcome::Refused(refusal),
            ..
        } = output
        {
            let command = self.commands.lock().get(ticket).cloned();
            if let Some((chat, client_id)) = command {
                self.note(Observation::Refused {
                    chat,
                    client_id,
                    code: refusal.code,
                });
            }
        } else if let Output::Event(event) = output {
            self.event(event);
        }
    }
}
