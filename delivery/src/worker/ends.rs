//! Where partitions end that a worker does not read: looked at now and then, so that whoever subscribes
//! is answered at once, and what is read then begins little before the end.

use std::sync::Arc;
use std::time::Duration;

use infra_ports::{EventLog, LogError, Runtime, watch};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use super::{Subscriptions, stop};

/// How often a log that is slow to answer is asked for the ends of `users` before a start is given up.
const ENDS_TRIES: u32 = 5;

/// Where each partition of `users` ends now: what is told from here on is delivered.
pub(crate) async fn ends(log: &dyn EventLog) -> Result<Vec<Offset>, LogError> {
    let all: Vec<_> = (0..log.partitions()).map(Partition).collect();
    let mut tries = 1..ENDS_TRIES;
    loop {
        match log.positions_of(Topic::Users, &all).await {
            Err(error) if error.is_retryable() && tries.next().is_some() => {
                tracing::warn!(%error, "the log does not say where users ends: asked again");
            }
            found => return Ok(found?.into_iter().map(|found| found.end).collect()),
        }
    }
}

/// How often ends are looked at. What is read too much when a partition is gained is what came within.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks at ends, and lets go of partitions in which nobody is subscribed any more.
pub(crate) struct Ends {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) stopped: watch::Receiver<bool>,
}

impl Ends {
    /// Looks again and again until it is told to stop or the worker has ended. A log that does not
    /// answer costs nothing but that more is read later.
    pub(crate) async fn run(mut self) {
        while !self.subscriptions.has_ended() {
            tokio::select! {
                biased;
                () = stop(&mut self.stopped) => return,
                () = self.runtime.sleep(LOOK_EVERY) => {}
            }
            let away = self.subscriptions.look();
            if away.is_empty() {
                continue;
            }
            match self.log.positions_of(Topic::Users, &away).await {
                Ok(found) => {
                    let ends = found.into_iter().map(|found| found.end);
                    let ends: Vec<_> = away.into_iter().zip(ends).collect();
                    self.subscriptions.ended_at(&ends);
                }
                Err(error) => tracing::debug!(%error, "the log does not say where users ends"),
            }
        }
    }
}
