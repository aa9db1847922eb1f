//! The production runtime: tasks, timers, threads, time and chance on tokio.
//!
//! A task runs on the workers of the tokio runtime it was made over; a dedicated one on a thread of
//! its own, named after it, or on one that it shares with those it works hand in hand with
//! ([`TokioRuntime::sharing`]). A panic ends its task and is logged as an error. Nothing here knows
//! what the tasks are for; how they are told to end is theirs, [`TokioRuntime::shutdown`] only
//! waits for the dedicated ones and drops those that will not.
#![allow(
    clippy::disallowed_methods,
    reason = "the adapter that the ban points to"
)]

mod lanes;
mod threads;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use infra_ports::runtime::{BoxFuture, Runtime, panic_message};
use schemas::position::Timestamp;
use tokio::runtime::Handle;

use lanes::Lane;
use threads::Threads;

/// Tasks, timers, time and chance on a tokio runtime.
#[derive(Clone)]
pub struct TokioRuntime {
    handle: Handle,
    started: Instant,
    threads: Arc<Threads>,
    lanes: Vec<Arc<Lane>>,
}

impl TokioRuntime {
    /// Over the tokio runtime of this handle, which must have time enabled and outlive this one.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self {
            handle,
            started: Instant::now(),
            threads: Arc::new(Threads::default()),
            lanes: Vec::new(),
        }
    }

    /// Has dedicated tasks of these names share one thread, named after the first: for tasks of
    /// which one wakes the other, and none blocks for long.
    #[must_use]
    pub fn sharing(mut self, names: &'static [&'static str]) -> Self {
        self.lanes.push(Lane::new(names));
        self
    }

    /// Waits until every dedicated task has ended, at most for the time given; those that run still
    /// are dropped at the await they stand at, and named. A task that never awaits cannot be
    /// dropped: it is named, and its thread left behind.
    ///
    /// No dedicated task should be spawned after this; one that is, is dropped at its first await.
    pub async fn shutdown(&self, timeout: Duration) -> Vec<&'static str> {
        self.threads.shutdown(timeout).await
    }
}

impl Runtime for TokioRuntime {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        drop(self.handle.spawn(guarded(name, task)));
    }

    fn spawn_dedicated(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        let running = Threads::enter(&self.threads, name);
        let task = async move {
            running.or_stopped(guarded(name, task)).await;
            drop(running);
        };
        let lane = self.lanes.iter().find(|lane| lane.is_for(name));
        let spawned = match lane {
            Some(lane) => lane.spawn(&self.handle, Box::pin(task)),
            None => {
                let handle = self.handle.clone();
                let thread = std::thread::Builder::new().name(name.to_owned());
                thread.spawn(move || handle.block_on(task)).map(drop)
            }
        };
        if let Err(error) = spawned {
            // Without its thread the node would stand half alive: say so where it shows.
            tracing::error!(task = name, %error, "no thread for a dedicated task");
        }
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _entered = self.handle.enter();
        Box::pin(tokio::time::sleep(duration))
    }

    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}

/// Runs a task; logs its panic.
async fn guarded(name: &'static str, task: BoxFuture<'static, ()>) {
    if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
        let message = panic_message(panic.as_ref());
        tracing::error!(task = name, message, "task panicked");
    }
}
