//! The dedicated threads that run: who they are, and how to wait for their end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

/// How long a dropped task may take to leave its thread.
const GRACE: Duration = Duration::from_secs(1);

/// The dedicated threads of a runtime.
pub(crate) struct Threads {
    running: Mutex<Running>,
    /// How many run; told at every change.
    count: watch::Sender<usize>,
    /// Whether they must stop.
    stop: watch::Sender<bool>,
}

#[derive(Default)]
struct Running {
    names: BTreeMap<u64, &'static str>,
    next: u64,
}

impl Default for Threads {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            count: watch::Sender::new(0),
            stop: watch::Sender::new(false),
        }
    }
}

impl Threads {
    /// Enters a thread; it has left when the value is dropped, whatever ends it.
    pub(crate) fn enter(threads: &Arc<Self>, name: &'static str) -> Entered {
        let mut running = threads.running.lock();
        let number = running.next;
        running.next += 1;
        running.names.insert(number, name);
        threads.count.send_replace(running.names.len());
        Entered {
            threads: Arc::clone(threads),
            number,
            stop: threads.stop.subscribe(),
        }
    }

    /// Waits until all have left; tells them to stop after the time given. Returns the names of
    /// those that had to be told.
    pub(crate) async fn shutdown(&self, timeout: Duration) -> Vec<&'static str> {
        if tokio::time::timeout(timeout, self.all_left()).await.is_ok() {
            return Vec::new();
        }
        let late: Vec<_> = self.running.lock().names.values().copied().collect();
        tracing::warn!(tasks = ?late, "dedicated tasks did not end in time and are dropped");
        self.stop.send_replace(true);
        if tokio::time::timeout(GRACE, self.all_left()).await.is_err() {
            let stuck: Vec<_> = self.running.lock().names.values().copied().collect();
            tracing::error!(tasks = ?stuck, "dedicated tasks are stuck; their threads are left");
        }
        late
    }

    async fn all_left(&self) {
        let mut count = self.count.subscribe();
        // An error would mean that the sender is gone, and with it everything that ran.
        let _ = count.wait_for(|running| *running == 0).await;
    }
}

/// A thread that runs.
pub(crate) struct Entered {
    threads: Arc<Threads>,
    number: u64,
    stop: watch::Receiver<bool>,
}

impl Entered {
    /// Runs the task, or drops it when all must stop.
    pub(crate) async fn or_stopped(&self, task: impl Future<Output = ()>) {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            () = task => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut running = self.threads.running.lock();
        running.names.remove(&self.number);
        self.threads.count.send_replace(running.names.len());
    }
}
