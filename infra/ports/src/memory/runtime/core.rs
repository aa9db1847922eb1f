//! What the executor and the handles of a simulation share: ready tasks, timers, clocks, choices.
//!
//! A waker may be dropped or woken inside any of these calls, and dropping one may drop a future
//! that calls back in here: so neither ever happens under the lock.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use schemas::position::Timestamp;

use super::{Choices, Node};
use crate::runtime::BoxFuture;

/// The wall clock of every node at the start: 2026-01-01T00:00:00Z.
const WALL_START_MS: i64 = 1_767_225_600_000;

/// A task that waits to be taken up by the executor.
pub(super) struct Spawned {
    pub(super) node: Node,
    pub(super) name: &'static str,
    pub(super) task: BoxFuture<'static, ()>,
}

/// A node crashed at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crash {
    pub(super) node: Node,
    pub(super) site: &'static str,
}

struct State {
    /// In the order they became ready.
    ready: Vec<u64>,
    queued: BTreeSet<u64>,
    timers: BTreeMap<(Duration, u64), Waker>,
    next_timer: u64,
    elapsed: Duration,
    wall_jumps_ms: BTreeMap<Node, i64>,
    spawned: Vec<Spawned>,
    boots: BTreeMap<Node, u32>,
    crashes: Vec<Crash>,
    choices: Choices,
}

pub(super) struct Core(Mutex<State>);

impl Core {
    pub(super) fn new(choices: Choices) -> Self {
        Self(Mutex::new(State {
            ready: Vec::new(),
            queued: BTreeSet::new(),
            timers: BTreeMap::new(),
            next_timer: 0,
            elapsed: Duration::ZERO,
            wall_jumps_ms: BTreeMap::new(),
            spawned: Vec::new(),
            boots: BTreeMap::new(),
            crashes: Vec::new(),
            choices,
        }))
    }

    /// Takes a task up, unless the boot it belongs to is over.
    pub(super) fn spawn(
        &self,
        node: Node,
        boot: u32,
        name: &'static str,
        task: BoxFuture<'static, ()>,
    ) {
        let spawned = Spawned { node, name, task };
        let refused = {
            let mut state = self.0.lock();
            if state.boots.get(&node).copied().unwrap_or(0) == boot {
                state.spawned.push(spawned);
                None
            } else {
                Some(spawned)
            }
        };
        drop(refused);
    }

    pub(super) fn take_spawned(&self) -> Vec<Spawned> {
        std::mem::take(&mut self.0.lock().spawned)
    }

    pub(super) fn boot(&self, node: Node) -> u32 {
        self.0.lock().boots.get(&node).copied().unwrap_or(0)
    }

    /// Ends the boot of a node: nothing of it is spawned from here on. Returns what waited.
    pub(super) fn end_boot(&self, node: Node) -> Vec<Spawned> {
        let mut state = self.0.lock();
        *state.boots.entry(node).or_default() += 1;
        let (ended, others) = std::mem::take(&mut state.spawned)
            .into_iter()
            .partition(|task| task.node == node);
        state.spawned = others;
        ended
    }

    pub(super) fn make_ready(&self, task: u64) {
        let mut state = self.0.lock();
        if state.queued.insert(task) {
            state.ready.push(task);
        }
    }

    /// Takes one of the ready tasks, by choice.
    pub(super) fn take_ready(&self) -> Option<u64> {
        let mut state = self.0.lock();
        let options = u32::try_from(state.ready.len()).unwrap_or(u32::MAX);
        if options == 0 {
            return None;
        }
        let picked = state
            .choices
            .choose(super::Kind::Order, "ready", Node(0), options);
        let task = state.ready.remove(usize::try_from(picked).unwrap_or(0));
        state.queued.remove(&task);
        Some(task)
    }

    pub(super) fn crash(&self, node: Node, site: &'static str) {
        self.0.lock().crashes.push(Crash { node, site });
    }

    pub(super) fn take_crash(&self) -> Option<Crash> {
        let mut state = self.0.lock();
        if state.crashes.is_empty() {
            None
        } else {
            Some(state.crashes.remove(0))
        }
    }

    pub(super) fn choices(&self) -> MappedMutexGuard<'_, Choices> {
        MutexGuard::map(self.0.lock(), |state| &mut state.choices)
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.0.lock().elapsed
    }

    pub(super) fn wall_clock(&self, node: Node) -> Timestamp {
        let state = self.0.lock();
        let jumped = state.wall_jumps_ms.get(&node).copied().unwrap_or(0);
        let elapsed = i64::try_from(state.elapsed.as_millis()).unwrap_or(i64::MAX);
        Timestamp(WALL_START_MS.saturating_add(elapsed).saturating_add(jumped))
    }

    pub(super) fn jump_wall_clock(&self, node: Node, by_ms: i64) {
        let mut state = self.0.lock();
        let jumped = state.wall_jumps_ms.entry(node).or_default();
        *jumped = jumped.saturating_add(by_ms);
    }

    /// Lets time pass and wakes what is due.
    pub(super) fn pass(&self, duration: Duration) {
        let to = {
            let mut state = self.0.lock();
            state.elapsed += duration;
            state.elapsed
        };
        self.fire(to);
    }

    /// Goes to the next timer; false when there is none.
    pub(super) fn pass_to_next_timer(&self) -> bool {
        let to = {
            let mut state = self.0.lock();
            let Some(&(at, _)) = state.timers.keys().next() else {
                return false;
            };
            state.elapsed = state.elapsed.max(at);
            state.elapsed
        };
        self.fire(to);
        true
    }

    /// Wakes the timers due, in the order of their times.
    fn fire(&self, to: Duration) {
        loop {
            let waker = {
                let mut state = self.0.lock();
                match state.timers.first_entry() {
                    Some(entry) if entry.key().0 <= to => entry.remove(),
                    Some(_) | None => return,
                }
            };
            waker.wake();
        }
    }
}

/// Wakes one task of the executor.
pub(super) struct TaskWaker {
    pub(super) task: u64,
    pub(super) core: Arc<Core>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.core.make_ready(self.task);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.core.make_ready(self.task);
    }
}

/// Ends when virtual time has come to its moment; pending at least once.
pub(super) struct Sleep {
    core: Arc<Core>,
    at: Duration,
    timer: Option<u64>,
}

impl Sleep {
    pub(super) fn new(core: Arc<Core>, duration: Duration) -> Self {
        let at = core.elapsed().saturating_add(duration);
        Self {
            core,
            at,
            timer: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let core = Arc::clone(&self.core);
        let replaced = {
            let mut state = core.0.lock();
            if self.timer.is_some() && state.elapsed >= self.at {
                return Poll::Ready(());
            }
            let timer = match self.timer {
                Some(timer) => timer,
                None => {
                    state.next_timer += 1;
                    state.next_timer
                }
            };
            self.timer = Some(timer);
            state
                .timers
                .insert((self.at, timer), context.waker().clone())
        };
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            let waker = self.core.0.lock().timers.remove(&(self.at, timer));
            drop(waker);
        }
    }
}
