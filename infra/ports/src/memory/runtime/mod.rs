//! The simulated runtime: one thread, virtual time, every decision from a seed.
//!
//! [`Executor`] holds the tasks and is driven by the test; [`SimRuntime`] is the port that the code
//! under test sees, one for each simulated node; [`SimFaults`] is what in-memory adapters ask
//! before and after each effect. Tasks belong to a node, so that a node can be killed (all its
//! tasks dropped at whatever await they stand) and booted again. Same seed, same run, bit for bit;
//! so nothing here may look at a real clock, a thread or an address.

mod choices;
mod core;
mod executor;
mod faults;
#[cfg(test)]
mod tests;

pub use choices::{Chances, ChoiceKey, Choices, Kind};
pub use executor::{Executor, Halt, Panicked, Step};
pub use faults::SimFaults;

use std::sync::Arc;
use std::time::Duration;

use schemas::position::Timestamp;

use crate::runtime::{BoxFuture, Runtime};

/// A simulated node, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub u8);

/// The runtime of one node of a simulation, as of one boot: after the node was killed it spawns
/// nothing any more.
#[derive(Clone)]
pub struct SimRuntime {
    core: Arc<core::Core>,
    node: Node,
    boot: u32,
}

impl SimRuntime {
    /// The node it is of.
    #[must_use]
    pub fn node(&self) -> Node {
        self.node
    }
}

impl Runtime for SimRuntime {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.core.spawn(self.node, self.boot, name, task);
    }

    fn spawn_dedicated(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.spawn(name, task);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(core::Sleep::new(Arc::clone(&self.core), duration))
    }

    fn now(&self) -> Timestamp {
        self.core.wall_clock(self.node)
    }

    fn elapsed(&self) -> Duration {
        self.core.elapsed()
    }

    fn random(&self) -> u64 {
        self.core.choices().random(self.node)
    }
}
