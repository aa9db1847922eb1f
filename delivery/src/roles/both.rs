//! Worker and gateway in one process: the link between them is a call.

use std::sync::Arc;

use infra_ports::memory::LocalLink;

use super::{GatewayPorts, GatewayRole, StartError, WorkerRole};

/// Worker, link and gateway of one process. A clone is the same one.
#[derive(Clone)]
pub struct Delivery {
    /// Tails `users`.
    pub worker: WorkerRole,
    /// Holds sockets.
    pub gateway: GatewayRole,
}

impl Delivery {
    /// Starts a worker over all partitions of `users` and a gateway without sockets. The topics
    /// must exist.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn start(ports: GatewayPorts) -> Result<Self, StartError> {
        let (log, runtime) = (Arc::clone(&ports.log), Arc::clone(&ports.runtime));
        let worker = WorkerRole::prepare(&*log, &ports.config).await?;
        let feed = worker.feed();
        let gateway = GatewayRole::start(ports, |deliveries| {
            Arc::new(LocalLink::new(feed, deliveries))
        });
        worker.start(log, runtime);
        Ok(Self { worker, gateway })
    }

    /// Tells all clients to go, and where to if that is known, closes them with 1012, and ends the
    /// worker. Takes at most twice the time a close may take.
    pub async fn shutdown(&self, reconnect_to: Option<String>) {
        self.gateway.shutdown(reconnect_to).await;
        self.worker.stop();
    }
}

#[cfg(test)]
mod tests {
    use infra_ports::link::{Feed, GatewayId};
    use schemas::ids::UserId;

    use crate::testing::*;

    #[test]
    fn a_worker_that_forgot_a_user_and_a_batch_that_hangs_show() {
        let mut scene = Scene::new();
        let _ada = scene.live("ada/phone");
        let delivery = scene.delivery.clone();
        let (worker, gateway) = (&delivery.worker, &delivery.gateway);
        assert!(gateway.link_is_whole());
        let elapsed = |scene: &Scene| scene.executor.elapsed();
        assert!(worker.handing_out_for(elapsed(&scene)).is_zero());
        let ada = UserId::new("ada").unwrap();
        worker.subscriptions().unsubscribe(GatewayId(1), &ada);
        assert!(!gateway.link_is_whole(), "ada would be told nothing");
        let _bob = scene.live("bob/phone");
        assert!(!gateway.link_is_whole());
        worker.pulse().begin(elapsed(&scene));
        scene.wait(7_000);
        assert_eq!(worker.handing_out_for(elapsed(&scene)).as_secs(), 7);
        worker.pulse().end();
        assert!(worker.handing_out_for(elapsed(&scene)).is_zero());
    }
}
