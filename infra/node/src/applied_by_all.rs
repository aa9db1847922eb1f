//! How far the tables are while a process moves from one generation to another: as far as both are.
//!
//! Whoever is told that something is in the tables may read it from the one or from the other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use delivery::Applied;
use futures_util::future::join_all;
use infra_ports::{Runtime, watch};
use schemas::position::{Offset, Partition};

/// What all of several say.
pub(crate) struct AppliedByAll {
    all: watch::Sender<Arc<[Arc<dyn Applied>]>>,
    runtime: Arc<dyn Runtime>,
}

impl AppliedByAll {
    /// Of nobody: nothing is applied, and who waits waits for the first.
    pub(crate) fn of_nobody(runtime: Arc<dyn Runtime>) -> Self {
        Self {
            all: watch::Sender::new(Arc::default()),
            runtime,
        }
    }

    /// These are asked from now on, by those too who wait already: they read what is live when they were
    /// answered, not when they began to wait.
    pub(crate) fn ask(&self, all: Vec<Arc<dyn Applied>>) {
        self.all.send_replace(all.into());
    }
}

#[async_trait]
impl Applied for AppliedByAll {
    fn applied(&self, projection: &'static str, partition: Partition) -> Offset {
        let all = Arc::clone(&self.all.borrow());
        let said = all.iter().map(|one| one.applied(projection, partition));
        said.min().unwrap_or_default()
    }

    async fn wait_applied(
        &self,
        projection: &'static str,
        partition: Partition,
        offset: Offset,
        timeout: Duration,
    ) -> bool {
        let mut asked = self.all.subscribe();
        let applied = async {
            loop {
                let Ok(all) = asked.wait_for(|all| !all.is_empty()).await else {
                    return false;
                };
                let waits = all
                    .iter()
                    .map(|one| one.wait_applied(projection, partition, offset, timeout));
                let applied = join_all(waits).await.into_iter().all(|applied| applied);
                if !applied || Arc::ptr_eq(&all, &self.all.borrow()) {
                    return applied;
                }
            }
        };
        tokio::select! {
            biased;
            applied = applied => applied,
            () = self.runtime.sleep(timeout) => false,
        }
    }
}
