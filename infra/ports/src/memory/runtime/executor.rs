//! The executor: polls one ready task after the other, as the choices say, and lets time pass.
//!
//! Driven by a test: `step` or `run_until`. A poll costs a microsecond of virtual time, so that a
//! task that only yields cannot make time stand still; when nothing is ready time goes to the next
//! timer.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::{MappedMutexGuard, Mutex};

use super::choices::{hash_text, mix};
use super::core::{Core, TaskWaker};
use super::{Chances, Choices, Node, SimFaults, SimRuntime};
use crate::runtime::BoxFuture;

/// What one poll costs in virtual time.
const POLL_COST: Duration = Duration::from_micros(1);

/// The steps a run may take unless told otherwise: a zombie may spin.
const STEP_BUDGET: u64 = 1_000_000;

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A task was polled.
    Polled,
    /// Nothing was ready; time went to the next timer.
    TimePassed,
    /// Nothing is ready and no timer runs.
    Idle,
}

/// Why a run came to a halt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Halt {
    /// The condition holds.
    Done,
    /// A node crashed at this site; its tasks are dropped already. Boot it again or not, and go on.
    Crashed(Node, &'static str),
    /// Nothing is ready and no timer runs, and the condition does not hold: a lost wake-up.
    Idle,
    /// The steps are used up.
    BudgetSpent,
}

/// A task that panicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panicked {
    /// On which node.
    pub node: Node,
    /// The task's name.
    pub task: &'static str,
    /// What it said.
    pub message: String,
}

struct Slot {
    node: Node,
    name: &'static str,
    task: BoxFuture<'static, ()>,
    waker: Waker,
}

/// A seeded, deterministic executor.
pub struct Executor {
    core: Arc<Core>,
    slots: BTreeMap<u64, Slot>,
    next_task: u64,
    steps: u64,
    step_budget: u64,
    trace: u64,
    panics: Vec<Panicked>,
}

impl Executor {
    /// One that decides by a seed.
    #[must_use]
    pub fn seeded(seed: u64, chances: Chances) -> Self {
        Self::with_choices(Choices::seeded(seed, chances))
    }

    /// One that decides as the choices say.
    #[must_use]
    pub fn with_choices(choices: Choices) -> Self {
        Self {
            core: Arc::new(Core::new(choices)),
            slots: BTreeMap::new(),
            next_task: 0,
            steps: 0,
            step_budget: STEP_BUDGET,
            trace: 0,
            panics: Vec::new(),
        }
    }

    /// Changes the number of steps that the whole run may take.
    pub fn set_step_budget(&mut self, steps: u64) {
        self.step_budget = steps;
    }

    /// The runtime of a node, as of its present boot.
    #[must_use]
    pub fn runtime(&self, node: Node) -> SimRuntime {
        SimRuntime {
            core: Arc::clone(&self.core),
            node,
            boot: self.core.boot(node),
        }
    }

    /// What in-memory adapters used by this node ask at each effect.
    #[must_use]
    pub fn faults(&self, node: Node) -> SimFaults {
        SimFaults::new(self.runtime(node))
    }

