//! Servers come and go: booted, killed, supervised and started again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use infra_ports::Runtime;
use projectors::Health;

use super::super::network::Gate;
use super::super::server::{Running, prepare, start_edge, start_projectors};
use super::World;

/// How long a node may be unwell before its supervisor starts it again.
const UNWELL_FOR: Duration = Duration::from_secs(2);

impl World {
    /// Starts a node's process.
    pub(super) fn boot(&mut self, place: usize) {
        let Some(server) = self.servers.get_mut(place) else {
            return;
        };
        (server.boots_at, server.unwell_since) = (None, None);
        server.failed.store(false, Ordering::Relaxed);
        let (node, projectors, edge) = (server.node, server.runs_projectors, server.runs_edge);
        let (running, failed) = (Arc::clone(&server.running), Arc::clone(&server.failed));
        let network = Arc::clone(&self.network);
        let (ports, shape, share) = (self.ports(node), self.shape.clone(), self.share(node));
        let faults = Arc::new(self.exposed(node));
        let runtime = ports.runtime.clone();
        let boot = async move {
            let begun = async {
                prepare(&ports).await?;
                let projectors = projectors.then(|| start_projectors(&ports, &shape, &share));
                let mut delivery = None;
                if edge {
                    delivery = Some(start_edge(&ports, &shape, projectors.as_ref()).await?);
                }
                anyhow::Ok(Running {
                    projectors,
                    delivery,
                })
            };
            match begun.await {
                Ok(begun) => {
                    if let Some(delivery) = begun.delivery.clone() {
                        let runtime = ports.runtime.clone();
                        network.opens(Gate {
                            node,
                            delivery,
                            runtime,
                            faults,
                        });
                    }
                    *running.lock() = Some(begun);
                }
                Err(error) => {
                    tracing::debug!(?node, %error, "a node did not start");
                    failed.store(true, Ordering::Relaxed);
                }
            }
        };
        runtime.spawn("boot", Box::pin(boot));
    }

    /// Ends a node's process wherever it is; it is started again after a while.
    pub(super) fn kill(&mut self, place: usize) {
        let pause = self.pause("server.down");
        self.kill_for(place, pause);
    }

    pub(super) fn kill_for(&mut self, place: usize, pause: Duration) {
        let boots_at = self.executor.elapsed() + pause;
        let Some(server) = self.servers.get_mut(place) else {
            return;
        };
        server.boots_at = Some(boots_at);
        self.disturbed = true;
        let (node, running) = (server.node, Arc::clone(&server.running));
        self.executor.kill(node);
        let gate = self.network.closes(node);
        let running = running.lock().take();
        drop((gate, running));
    }

    /// Starts what is due, and again what has failed or is not well.
    pub(super) fn look_after_servers(&mut self) {
        let now = self.executor.elapsed();
        for place in 0..self.servers.len() {
            let Some(server) = self.servers.get_mut(place) else {
                return;
            };
            if server.boots_at.is_some_and(|at| at <= now) {
                self.kill_for(place, Duration::ZERO);
                self.boot(place);
            } else if server.failed.swap(false, Ordering::Relaxed) {
                self.kill_for(place, Duration::from_millis(500));
            } else if server.is_well() {
                server.unwell_since = None;
            } else if now.saturating_sub(*server.unwell_since.get_or_insert(now)) >= UNWELL_FOR {
                self.tell(&format!("server {place} is not well and is started again"));
                self.kill_for(place, Duration::from_millis(100));
            }
        }
    }

    /// Takes a node down in order; it is started again when that is done.
    pub(super) fn take_down(&mut self, place: usize) {
        let Some(server) = self.servers.get_mut(place) else {
            return;
        };
        let Some(running) = server.running.lock().take() else {
            return;
        };
        // As long as a shutdown may take.
        server.boots_at = Some(self.executor.elapsed() + Duration::from_secs(10));
        let (node, failed) = (server.node, Arc::clone(&server.failed));
        drop(self.network.closes(node));
        let down = async move {
            if let Some(delivery) = &running.delivery {
                delivery.shutdown(None).await;
            }
            if let Some(projectors) = &running.projectors
                && let Err(stop) = projectors.stop().await
            {
                tracing::debug!(%stop, "a projection had stopped");
            }
            failed.store(true, Ordering::Relaxed);
        };
        self.executor
            .runtime(node)
            .spawn("shutdown", Box::pin(down));
    }
}

impl super::super::server::Server {
    /// False when a projection has stopped or nothing is delivered any more.
    fn is_well(&self) -> bool {
        let running = self.running.lock();
        let Some(running) = &*running else {
            return true;
        };
        let stopped = |status: &projectors::Status| matches!(status.health(), Health::Stopped(_));
        let projects = running
            .projectors
            .as_ref()
            .is_none_or(|projectors| !projectors.statuses().iter().any(stopped));
        let delivers = running
            .delivery
            .as_ref()
            .is_none_or(|delivery| delivery.gateway.is_delivering());
        projects && delivers
    }
}
