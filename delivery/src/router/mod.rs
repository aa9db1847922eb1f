//! The link of a gateway to many workers: each user is subscribed at the worker that has their
//! partition.
//!
//! ```text
//!                      ┌─ lane ═══▶ worker a   partitions 0, 3, 4 …
//!  gateway ──▶ router ─┼─ lane ═══▶ worker b   partitions 1, 2, 6 …
//!                      └─ lane ═▷              (not reached: has none)
//! ```
//!
//! Who has what is rendezvous hashing over the workers that are known *and* reached, so that each
//! gateway decides alone and at once: workers keep nothing that two gateways could disagree on. A
//! partition moves from a worker that is reached by subscribing at the new one first, and leaving the
//! old one once that has told everything from before; sessions drop what they have already. When a
//! worker is lost its partitions are subscribed elsewhere and told as `detached`: their users resume.
//! Nothing is said about a partition that has no worker at all; its subscriptions wait for one. Where the next in
//! line stands by, it tells the users too, and takes over from a worker that is lost without a word to anybody.

mod lanes;
mod moves;
mod standby;
mod table;
mod waiting;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use futures_util::future::join;
use infra_ports::Runtime;
use infra_ports::link::{Deliveries, Link, SubscriberId, Subscribing};
use infra_ports::registry::Lease;
use parking_lot::Mutex;
use schemas::ids::UserId;
use schemas::position::Partition;
use tokio::sync::Notify;

use self::lanes::{FromLane, LaneId};
use self::table::{Changed, Table};

/// Told whether a worker is reached, each time that changes; from any thread.
pub type Reached = Arc<dyn Fn(bool) + Send + Sync>;

/// Makes links to workers.
pub trait Dial: Send + Sync + 'static {
    /// A link to the worker that has this lease. It is not reached until `reached` is told so. When it
    /// is told that it no longer is, whoever waits for a subscription hears `LinkGone` once they are
    /// unsubscribed. Nothing when there can be none: it is tried again at the next look.
    fn dial(
        &self,
        worker: &Lease,
        deliveries: Arc<dyn Deliveries>,
        reached: Reached,
    ) -> Option<Arc<dyn Link>>;
}

/// How users are given to workers.
#[derive(Debug, Clone, Copy)]
pub struct Sharing {
    /// Partitions of `users`.
    pub partitions: u32,
    /// The next in line for a partition tells its users too, and goes on when the owner is lost.
    pub hot_standby: bool,
}

impl Sharing {
    /// Each partition's users are told by one worker.
    #[must_use]
    pub const fn plain(partitions: u32) -> Self {
        Self {
            partitions,
            hot_standby: false,
        }
    }
}

/// The link of one gateway to many workers. A clone is the same one.
#[derive(Clone)]
pub struct Router(Arc<Shared>);

pub(crate) struct Shared {
    runtime: Arc<dyn Runtime>,
    dial: Box<dyn Dial>,
    /// The gateway, which has the router.
    deliveries: Weak<dyn Deliveries>,
    table: Mutex<Table>,
    /// Rings when there may be something to move.
    changed: Notify,
    /// Rings when there may be somebody to stand by.
    stood_by: Notify,
}

impl Router {
    /// A router that knows no worker yet, for a gateway that has it: it does not keep the gateway.
    #[must_use]
    pub fn new(
        sharing: Sharing,
        runtime: Arc<dyn Runtime>,
        dial: Box<dyn Dial>,
        deliveries: &Arc<dyn Deliveries>,
    ) -> Self {
        Self(Arc::new(Shared {
            runtime,
            dial,
            deliveries: Arc::downgrade(deliveries),
            table: Mutex::new(Table::new(sharing)),
            changed: Notify::new(),
            stood_by: Notify::new(),
        }))
    }

    /// These are the workers now: the new ones are linked to; the others are let go at the second call
    /// after nobody is subscribed there any more, so that what they told last is heard. To be called
    /// again and again, with the same ones too.
    pub fn workers(&self, members: &[Lease]) {
        let missing = self.0.table.lock().keep(members);
        for (id, worker) in missing {
            let up = Arc::new(AtomicBool::new(false));
            let from = FromLane::new(id, Arc::clone(&up), &self.0);
            let reached = self.0.reached(id, Arc::clone(&up));
            let Some(link) = self.0.dial.dial(&worker, Arc::new(from), reached) else {
                continue;
            };
            tracing::info!(worker = %worker.name, at = worker.detail, "a worker is known");
            self.0.table.lock().add(id, worker, link, &up);
        }
        self.0.change(Table::looked);
    }

    /// How many workers are reached.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.0.table.lock().reached()
    }

    /// Lets all workers go, for good: whoever asks from now on is not answered.
    pub fn close(&self) {
        self.0.change(Table::close);
    }

    /// Moves partitions to where they belong and has workers stand by, until it is closed.
    pub async fn run(self) {
        join(moves::run(&self.0), standby::run(&self.0)).await;
    }
}

impl Link for Router {
    fn subscribe(&self, user: &UserId, subscriber: SubscriberId) -> Subscribing {
        self.0.table.lock().subscribe(user, subscriber)
    }

    fn unsubscribe(&self, user: &UserId) {
        self.0.table.lock().unsubscribe(user);
    }

    fn subscribers(&self) -> usize {
        self.0.table.lock().known()
    }
}

impl Shared {
    /// Changes the table, lets go of lanes outside of its lock, and tells the gateway of what was
    /// detached by it.
    fn change(&self, change: impl FnOnce(&mut Table) -> Changed) {
        let Changed { detached, dropped } = change(&mut self.table.lock());
        drop(dropped);
        self.changed.notify_one();
        self.stood_by.notify_one();
        self.detached(&detached);
    }

    fn detached(&self, partitions: &[Partition]) {
        if let Some(gateway) = self.deliveries.upgrade()
            && !partitions.is_empty()
        {
            gateway.detached(partitions);
        }
    }

    fn now(&self, id: LaneId, up: bool) {
        match up {
            true => self.change(|table| table.came(id)),
            false => self.change(|table| table.lost(id)),
        }
    }

    fn reached(self: &Arc<Self>, id: LaneId, now: Arc<AtomicBool>) -> Reached {
        let shared = Arc::downgrade(self);
        Arc::new(move |up| {
            now.store(up, Ordering::Release);
            if let Some(shared) = shared.upgrade() {
                shared.now(id, up);
            }
        })
    }
}
