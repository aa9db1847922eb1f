//! The worker as the node sees it: prepared, linked, started, asked how it fares, stopped.

use std::sync::Arc;
use std::time::Duration;

use infra_ports::link::Feed;
use infra_ports::{EventLog, LogError, Runtime, watch};
use schemas::position::Offset;

use crate::config::Config;
use crate::worker::{Ends, Pulse, Subscriptions, Worker, ends};

/// Why delivery did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The log does not say where `users` ends.
    #[error("the log does not say where users ends: {0}")]
    Log(#[from] LogError),
}

/// A worker over the partitions of `users` that its subscribers are in. A clone is the same one.
#[derive(Clone)]
pub struct WorkerRole {
    subscriptions: Arc<Subscriptions>,
    pulse: Arc<Pulse>,
    batch: usize,
    stop: Arc<watch::Sender<bool>>,
}

impl WorkerRole {
    /// A worker that takes subscriptions from now on and hands out what comes from now on, once it is
    /// started. The topics must exist.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn prepare(log: &dyn EventLog, config: &Config) -> Result<Self, StartError> {
        Ok(Self {
            subscriptions: Arc::new(Subscriptions::new(ends(log).await?)),
            pulse: Arc::default(),
            batch: config.worker_batch,
            stop: Arc::new(watch::Sender::new(false)),
        })
    }

    /// Starts to hand out, on a thread of its own.
    pub fn start(&self, log: Arc<dyn EventLog>, runtime: Arc<dyn Runtime>) {
        let tasks = Arc::clone(&runtime);
        let ends = Ends {
            log: Arc::clone(&log),
            runtime: Arc::clone(&runtime),
            subscriptions: Arc::clone(&self.subscriptions),
            stopped: self.stop.subscribe(),
        };
        tasks.spawn("delivery-ends", Box::pin(ends.run()));
        let worker = Worker::new(
            log,
            runtime,
            Arc::clone(&self.subscriptions),
            Arc::clone(&self.pulse),
            self.batch,
            self.stop.subscribe(),
        );
        tasks.spawn_dedicated("delivery-worker", Box::pin(worker.run()));
    }

    /// What carries the links of gateways talks to this.
    #[must_use]
    pub fn feed(&self) -> Arc<dyn Feed> {
        Arc::clone(&self.subscriptions) as _
    }

    /// The next offset of `users` that it will hand out, by partition; none of those that it does not
    /// read, because nobody is subscribed there.
    #[must_use]
    pub fn handed_out(&self) -> Vec<Option<Offset>> {
        self.subscriptions.read()
    }

    /// How long it has been handing out the batch at hand, until `now` of its runtime; zero between
    /// batches. A batch takes milliseconds: one that takes seconds hangs.
    #[must_use]
    pub fn handing_out_for(&self, now: Duration) -> Duration {
        self.pulse.handing_out_for(now)
    }

    /// How many users are subscribed, over all gateways; one that is at two gateways counts once.
    #[must_use]
    pub fn users(&self) -> usize {
        self.subscriptions.users()
    }

    /// How many gateways are attached.
    #[must_use]
    pub fn gateways(&self) -> usize {
        self.subscriptions.gateways().len()
    }

    /// True once it hands out nothing any more: it was stopped, or the log failed for good.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.subscriptions.has_ended()
    }

    /// Ends it: all gateways hear that nothing more is delivered.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    #[cfg(test)]
    pub(crate) fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }

    #[cfg(test)]
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }
}
