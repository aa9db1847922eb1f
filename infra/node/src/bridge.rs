//! Where the domain crates meet, which do not know each other: commands go from delivery's sessions
//! to ingest, verdicts from delivery's watches to ingest's HTTP, progress from the projectors to
//! delivery. Conversions only; no decision is made here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use delivery::Delivery;
use infra_ports::{BoxFuture, Runtime};
use ingest::Ingest;
use projectors::Status;
use schemas::errors::Refusal;
use schemas::frames::{Command, Receipt, Settled, Verdict};
use schemas::ids::{ChatId, ClientId, DeviceId, Identity, UserId};
use schemas::position::{Offset, Partition};

/// Ingest, as delivery's sessions see it.
pub struct CommandsOf(pub Ingest);

#[async_trait]
impl delivery::Commands for CommandsOf {
    fn authenticate(&self, token: &str) -> Result<Identity, Refusal> {
        self.0.authenticate(token)
    }

    fn admit(&self, address: IpAddr) -> Result<(), Refusal> {
        self.0.admit(address)
    }

    fn may_read(&self, identity: &Identity) -> Result<(), Refusal> {
        self.0.may_read(identity)
    }

    fn accept(
        &self,
        identity: &Identity,
        command: Command,
    ) -> BoxFuture<'static, Result<Receipt, Refusal>> {
        Box::pin(self.0.accept(identity, command))
    }

    async fn mark_all(
        &self,
        marks: Vec<(Identity, delivery::StampedMark)>,
    ) -> Vec<Result<Settled, Refusal>> {
        let stamped = marks.into_iter().map(|(who, mark)| (who, stamped(mark)));
        self.0.mark_all(stamped.collect()).await
    }
}

fn stamped(mark: delivery::StampedMark) -> ingest::StampedMark {
    let delivery::StampedMark {
        chat,
        kind,
        seq,
        ordinal,
        since,
        authors,
    } = mark;
    ingest::StampedMark {
        chat,
        kind,
        seq,
        ordinal,
        since,
        authors,
    }
}

/// The projectors' progress, as delivery sees it.
pub struct AppliedOf {
    projections: BTreeMap<&'static str, Status>,
    runtime: Arc<dyn Runtime>,
}

impl AppliedOf {
    /// Over the projections of this node.
    pub fn new(projections: Vec<Status>, runtime: Arc<dyn Runtime>) -> Self {
        let projections = projections
            .into_iter()
            .map(|status| (status.name(), status))
            .collect();
        Self {
            projections,
            runtime,
        }
    }
}

#[async_trait]
impl delivery::Applied for AppliedOf {
    fn applied(&self, projection: &'static str, partition: Partition) -> Offset {
        self.projections
            .get(projection)
            .map_or(Offset(0), |status| status.applied(partition))
    }

    async fn wait_applied(
        &self,
        projection: &'static str,
        partition: Partition,
        offset: Offset,
        timeout: Duration,
    ) -> bool {
        let Some(status) = self.projections.get(projection) else {
            return false;
        };
        if status.applied(partition) >= offset {
            return true;
        }
        // What it waits for may itself wait for another projection's news to be made durable.
        let _hurry: Vec<_> = self.projections.values().map(Status::hurry).collect();
        tokio::select! {
            biased;
            () = status.wait_applied(partition, offset) => true,
            () = self.runtime.sleep(timeout) => false,
        }
    }
}

/// Delivery's watches, as ingest's HTTP sees them.
pub struct VerdictsOf(pub Delivery);

impl ingest::Verdicts for VerdictsOf {
    fn watch(
        &self,
        user: &UserId,
        chat: &ChatId,
        device: &DeviceId,
        client_id: &ClientId,
    ) -> Box<dyn ingest::Watch> {
        Box::new(WatchOf(self.0.watch(user, chat, device, client_id)))
    }
}

struct WatchOf(delivery::VerdictWatch);

#[async_trait]
impl ingest::Watch for WatchOf {
    async fn settled(self: Box<Self>, within: Duration) -> Option<Verdict> {
        self.0.settled(within).await
    }
}
