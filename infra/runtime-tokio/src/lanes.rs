//! Lanes: dedicated tasks that share one thread, because one hands to the other what it made.
//!
//! A hand-over between two threads costs a wake-up of the kernel, some ten microseconds on an idle
//! core; between two tasks of one thread it costs a poll. Which tasks go together is said by the
//! composition root; the tasks themselves know nothing of it.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use infra_ports::runtime::BoxFuture;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Tasks that share a thread.
pub(crate) struct Lane {
    names: &'static [&'static str],
    state: Mutex<State>,
    came: Notify,
}

#[derive(Default)]
struct State {
    waiting: Vec<BoxFuture<'static, ()>>,
    has_thread: bool,
}

impl Lane {
    /// For tasks of these names; the thread bears the first one's.
    pub(crate) fn new(names: &'static [&'static str]) -> Arc<Self> {
        Arc::new(Self {
            names,
            state: Mutex::default(),
            came: Notify::new(),
        })
    }

    pub(crate) fn is_for(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    /// Takes a task in; its thread is started when it has none. The thread ends with its last task.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        handle: &Handle,
        task: BoxFuture<'static, ()>,
    ) -> std::io::Result<()> {
        let mut state = self.state.lock();
        state.waiting.push(task);
        self.came.notify_one();
        if state.has_thread {
            return Ok(());
        }
        let (lane, handle) = (Arc::clone(self), handle.clone());
        let name = self.names.first().copied().unwrap_or_default();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || handle.block_on(lane.run()))?;
        state.has_thread = true;
        Ok(())
    }

    async fn run(&self) {
        let mut running = FuturesUnordered::new();
        loop {
            {
                let mut state = self.state.lock();
                running.extend(state.waiting.drain(..));
                if running.is_empty() {
                    state.has_thread = false;
                    return;
                }
            }
            tokio::select! {
                biased;
                () = self.came.notified() => {}
                _ended = running.next() => {}
            }
        }
    }
}
