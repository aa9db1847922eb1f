//! Reads of the log as a test sees them: counted, held back, refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use infra_ports::BoxFuture;
use infra_ports::memory::{Faults, NoFaults};
use tokio::sync::Semaphore;

/// Faults with a hand on reads of the log.
pub(crate) struct LogReads {
    others: Arc<dyn Faults>,
    count: AtomicUsize,
    fails: AtomicBool,
    /// A read takes one; as many as there are, unless they are held back.
    passes: Arc<Semaphore>,
}

impl LogReads {
    pub(crate) fn beside(others: Arc<dyn Faults>) -> Arc<Self> {
        Arc::new(Self {
            others,
            count: AtomicUsize::new(0),
            fails: AtomicBool::new(false),
            passes: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        })
    }

    /// No other faults, and no read goes through before it is let.
    pub(crate) fn held_back() -> Arc<Self> {
        let reads = Self::beside(Arc::new(NoFaults));
        reads.passes.forget_permits(Semaphore::MAX_PERMITS);
        reads
    }

    /// Lets so many reads through.
    pub(crate) fn let_through(&self, reads: usize) {
        self.passes.add_permits(reads);
    }

    /// From now on reads fail, or do not.
    pub(crate) fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    /// Reads that were begun.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Faults for LogReads {
    fn point(&self, site: &'static str) -> BoxFuture<'static, ()> {
        let other = self.others.point(site);
        if site != "log.read.before" {
            return other;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let passes = Arc::clone(&self.passes);
        Box::pin(async move {
            passes.acquire().await.unwrap().forget();
            other.await;
        })
    }

    fn choose(&self, site: &'static str, options: u32) -> u32 {
        match site == "log.read" && self.fails.load(Ordering::Relaxed) {
            true => 1,
            false => self.others.choose(site, options),
        }
    }
}
