//! Reads of the log or the tables as a test sees them: counted, held back, refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use infra_ports::BoxFuture;
use infra_ports::memory::{Faults, NoFaults};
use tokio::sync::Semaphore;

/// Faults with a hand on reads.
pub(crate) struct Reads {
    point: &'static str,
    choice: &'static str,
    others: Arc<dyn Faults>,
    count: AtomicUsize,
    fails: AtomicBool,
    /// A read takes one; as many as there are, unless they are held back.
    passes: Arc<Semaphore>,
}

impl Reads {
    pub(crate) fn of_log(others: Arc<dyn Faults>) -> Arc<Self> {
        Self::at("log.read.before", "log.read", others)
    }

    pub(crate) fn of_tables(others: Arc<dyn Faults>) -> Arc<Self> {
        Self::at("store.read.before", "store.read", others)
    }

    fn at(point: &'static str, choice: &'static str, others: Arc<dyn Faults>) -> Arc<Self> {
        Arc::new(Self {
            point,
            choice,
            others,
            count: AtomicUsize::new(0),
            fails: AtomicBool::new(false),
            passes: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        })
    }

    /// Of the log, without other faults; no read goes through before it is let.
    pub(crate) fn held_back() -> Arc<Self> {
        let reads = Self::of_log(Arc::new(NoFaults));
        reads.hold_back();
        reads
    }

    /// From now on no read goes through before it is let.
    pub(crate) fn hold_back(&self) {
        self.passes.forget_permits(Semaphore::MAX_PERMITS);
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

impl Faults for Reads {
    fn point(&self, site: &'static str) -> BoxFuture<'static, ()> {
        let other = self.others.point(site);
        if site != self.point {
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
        match site == self.choice && self.fails.load(Ordering::Relaxed) {
            true => 1,
            false => self.others.choose(site, options),
        }
    }
}
