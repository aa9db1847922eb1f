//! The one place where port calls are tried again.
//!
//! A retryable error is waited out with growing pauses, for ever: nothing is skipped and nothing
//! overtakes. Any other error is a [`Stop`]. While it waits, health says so. Only being told to stop
//! ends the waiting: at once with one more try, since the port may be back since the last one. If that
//! fails too, what is not written is folded again at the next start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use infra_ports::groups::GroupError;
use infra_ports::{BoxFuture, LogError, Runtime, StoreError, watch};

use super::status::Board;
use super::stop::Stop;

/// The longest pause between two tries, in steps of doubling from the first.
const DOUBLINGS: u32 = 8;

/// An error of a port.
pub(crate) trait PortError: std::fmt::Display + Into<Stop> {
    fn is_retryable(&self) -> bool;
}

impl PortError for LogError {
    fn is_retryable(&self) -> bool {
        Self::is_retryable(self)
    }
}

impl PortError for StoreError {
    fn is_retryable(&self) -> bool {
        Self::is_retryable(self)
    }
}

impl PortError for GroupError {
    fn is_retryable(&self) -> bool {
        Self::is_retryable(self)
    }
}

/// Tries again what may be tried again.
#[derive(Clone)]
pub(crate) struct Retry {
    runtime: Arc<dyn Runtime>,
    board: Arc<Board>,
    first_pause: Duration,
    stop: Option<watch::Receiver<bool>>,
    /// Who tries: many may at once.
    next: Arc<AtomicU64>,
}

/// Who tries again by itself, see [`Retry::pause_after`].
const BY_ITSELF: u64 = 0;

impl Retry {
    /// Tries for ever, unless told to stop by `stop`.
    pub(crate) fn new(
        runtime: Arc<dyn Runtime>,
        board: Arc<Board>,
        first_pause: Duration,
        stop: Option<watch::Receiver<bool>>,
    ) -> Self {
        Self {
            runtime,
            board,
            first_pause,
            stop,
            next: Arc::new(AtomicU64::new(BY_ITSELF + 1)),
        }
    }

    /// Runs `attempt` until it succeeds or fails for good.
    pub(crate) async fn run<'a, T, E: PortError>(
        &self,
        what: &'static str,
        mut attempt: impl FnMut() -> BoxFuture<'a, Result<T, E>>,
    ) -> Result<T, Stop> {
        let (mut tries, mut who) = (0, None);
        loop {
            match attempt().await {
                Ok(done) => {
                    if let Some(who) = who {
                        self.board.recovered(who);
                    }
                    return Ok(done);
                }
                Err(error) if error.is_retryable() => {
                    let pause = self.pause(tries);
                    tracing::warn!(what, tries, %error, ?pause, "trying again");
                    let who = *who.get_or_insert_with(|| self.next.fetch_add(1, Ordering::Relaxed));
                    self.board.retrying(who, format!("{what}: {error}"));
                    tries += 1;
                    self.wait(pause, what, &error).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// For a caller that tries again by itself: says so and waits once, and no longer than until it is
    /// told to stop. Gives up when it had been told so before. [`Self::recovered`] when it did not fail again.
    pub(crate) async fn pause_after<E: PortError>(
        &self,
        what: &'static str,
        error: &E,
    ) -> Result<(), Stop> {
        tracing::warn!(what, %error, "trying again");
        self.board.retrying(BY_ITSELF, format!("{what}: {error}"));
        self.wait(self.pause(0), what, error).await
    }

    /// What [`Self::pause_after`] told of is over.
    pub(crate) fn recovered(&self) {
        self.board.recovered(BY_ITSELF);
    }

    async fn wait<E: PortError>(
        &self,
        pause: Duration,
        what: &'static str,
        error: &E,
    ) -> Result<(), Stop> {
        let sleep = self.runtime.sleep(pause);
        let Some(stop) = &self.stop else {
            sleep.await;
            return Ok(());
        };
        if stop.get() {
            return Err(Stop::GaveUp(format!("{what}: {error}")));
        }
        let mut stop = stop.clone();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = sleep => {}
        }
        Ok(())
    }

    /// Doubles with each try, with up to a half of it by chance so that many do not come at once.
    fn pause(&self, tries: u32) -> Duration {
        let full = self.first_pause * 2_u32.pow(tries.min(DOUBLINGS));
        let share = u32::try_from(self.runtime.random() % 512).unwrap_or(0);
        full - full * share / 1024
    }
}
