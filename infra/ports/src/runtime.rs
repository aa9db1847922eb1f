//! The runtime: tasks, dedicated threads, timers, time and chance.
//!
//! The only way to any of them above the adapters. In production it is tokio; in the simulation a
//! seeded executor with virtual time, in which a dedicated thread is a task like the others.

use std::task::Poll;
use std::time::Duration;

use schemas::position::Timestamp;

/// A future that a runtime runs or that a port answers with.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Tasks, timers, time and chance.
pub trait Runtime: Send + Sync + 'static {
    /// Runs a task beside the caller. `name` is for traces and thread names. A task that panics
    /// takes only itself down; the panic is logged.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);

    /// Runs a task on a thread of its own: for loops that must not share a worker thread with
    /// sockets. Where there are no threads (the simulation) it is `spawn`.
    fn spawn_dedicated(&self, name: &'static str, task: BoxFuture<'static, ()>);

    /// Waits for so long.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// The wall clock, for stamps on events. May jump.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment, never going back: for deadlines and time-outs.
    fn elapsed(&self) -> Duration;

    /// 64 random bits; not for secrets.
    fn random(&self) -> u64;
}

/// Lets the other tasks of this thread that are ready have their turn once. Needs no runtime.
pub async fn let_others_run() {
    let mut had = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut had, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What a panicked task said, for its log line.
#[must_use]
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&'static str>() {
        return text;
    }
    panic
        .downcast_ref::<String>()
        .map_or("panicked with something else than text", String::as_str)
}
