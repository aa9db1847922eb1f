//! Turns what a client's session puts out into observations for the checker.

use std::collections::BTreeMap;
use std::sync::Arc;

use cursus_client::{Event, Observer, Outcome, Output, Ticket};
use parking_lot::Mutex;
use schemas::events::MarkKind;
use schemas::ids::{ChatId, ClientId, DeviceId};
use schemas::position::Seq;

use crate::checker::{Chosen, Observation};

/// Records one device's observations, over all its connections and restarts.
#[derive(Debug, Default)]
pub struct Recorder {
    seen: Mutex<Vec<Observation>>,
    /// The highest entry received of each chat: asked before each command, however long the run.
    newest: Mutex<BTreeMap<ChatId, Seq>>,
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

    /// A read mark is about to be given to a client that may die with it.
    pub fn begins_to_read(&self, chat: &ChatId, seq: Seq) {
        let chat = chat.clone();
        self.note(Observation::BeginsToRead { chat, seq });
    }

    /// Its user arranged a chat so, and was answered.
    pub fn chose(&self, chat: &ChatId, settings: Chosen) {
        let chat = chat.clone();
        self.note(Observation::Chose { chat, settings });
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
        self.newest.lock().get(chat).copied().unwrap_or_default()
    }

    fn note(&self, observation: Observation) {
        self.seen.lock().push(observation);
    }

    fn event(&self, event: &Event) {
        if let Event::Entry(entry) = event {
            let mut newest = self.newest.lock();
            let newest = newest.entry(entry.chat.clone()).or_default();
            *newest = entry.seq.max(*newest);
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
