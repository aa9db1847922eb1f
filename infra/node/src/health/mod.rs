//! Whether the node is alive and ready. It watches by itself, each second, whether somebody asks or
//! not: a node that looks healthy while nothing is delivered is the failure this room is for.
//!
//! ```text
//!   ingest ──▶ log ──▶ projections ──▶ log: users ──▶ delivery ──▶ link ──▶ sockets
//!   appends    probes  lag, stuck                     lag, stuck   both sides know
//!   refused?   answer?                                hangs?       the same users?
//! ```
//!
//! A process has the parts of its roles. Red until the projections have caught up; when a part has ended; and when something has waited
//! longer than `ready_lag` without getting any further: a record for its consumer, a batch for the
//! sockets, the log for its disk. No message is made up to see whether one gets through: it would
//! stand in a log that is kept for ever. What waits is looked at instead, at each place where
//! something can wait.

mod consumers;
mod probes;
mod report;

pub(crate) use report::{Report, parts};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use delivery::{GatewayRole, Router, WorkerRole};
use infra_ports::{EventLog, LogError, Runtime, Visibility};
use ingest::Ingest;
use parking_lot::Mutex;
use projectors::{Health as ProjectionHealth, Status};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use self::consumers::{Lag, Steps};
use self::probes::{PROBED, Probe};
use self::report::{ENDED, POISONED, Part};
use crate::adapters::Adapters;
use crate::adapters::store::Behind;
use crate::config::Config;
use crate::folding::Folding;
use crate::links::Served;
use crate::metrics;
use crate::parts::Parts;

/// How often the node looks at itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The consumer that pushes to sockets.
const DELIVERY: &str = "delivery";

/// What is watched.
pub(crate) struct Watched {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) tables: Behind,
    /// Where commands are taken.
    pub(crate) ingest: Option<Ingest>,
    pub(crate) folding: Arc<Folding>,
    pub(crate) worker: Option<WorkerRole>,
    pub(crate) gateway: Option<GatewayRole>,
    /// The gateway's link to workers of other processes.
    pub(crate) router: Option<Router>,
    /// Set while another process has the name of this one's worker, where gateways find it by name.
    pub(crate) doubled: Option<Arc<AtomicBool>>,
    /// How long something may wait without getting any further.
    pub(crate) ready_lag: Duration,
}

impl Watched {
    /// The parts that a process has.
    pub(crate) fn of(config: &Config, adapters: &Adapters, parts: &Parts, ingest: &Ingest) -> Self {
        Self {
            runtime: Arc::clone(&adapters.runtime),
            log: Arc::clone(&adapters.log),
            tables: adapters.tables.clone(),
            ingest: config.roles.serves_clients().then(|| ingest.clone()),
            folding: Arc::clone(&parts.tables.folding),
            worker: parts.worker.clone(),
            gateway: parts.gateway.clone(),
            router: parts.router.clone(),
            doubled: parts.served.as_ref().map(Served::doubled),
            ready_lag: config.ready_lag,
        }
    }
}

/// What was seen at the last look.
#[derive(Debug, Default)]
struct Seen {
    at: Option<Duration>,
    lags: BTreeMap<&'static str, Lag>,
}

/// Watches a node.
pub(crate) struct Health {
    watched: Watched,
    probes: Vec<Arc<Probe>>,
    seen: Mutex<Seen>,
    shutting_down: AtomicBool,
}

impl Health {
    /// Begins to watch; ends when the node goes down.
    pub(crate) fn start(watched: Watched) -> Arc<Self> {
        let probes = PROBED.map(|topic| Arc::new(Probe::new(topic)));
        let health = Arc::new(Self {
            watched,
            probes: probes.to_vec(),
            seen: Mutex::default(),
            shutting_down: AtomicBool::new(false),
        });
        let runtime = &health.watched.runtime;
        for probe in probes {
            let log = Arc::clone(&health.watched.log);
            runtime.spawn(
                "health-probe",
                Box::pin(probe.run(log, Arc::clone(runtime))),
            );
        }
        runtime.spawn("health-watch", Box::pin(Arc::clone(&health).watch()));
        health
    }

    /// Turns readiness red for good.
    pub(crate) fn going_down(&self) {
        self.shutting_down.store(true, Ordering::Relaxed);
    }

    /// How the node fares now.
    pub(crate) fn report(&self) -> Report {
        let (now, seen) = (self.watched.runtime.elapsed(), self.seen.lock());
        let ready_lag_ms = millis(self.watched.ready_lag);
        let lag = |name| seen.lags.get(name).copied().unwrap_or_default();
        let mut parts = BTreeMap::new();
        let statuses = self.watched.folding.statuses();
        for &name in self.watched.folding.names() {
            let status = statuses.iter().find(|status| status.name() == name);
            // Which tables it is to fold into is not known yet.
            let health = status.map_or(ProjectionHealth::CatchingUp, Status::health);
            let part = Part::projection(health);
            parts.insert(name, part.consumer(lag(name), ready_lag_ms));
        }
        if self.watched.worker.is_some() {
            let part = self.delivery(now);
            parts.insert(DELIVERY, part.consumer(lag(DELIVERY), ready_lag_ms));
        }
        parts.extend(self.link().map(|part| ("link", part)));
        parts.extend(self.ingest(now).map(|part| ("ingest", part)));
        parts.insert("log", self.log(now));
        parts.insert("tables", self.tables());
        parts.insert("watch", self.watching(now, seen.at));
        Report::new(self.shutting_down.load(Ordering::Relaxed), parts)
    }