    /// The decisions: to read what was decided or to calm them. Holds a lock: do not keep it over a
    /// step.
    pub fn choices(&self) -> MappedMutexGuard<'_, Choices> {
        self.core.choices()
    }

    /// Drops every task of a node wherever it waits, in the order they were spawned.
    pub fn kill(&mut self, node: Node) {
        self.admit();
        drop(self.core.end_boot(node));
        let doomed: Vec<u64> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.node == node)
            .map(|(task, _)| *task)
            .collect();
        for task in doomed {
            self.slots.remove(&task);
        }
        self.note(&[hash_text("kill"), u64::from(node.0)]);
    }

    /// How many tasks of a node have not ended.
    #[must_use]
    pub fn tasks(&mut self, node: Node) -> usize {
        self.admit();
        self.slots.values().filter(|slot| slot.node == node).count()
    }

    /// Polls one ready task, or lets time pass to the next timer.
    pub fn step(&mut self) -> Step {
        self.admit();
        self.steps += 1;
        let Some(task) = self.core.take_ready() else {
            let passed = self.core.pass_to_next_timer();
            return if passed { Step::TimePassed } else { Step::Idle };
        };
        self.poll(task);
        self.core.pass(POLL_COST);
        Step::Polled
    }

    /// Steps until the condition holds, looked at before each step.
    pub fn run_until(&mut self, mut condition: impl FnMut() -> bool) -> Halt {
        loop {
            if condition() {
                return Halt::Done;
            }
            if self.steps >= self.step_budget {
                return Halt::BudgetSpent;
            }
            let step = self.step();
            if let Some(crash) = self.core.take_crash() {
                self.kill(crash.node);
                return Halt::Crashed(crash.node, crash.site);
            }
            if step == Step::Idle {
                return Halt::Idle;
            }
        }
    }

    /// Runs until so much virtual time has passed. A run that is idle before that jumps there.
    pub fn run_for(&mut self, duration: Duration) -> Halt {
        let core = Arc::clone(&self.core);
        let until = core.elapsed().saturating_add(duration);
        let bell = super::core::Sleep::new(Arc::clone(&core), duration);
        self.runtime_of_driver("bell", Box::pin(bell));
        self.run_until(|| core.elapsed() >= until)
    }

    /// Runs a future as a task of a node until it has its answer.
    ///
    /// # Errors
    /// Why the run halted before that.
    pub fn block_on<T: Send + 'static>(
        &mut self,
        node: Node,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Halt> {
        let answer = Arc::new(Mutex::new(None));
        let place = Arc::clone(&answer);
        let task = Box::pin(async move {
            let value = future.await;
            *place.lock() = Some(value);
        });
        self.core
            .spawn(node, self.core.boot(node), "block_on", task);
        let halt = self.run_until(|| answer.lock().is_some());
        let value = answer.lock().take();
        value.ok_or(halt)
    }

    /// Makes the wall clock of a node jump, forwards or back.
    pub fn jump_wall_clock(&self, node: Node, by_ms: i64) {
        self.core.jump_wall_clock(node, by_ms);
    }

    /// Virtual time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.core.elapsed()
    }

    /// Steps taken.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// A hash of the whole run so far: which task was polled when. Equal for equal runs.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// The tasks that panicked.
    #[must_use]
    pub fn panics(&self) -> &[Panicked] {
        &self.panics
    }

    /// Takes a task of the driver itself, which belongs to no node that can be killed.
    fn runtime_of_driver(&mut self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.admit_one(DRIVER, name, task);
    }

    fn admit(&mut self) {
        for spawned in self.core.take_spawned() {
            self.admit_one(spawned.node, spawned.name, spawned.task);
        }
    }

    fn admit_one(&mut self, node: Node, name: &'static str, task: BoxFuture<'static, ()>) {
        let number = self.next_task;
        self.next_task += 1;
        let core = Arc::clone(&self.core);
        let waker = Waker::from(Arc::new(TaskWaker { task: number, core }));
        self.slots.insert(
            number,
            Slot {
                node,
                name,
                task,
                waker,
            },
        );
        self.core.make_ready(number);
    }

    fn poll(&mut self, number: u64) {
        // A task that has ended or was dropped may still be woken.
        let Some(slot) = self.slots.get_mut(&number) else {
            return;
        };
        let mut context = Context::from_waker(&slot.waker);
        let polled =
            std::panic::catch_unwind(AssertUnwindSafe(|| slot.task.as_mut().poll(&mut context)));
        let name = slot.name;
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) => drop(self.slots.remove(&number)),
            Err(panic) => {
                let message = crate::runtime::panic_message(panic.as_ref()).to_owned();
                tracing::error!(task = name, message, "task panicked");
                let node = slot.node;
                drop(self.slots.remove(&number));
                self.panics.push(Panicked {
                    node,
                    task: name,
                    message,
                });
            }
        }
        let now = u64::try_from(self.core.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.note(&[number, hash_text(name), now]);
    }

    fn note(&mut self, values: &[u64]) {
        for value in values {
            self.trace = mix(self.trace ^ value);
        }
    }
}

/// The driver's own tasks.
const DRIVER: Node = Node(u8::MAX);
