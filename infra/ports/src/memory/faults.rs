//! Where a simulation puts its finger: a point before and after every effect of an in-memory
//! adapter, and a number to choose at every place where the world could go one way or another.
//!
//! A point may yield, delay, or never return (a crash: the driver then drops the node's tasks).
//! Choice 0 is always the harmless one, so that leaving a fault out never shifts the others.

use crate::runtime::BoxFuture;

/// The faults of one run.
pub trait Faults: Send + Sync {
    /// Passes a point; `site` names it.
    fn point(&self, site: &'static str) -> BoxFuture<'static, ()>;

    /// Chooses one of `options` ways on, below `options`; 0 is the harmless one.
    fn choose(&self, site: &'static str, options: u32) -> u32;
}

/// No faults: every point is passed at once, every choice is 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn point(&self, _site: &'static str) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn choose(&self, _site: &'static str, _options: u32) -> u32 {
        0
    }
}
