//! Hubs: the sessions and watches of one user, and the users by name and by subscriber number.

use std::collections::HashMap;
use std::sync::Arc;

use infra_ports::link::SubscriberId;
use parking_lot::Mutex;
use schemas::frames::Verdict;
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use tokio::sync::oneshot;

use super::session::{Session, SessionId};

/// Somebody who waits for the entry or verdict of one command.
pub(crate) struct Watcher {
    pub(crate) number: u64,
    pub(crate) chat: ChatId,
    pub(crate) device: DeviceId,
    pub(crate) client_id: ClientId,
    pub(crate) tell: oneshot::Sender<Verdict>,
}

#[derive(Default)]
struct Listeners {
    sessions: Vec<Arc<Session>>,
    watchers: Vec<Watcher>,
    next_watcher: u64,
}

/// Everybody here who hears what one user is told.
pub(crate) struct Hub {
    pub(crate) user: UserId,
    pub(crate) id: SubscriberId,
    listeners: Mutex<Listeners>,
}

impl Hub {
    pub(super) fn join(&self, session: Arc<Session>) {
        self.listeners.lock().sessions.push(session);
    }

    pub(super) fn leave(&self, session: SessionId) {
        self.listeners
            .lock()
            .sessions
            .retain(|other| other.id != session);
    }

    /// How many sessions the user has here.
    pub(super) fn sessions(&self) -> usize {
        self.listeners.lock().sessions.len()
    }

    pub(super) fn is_unused(&self) -> bool {
        let listeners = self.listeners.lock();
        listeners.sessions.is_empty() && listeners.watchers.is_empty()
    }

    /// Does something with each session, in the order they came.
    pub(super) fn each_session(&self, mut act: impl FnMut(&Arc<Session>)) {
        self.listeners.lock().sessions.iter().for_each(&mut act);
    }

    /// Adds a watcher and answers its number.
    pub(crate) fn watch(
        &self,
        chat: &ChatId,
        device: &DeviceId,
        client_id: &ClientId,
        tell: oneshot::Sender<Verdict>,
    ) -> u64 {
        let mut listeners = self.listeners.lock();
        listeners.next_watcher += 1;
        let number = listeners.next_watcher;
        let (chat, device, client_id) = (chat.clone(), device.clone(), client_id.clone());
        listeners.watchers.push(Watcher {
            number,
            chat,
            device,
            client_id,
            tell,
        });
        number
    }

    pub(crate) fn unwatch(&self, number: u64) {
        self.listeners
            .lock()
            .watchers
            .retain(|watcher| watcher.number != number);
    }

    /// Tells those who wait for this command's fate.
    pub(super) fn settled(&self, verdict: &Verdict) {
        let mut listeners = self.listeners.lock();
        if listeners.watchers.is_empty() {
            return;
        }
        let (told, waiting) = std::mem::take(&mut listeners.watchers)
            .into_iter()
            .partition(|w| {
                w.client_id == verdict.client_id
                    && w.device == verdict.device
                    && w.chat == verdict.chat
            });
        listeners.watchers = waiting;
        drop(listeners);
        let told: Vec<Watcher> = told;
        for watcher in told {
            // Nobody waits any more: the time was over at this moment.
            drop(watcher.tell.send(verdict.clone()));
        }
    }
}

/// All hubs. Looked up only, never walked but for their partition's sake, sorted.
#[derive(Default)]
pub(super) struct Hubs {
    by_user: HashMap<UserId, Arc<Hub>, ahash::RandomState>,
    by_id: HashMap<SubscriberId, Arc<Hub>, ahash::RandomState>,
    next: u64,
}

impl Hubs {
    /// The hub of a user, made if there is none.
    pub(super) fn of(&mut self, user: &UserId) -> Arc<Hub> {
        if let Some(hub) = self.by_user.get(user) {
            return Arc::clone(hub);
        }
        self.next += 1;
        let id = SubscriberId(self.next);
        let hub = Arc::new(Hub {
            user: user.clone(),
            id,
            listeners: Mutex::default(),
        });
        self.by_user.insert(user.clone(), Arc::clone(&hub));
        self.by_id.insert(id, Arc::clone(&hub));
        hub
    }

    pub(super) fn by_id(&self, id: SubscriberId) -> Option<&Arc<Hub>> {
        self.by_id.get(&id)
    }

    /// Forgets a hub; false when it was forgotten before.
    pub(super) fn remove(&mut self, hub: &Hub) -> bool {
        if self.by_id.remove(&hub.id).is_none() {
            return false;
        }
        self.by_user.remove(&hub.user).is_some()
    }

    /// How many users are here.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Every hub, in the order they were made.
    pub(super) fn all(&self) -> Vec<Arc<Hub>> {
        let mut all: Vec<_> = self.by_id.values().cloned().collect();
        all.sort_unstable_by_key(|hub| hub.id);
        all
    }
}
