//! Lanes: the links to single workers, and what comes over one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use infra_ports::link::{Deliveries, Link, Told};
use infra_ports::registry::Lease;
use schemas::position::Partition;

use super::Shared;

/// A router's own number for a link to a worker; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneId(pub(super) u64);

/// A link to one worker.
pub(super) struct Lane {
    pub(super) worker: Lease,
    pub(super) link: Arc<dyn Link>,
    /// The worker is reached.
    pub(super) up: bool,
    /// The worker is among those that are to have partitions.
    pub(super) wanted: bool,
}

/// What a worker tells. Records go straight to the gateway.
pub(super) struct FromLane {
    id: LaneId,
    /// Whether the worker is reached, as it was told last.
    up: Arc<AtomicBool>,
    router: Weak<Shared>,
    gateway: Weak<dyn Deliveries>,
}

impl FromLane {
    pub(super) fn new(id: LaneId, up: Arc<AtomicBool>, router: &Arc<Shared>) -> Self {
        Self {
            id,
            up,
            router: Arc::downgrade(router),
            gateway: Weak::clone(&router.deliveries),
        }
    }
}

impl Deliveries for FromLane {
    fn deliver(&self, batch: Vec<Told>) {
        if let Some(gateway) = self.gateway.upgrade() {
            gateway.deliver(batch);
        }
    }

    fn detached(&self, partitions: &[Partition]) {
        let Some(router) = self.router.upgrade() else {
            return;
        };
        // Those that have left this worker since are none of its business.
        let mut theirs = partitions.to_vec();
        let mut table = router.table.lock();
        theirs.retain(|partition| table.hears_of(*partition, self.id));
        // Where it stands by somebody else tells them.
        table.drop_standbys(|one, home| {
            home.standby.lane() == Some(self.id) && partitions.contains(&one)
        });
        drop(table);
        router.stood_by.notify_one();
        router.detached(&theirs);
    }

    /// One of many: the others go on.
    fn ended(&self) {
        self.up.store(false, Ordering::Release);
        if let Some(router) = self.router.upgrade() {
            router.now(self.id, false);
        }
    }
}
