//! Weather: trouble that lasts a while, over the faults of a moment that the seed draws.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use infra_ports::BoxFuture;
use infra_ports::memory::{Faults, SimFaults};

/// What is out of order for everybody at present.
#[derive(Debug, Default)]
pub(super) struct Weather {
    /// No room on any disk: nothing is written.
    pub(super) disk_full: AtomicBool,
    /// The store answers nothing.
    pub(super) store_down: AtomicBool,
    /// The log answers nothing.
    pub(super) log_down: AtomicBool,
    was_bad: AtomicBool,
}

impl Weather {
    pub(super) fn set(&self, flag: impl Fn(&Self) -> &AtomicBool, on: bool) {
        flag(self).store(on, Ordering::Relaxed);
        self.turns_bad();
    }

    /// True when anything was ever out of order.
    pub(super) fn was_bad(&self) -> bool {
        self.was_bad.load(Ordering::Relaxed)
    }

    /// Something lasting happened that is not of the weather's own.
    pub(super) fn turns_bad(&self) {
        self.was_bad.store(true, Ordering::Relaxed);
    }

    /// The sun shines.
    pub(super) fn clear(&self) {
        for flag in [&self.disk_full, &self.store_down, &self.log_down] {
            flag.store(false, Ordering::Relaxed);
        }
    }

    /// What a choice must be in this weather.
    fn forced(&self, site: &str) -> Option<u32> {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        let forced = match site {
            "log.append" if is(&self.disk_full) => 1,
            "log.append" if is(&self.log_down) => 2,
            "log.read" | "log.tail" | "log.sync" if is(&self.log_down) => 1,
            "group.join" | "group.release" | "group.commit" | "group.leave"
                if is(&self.log_down) =>
            {
                1
            }
            "store.write" if is(&self.disk_full) || is(&self.store_down) => 1,
            "store.read" | "store.sync" if is(&self.store_down) => 1,
            _ => return None,
        };
        Some(forced)
    }
}

/// The faults of one node in this weather.
pub(super) struct Exposed {
    pub(super) faults: SimFaults,
    pub(super) weather: Arc<Weather>,
}

impl Faults for Exposed {
    fn point(&self, site: &'static str) -> BoxFuture<'static, ()> {
        self.faults.point(site)
    }

    fn choose(&self, site: &'static str, options: u32) -> u32 {
        // Asked in any weather, so that what comes later is decided as it would have been.
        let chosen = self.faults.choose(site, options);
        self.weather.forced(site).unwrap_or(chosen)
    }
}
