//! A gateway's subscriptions at one worker, whether it can be reached or not: what was asked for and not
//! answered, and what has to be asked for again. Pure but for what it sends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use infra_ports::link::{Subscribed, SubscriberId, Subscribing};
use schemas::ids::UserId;
use schemas::position::Partition;
use tokio::sync::oneshot;

use crate::frames::Frame;
use crate::outbox::Outbox;

type Waiter = oneshot::Sender<Subscribed>;

/// A request under way.
struct Asked {
    user: UserId,
    waiters: Vec<Waiter>,
}

/// The gateway's side of the subscriptions.
#[derive(Default)]
pub(crate) struct Subscribers {
    users: BTreeMap<UserId, SubscriberId>,
    /// There while the worker is reached.
    outbox: Option<Arc<Outbox>>,
    /// In the order in which they are answered.
    asked: VecDeque<Asked>,
    /// Who waits until the worker is reached.
    parked: BTreeMap<UserId, Vec<Waiter>>,
    /// Partitions that were heard of over this connection.
    partitions: BTreeSet<Partition>,
}

impl Subscribers {
    pub(crate) fn subscribe(&mut self, user: &UserId, subscriber: SubscriberId) -> Subscribing {
        let (tell, told) = oneshot::channel();
        self.users.insert(user.clone(), subscriber);
        match self.outbox.clone() {
            Some(outbox) => self.ask(&outbox, user.clone(), subscriber, vec![tell]),
            None => self.parked.entry(user.clone()).or_default().push(tell),
        }
        Subscribing::later(told)
    }

    pub(crate) fn unsubscribe(&mut self, user: &UserId) {
        if self.users.remove(user).is_none() {
            return;
        }
        self.parked.remove(user);
        if let Some(outbox) = &self.outbox {
            let frame = Frame::Unsubscribe(user.clone());
            outbox.put(|into| frame.encode(into));
        }
    }

    /// How many the worker knows now.
    pub(crate) fn known(&self) -> usize {
        self.outbox.as_ref().map_or(0, |_| self.users.len())
    }

    /// The worker is reached: all are subscribed, first of all that is sent.
    pub(crate) fn connected(&mut self, outbox: &Arc<Outbox>) {
        for (user, subscriber) in self.users.clone() {
            let waiters = self.parked.remove(&user).unwrap_or_default();
            self.ask(outbox, user, subscriber, waiters);
        }
        self.outbox = Some(Arc::clone(outbox));
    }

    fn ask(
        &mut self,
        outbox: &Outbox,
        user: UserId,
        subscriber: SubscriberId,
        waiters: Vec<Waiter>,
    ) {
        let frame = Frame::Subscribe(subscriber, user.clone());
        self.asked.push_back(Asked { user, waiters });
        outbox.put(|into| frame.encode(into));
    }

    /// The answer to the oldest request; false when there was none.
    pub(crate) fn answered(&mut self, subscribed: Subscribed) -> bool {
        let Some(asked) = self.asked.pop_front() else {
            return false;
        };
        self.partitions.insert(subscribed.partition);
        for waiter in asked.waiters {
            // Whoever waited may be gone.
            waiter.send(subscribed).ok();
        }
        true
    }

    /// The worker is not reached any more: which partitions are detached by that.
    pub(crate) fn broken(&mut self) -> Vec<Partition> {
        self.outbox = None;
        for asked in std::mem::take(&mut self.asked) {
            if self.users.contains_key(&asked.user) {
                let parked = self.parked.entry(asked.user).or_default();
                parked.extend(asked.waiters);
            }
        }
        std::mem::take(&mut self.partitions).into_iter().collect()
    }
}
