//! Which build of the tables readers use: a pointer that every read follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use schemas::position::Generation;

/// What stands for none: no build has this number.
const UNKNOWN: u32 = 0;

/// The live generation. A clone is the same pointer; a switch is seen by the next read.
#[derive(Debug, Clone)]
pub struct LiveGeneration(Arc<AtomicU32>);

impl LiveGeneration {
    /// Points at a generation.
    #[must_use]
    pub fn new(generation: Generation) -> Self {
        Self(Arc::new(AtomicU32::new(generation.0)))
    }

    /// Of tables that cannot be asked yet: nothing is read before the first [`switch`](Self::switch).
    #[must_use]
    pub fn unknown() -> Self {
        Self(Arc::new(AtomicU32::new(UNKNOWN)))
    }

    /// The generation to read, when it is known.
    #[must_use]
    pub fn get(&self) -> Option<Generation> {
        let generation = self.0.load(Ordering::Acquire);
        (generation != UNKNOWN).then_some(Generation(generation))
    }

    /// Points at another one.
    pub fn switch(&self, to: Generation) {
        self.0.store(to.0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clone_sees_a_switch() {
        let pointer = LiveGeneration::new(Generation(1));
        let reader = pointer.clone();
        pointer.switch(Generation(2));
        assert_eq!(reader.get(), Some(Generation(2)));
        assert_eq!(LiveGeneration::unknown().get(), None);
    }
}
