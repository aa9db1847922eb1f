//! Where the domain crates meet, which do not know each other: commands go from delivery's sessions
//! to ingest, verdicts from delivery's watches to ingest's HTTP, progress from the projectors to
//! delivery. Conversions only; no decision is made here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use delivery::GatewayRole;
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

/// The projectors' progress, as delivery sees it: of this process's partitions it knows at once, of
/// those that others have what somebody else says.
pub struct AppliedOf {
    projections: BTreeMap<&'static str, Status>,
    runtime: Arc<dyn Runtime>,
    elsewhere: Option<Arc<dyn delivery::Applied>>,
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
            elsewhere: None,
        }
    }

    /// The same, asking this of what is not this node's now. Without it nothing is known of that:
    /// who waits for it waits in vain.
    #[must_use]
    pub fn or_else(self, elsewhere: Arc<dyn delivery::Applied>) -> Self {
        Self {
            elsewhere: Some(elsewhere),
            ..self
        }
    }

    fn own(&self, projection: &str, partition: Partition) -> Option<Offset> {
        self.projections.get(projection)?.applied(partition)
    }

    /// Waits as long as the partition is this node's; false when it is not, or no more.
    async fn wait_for_own(&self, projection: &str, partition: Partition, offset: Offset) -> bool {
        match self.projections.get(projection) {
            Some(status) => status.wait_applied(partition, offset).await,
            None => false,
        }
    }
}

#[async_trait]
impl delivery::Applied for AppliedOf {
    fn applied(&self, projection: &'static str, partition: Partition) -> Offset {
        let elsewhere = || Some(self.elsewhere.as_ref()?.applied(projection, partition));
        let own = self.own(projection, partition);
        own.or_else(elsewhere).unwrap_or_default()
    }

    async fn wait_applied(
        &self,
        projection: &'static str,
        partition: Partition,
        offset: Offset,
        timeout: Duration,
    ) -> bool {
        if self.own(projection, partition) >= Some(offset) {
            return true;
        }
        // What it waits for may itself wait for another projection's news to be made durable.
        let _hurry: Vec<_> = self.projections.values().map(Status::hurry).collect();
        let applied = async {
            if self.wait_for_own(projection, partition, offset).await {
                return true;
            }
            match &self.elsewhere {
                Some(other) => {
                    let waited = other.wait_applied(projection, partition, offset, timeout);
                    waited.await
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            applied = applied => applied,
            () = self.runtime.sleep(timeout) => false,
        }
    }
}

/// Delivery's watches, as ingest's HTTP sees them.
pub struct VerdictsOf(pub GatewayRole);

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

#[cfg(test)]
mod tests {
    use delivery::Applied;
    use infra_ports::EventLog;
    use infra_ports::memory::{Chances, Executor, MemoryLog, MemoryStore, Node};
    use parking_lot::Mutex;
    use projectors::{Ports, Share, generations};
    use schemas::topics::Topic;

    use super::*;

    /// Is at 7 with everything, and writes down what it is asked to wait for.
    #[derive(Default)]
    struct Elsewhere(Mutex<Vec<&'static str>>);

    #[async_trait]
    impl Applied for Elsewhere {
        fn applied(&self, _projection: &'static str, _partition: Partition) -> Offset {
            Offset(7)
        }

        async fn wait_applied(
            &self,
            projection: &'static str,
            _partition: Partition,
            offset: Offset,
            _timeout: Duration,
        ) -> bool {
            self.0.lock().push(projection);
            offset <= Offset(7)
        }
    }

    #[test]
    fn what_this_process_does_not_project_is_asked_elsewhere_and_nothing_else_is() {
        let mut executor = Executor::seeded(1, Chances::CALM);
        let runtime: Arc<dyn Runtime> = Arc::new(executor.runtime(Node(1)));
        let (log, store) = (MemoryLog::new(1), MemoryStore::new());
        let test = async move {
            log.create_topics(&[Topic::Chats, Topic::Users])
                .await
                .unwrap();
            let ports = Ports {
                log: Arc::new(log),
                store: Arc::new(store),
                runtime: Arc::clone(&runtime),
            };
            let share = Share::everything().only(["chats"]).unwrap();
            let config = projectors::Config::default();
            let projectors = projectors::start(&ports, &config, generations::FIRST, &share);
            for status in projectors.statuses() {
                while !status.is_ready() {
                    runtime.sleep(Duration::from_millis(1)).await;
                }
            }
            let elsewhere = Arc::new(Elsewhere::default());
            let alone = AppliedOf::new(projectors.statuses(), Arc::clone(&runtime));
            let both = AppliedOf::new(projectors.statuses(), runtime).or_else(elsewhere.clone());
            let (zero, within) = (Partition(0), Duration::from_secs(2));
            let applied = ["chats", "inbox"].map(|name| both.applied(name, zero));
            assert_eq!(applied, [Offset(0), Offset(7)]);
            assert_eq!(alone.applied("inbox", zero), Offset(0), "nothing is known");
            assert!(both.wait_applied("chats", zero, Offset(0), within).await);
            assert!(!both.wait_applied("chats", zero, Offset(1), within).await);
            assert!(elsewhere.0.lock().is_empty(), "chats are its own");
            assert!(both.wait_applied("inbox", zero, Offset(7), within).await);
            assert_eq!(*elsewhere.0.lock(), ["inbox"]);
            assert!(!alone.wait_applied("inbox", zero, Offset(7), within).await);
            projectors.stop().await.unwrap();
        };
        executor.block_on(Node(1), test).unwrap();
    }
}
