//! A wall clock that jumps when told: everything else of the runtime is real.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use infra_node::node::Adapters;
use infra_ports::{BoxFuture, Runtime};
use schemas::position::Timestamp;

/// How far the clock is off, in milliseconds.
#[derive(Debug, Default)]
pub struct JumpingClock {
    off_ms: AtomicI64,
}

impl JumpingClock {
    /// Moves the clock, forth or back.
    pub fn jump(&self, ms: i64) {
        self.off_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// The same adapters, with this clock on the wall.
    pub fn wrap(self: &Arc<Self>, adapters: Adapters) -> Adapters {
        let (clock, runtime) = (Arc::clone(self), adapters.runtime);
        Adapters {
            runtime: Arc::new(OffRuntime { clock, runtime }),
            ..adapters
        }
    }
}

struct OffRuntime {
    clock: Arc<JumpingClock>,
    runtime: Arc<dyn Runtime>,
}

impl Runtime for OffRuntime {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.runtime.spawn(name, task);
    }

    fn spawn_dedicated(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.runtime.spawn_dedicated(name, task);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.runtime.sleep(duration)
    }

    fn now(&self) -> Timestamp {
        Timestamp(
            self.runtime
                .now()
                .0
                .saturating_add(self.clock.off_ms.load(Ordering::Relaxed)),
        )
    }

    fn elapsed(&self) -> Duration {
        self.runtime.elapsed()
    }

    fn random(&self) -> u64 {
        self.runtime.random()
    }
}
