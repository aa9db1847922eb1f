//! Faults of a simulated node: what the in-memory adapters ask at each effect.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Kind, SimRuntime};
use crate::memory::faults::Faults;
use crate::runtime::{BoxFuture, Runtime};

/// Yields, delays, crashes and effects of one node, as the choices of its executor say.
#[derive(Clone)]
pub struct SimFaults {
    runtime: SimRuntime,
}

impl SimFaults {
    pub(super) fn new(runtime: SimRuntime) -> Self {
        Self { runtime }
    }
}

impl Faults for SimFaults {
    fn point(&self, site: &'static str) -> BoxFuture<'static, ()> {
        let runtime = self.runtime.clone();
        Box::pin(async move {
            let node = runtime.node;
            let (yields, delay_ms, crashes) = {
                let mut choices = runtime.core.choices();
                let delays = choices.delay_max_ms() + 1;
                (
                    choices.choose(Kind::Yield, site, node, 4),
                    choices.choose(Kind::Delay, site, node, delays),
                    choices.choose(Kind::Crash, site, node, 2),
                )
            };
            if crashes != 0 {
                runtime.core.crash(node, site);
                std::future::pending::<()>().await;
            }
            for _ in 0..=yields {
                YieldOnce(false).await;
            }
            if delay_ms > 0 {
                runtime
                    .sleep(Duration::from_millis(u64::from(delay_ms)))
                    .await;
            }
        })
    }

    fn choose(&self, site: &'static str, options: u32) -> u32 {
        self.runtime
            .core
            .choices()
            .choose(Kind::Effect, site, self.runtime.node, options)
    }
}

/// Goes to the end of the ready tasks once.
pub(super) struct YieldOnce(pub(super) bool);

impl Future for YieldOnce {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