    async fn watch(self: Arc<Self>) {
        let mut steps = BTreeMap::new();
        if self.watched.worker.is_some() {
            steps.insert(DELIVERY, Steps::new(Topic::Users, Visibility::Appended));
        }
        for &name in self.watched.folding.names() {
            if let Some(topic) = projectors::origin(name) {
                steps.insert(name, Steps::new(topic, Visibility::Durable));
            }
        }
        while !self.shutting_down.load(Ordering::Relaxed) {
            match self.look(&mut steps).await {
                Ok(lags) => {
                    let at = Some(self.watched.runtime.elapsed());
                    *self.seen.lock() = Seen { at, lags };
                }
                Err(LogError::Closed) => return,
                Err(error) => tracing::warn!(%error, "the log does not say how far it is"),
            }
            self.watched.runtime.sleep(LOOK_EVERY).await;
        }
    }

    async fn look(
        &self,
        steps: &mut BTreeMap<&'static str, Steps>,
    ) -> Result<BTreeMap<&'static str, Lag>, LogError> {
        let (log, runtime) = (&*self.watched.log, &*self.watched.runtime);
        // All at once: a log that shows nothing costs a look what it costs one consumer.
        let looks = steps.iter_mut().map(|(name, steps)| async move {
            let lag = steps.look(log, runtime, &self.applied(name)).await?;
            metrics::lag(name, lag.records, Duration::from_millis(lag.oldest_ms));
            Ok((*name, lag))
        });
        let lags = futures_util::future::join_all(looks).await;
        lags.into_iter().collect()
    }

    /// How far a consumer has got in each partition that is this process's.
    fn applied(&self, consumer: &str) -> Vec<Option<Offset>> {
        if consumer == DELIVERY {
            let worker = self.watched.worker.as_ref();
            return worker.map(WorkerRole::handed_out).unwrap_or_default();
        }
        let mut all = self.watched.folding.statuses().into_iter();
        let Some(projection) = all.find(|status| status.name() == consumer) else {
            return Vec::new();
        };
        let partitions = (0..self.watched.log.partitions()).map(Partition);
        partitions
            .map(|partition| projection.applied(partition))
            .collect()
    }

    fn delivery(&self, now: Duration) -> Part {
        let Watched {
            worker, gateway, ..
        } = &self.watched;
        let hanging = worker.as_ref().map(|worker| worker.handing_out_for(now));
        let hanging = hanging.unwrap_or_default();
        let ended = worker.as_ref().is_some_and(WorkerRole::has_ended);
        let sent_away = gateway
            .as_ref()
            .is_some_and(|gateway| !gateway.is_delivering());
        Part::unless(if ended || sent_away {
            Some((ENDED, None))
        } else if hanging >= self.watched.ready_lag {
            Some(("hanging", Some(format!("one batch for {hanging:?}"))))
        } else {
            None
        })
    }

    fn link(&self) -> Option<Part> {
        let Watched {
            gateway,
            router,
            doubled,
            ..
        } = &self.watched;
        if gateway.is_none() && doubled.is_none() {
            return None;
        }
        let is_doubled = |doubled: &Arc<AtomicBool>| doubled.load(Ordering::Relaxed);
        let whole = gateway.as_ref().is_none_or(GatewayRole::link_is_whole);
        let reason = if doubled.as_ref().is_some_and(is_doubled) {
            let reason = "another process has this one's name, and gateways use that one's worker";
            Some(("doubled", Some(reason.to_owned())))
        } else if router.as_ref().is_some_and(|router| router.reached() == 0) {
            Some(("apart", Some("no worker is reached".to_owned())))
        } else if !whole {
            let reason = "the worker does not know the users who are connected";
            Some(("broken", Some(reason.to_owned())))
        } else {
            None
        };
        Some(Part::unless(reason))
    }

    fn log(&self, now: Duration) -> Part {
        let waited = |probe: &Arc<Probe>| (probe.waited(now), probe.topic);
        let longest = self.probes.iter().map(waited).max();
        let mut errors = self.probes.iter();
        let error = errors.find_map(|probe| Some((probe.topic, probe.error()?)));
        Part::unless(match (longest, error) {
            (_, Some((topic, error))) => {
                let poisoned = matches!(error, LogError::Poisoned(_));
                let state = if poisoned { POISONED } else { "failing" };
                Some((state, Some(format!("{topic}: {error}"))))
            }
            (Some((waited, topic)), None) if waited >= self.watched.ready_lag => {
                Some(("stuck", Some(format!("{topic}: no answer for {waited:?}"))))
            }
            (_, None) => None,
        })
    }

    fn tables(&self) -> Part {
        Part::unless(self.watched.tables.awaits())
    }

    fn ingest(&self, now: Duration) -> Option<Part> {
        let failed = self.watched.ingest.as_ref()?.last_failed_append();
        let recent = failed.is_some_and(|at| now.saturating_sub(at) < self.watched.ready_lag);
        let reason = || "the log did not take what was sent".to_owned();
        Some(Part::unless(recent.then(|| ("failing", Some(reason())))))
    }

    fn watching(&self, now: Duration, at: Option<Duration>) -> Part {
        let old = at.is_none_or(|at| now.saturating_sub(at) >= self.watched.ready_lag);
        Part::unless(old.then_some(("stale", None)))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
