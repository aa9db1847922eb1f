//! Whether the node is alive and ready: red until the projectors have caught up, when one of them or
//! the worker has stopped, and when messages do not flow.
//!
//! Messages do not flow when records wait for a projection and none of them has been applied for
//! longer than `ready_lag`: a node that looks healthy while nothing is delivered is not ready.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use delivery::Delivery;
use infra_ports::Runtime;
use parking_lot::Mutex;
use projectors::{Health as ProjectionHealth, Status};
use serde::Serialize;

/// How one projection fares, for `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ProjectionReport {
    /// `catching_up`, `caught_up`, `retrying`, `ended` or `stopped`.
    pub(crate) state: &'static str,
    /// Why, when it retries or has stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// Records that are in the log and not in the tables.
    pub(crate) lag_records: u64,
    /// How long records have waited without any of them being applied.
    pub(crate) stuck_ms: u64,
}

/// How the node fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// Each projection.
    pub(crate) projections: BTreeMap<&'static str, ProjectionReport>,
    /// False when the worker that pushes to sockets has ended.
    pub(crate) delivering: bool,
    /// True while the node goes down.
    pub(crate) shutting_down: bool,
    #[serde(skip)]
    ready_lag_ms: u64,
}

impl Report {
    /// True when every projection has caught up and messages flow.
    pub(crate) fn is_ready(&self) -> bool {
        let flows = |p: &ProjectionReport| p.state == "caught_up" && p.stuck_ms < self.ready_lag_ms;
        !self.shutting_down && self.delivering && self.projections.values().all(flows)
    }

    /// False when a projection has stopped by itself: somebody must act.
    pub(crate) fn is_alive(&self) -> bool {
        self.projections.values().all(|p| p.state != "stopped")
    }
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    applied: u64,
    since: Duration,
}

/// Watches the projections of a node.
pub(crate) struct Health {
    runtime: Arc<dyn Runtime>,
    projections: Vec<Status>,
    delivery: Delivery,
    ready_lag: Duration,
    seen: Mutex<BTreeMap<&'static str, Seen>>,
    shutting_down: std::sync::atomic::AtomicBool,
}

impl Health {
    /// Watches these projections.
    pub(crate) fn new(
        runtime: Arc<dyn Runtime>,
        projections: Vec<Status>,
        delivery: Delivery,
        ready_lag: Duration,
    ) -> Self {
        let (seen, shutting_down) = (Mutex::default(), false.into());
        Self {
            runtime,
            projections,
            delivery,
            ready_lag,
            seen,
            shutting_down,
        }
    }

    /// Turns readiness red for good.
    pub(crate) fn going_down(&self) {
        self.shutting_down
            .store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// How the node fares now. Meant to be asked at least every few seconds.
    pub(crate) fn report(&self) -> Report {
        let projections = self
            .projections
            .iter()
            .map(|p| (p.name(), self.projection(p)))
            .collect();
        Report {
            projections,
            delivering: self.delivery.is_delivering(),
            shutting_down: self
                .shutting_down
                .load(std::sync::atomic::Ordering::Relaxed),
            ready_lag_ms: u64::try_from(self.ready_lag.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn projection(&self, status: &Status) -> ProjectionReport {
        let lag_records = status.lag_records();
        let (state, reason) = match status.health() {
            ProjectionHealth::CatchingUp => ("catching_up", None),
            ProjectionHealth::CaughtUp => ("caught_up", None),
            ProjectionHealth::Retrying { reason } => ("retrying", Some(reason)),
            ProjectionHealth::Ended => ("ended", None),
            ProjectionHealth::Stopped(stop) => ("stopped", Some(stop.to_string())),
        };
        let stuck_ms = self.stuck_ms(status, lag_records);
        metrics::gauge!("cursus_projection_lag_records", "projection" => status.name())
            .set(u32::try_from(lag_records).unwrap_or(u32::MAX));
        ProjectionReport {
            state,
            reason,
            lag_records,
            stuck_ms,
        }
    }

    fn stuck_ms(&self, status: &Status, lag_records: u64) -> u64 {
        let now = self.runtime.elapsed();
        let applied = status.progress().iter().map(|p| p.applied.0).sum();
        let mut seen = self.seen.lock();
        let last = seen.entry(status.name()).or_insert(Seen {
            applied,
            since: now,
        });
        if lag_records == 0 || last.applied != applied {
            *last = Seen {
                applied,
                since: now,
            };
        }
        u64::try_from((now - last.since).as_millis()).unwrap_or(u64::MAX)
    }
}
