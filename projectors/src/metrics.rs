//! The numbers that projectors publish. Labels are bounded: the projection's name, never a chat or
//! a user. How far a projection is behind is measured by the node, not by the loop that may hang.

use std::time::Duration;

use infra_ports::metric::{SECONDS, each, place_of};

use crate::PROJECTIONS;

fn projections() -> Vec<Vec<&'static str>> {
    each(PROJECTIONS)
}

infra_ports::metrics! {
    /// Records folded, by projection.
    pub RECORDS: Counter, Count, "cursus_projector_records_total", ["projection"] = projections;
    /// Records that could not be decoded and were set aside, by projection.
    pub DEAD_LETTERS: Counter, Count, "cursus_projector_dead_letters_total", ["projection"]
        = projections;
    /// Time to fold a chunk: loading states, applying records, by projection.
    pub FOLD: Histogram(SECONDS), Seconds, "cursus_projector_fold_seconds", ["projection"]
        = projections;
    /// Records appended to `users`, by projection.
    pub EMITTED: Counter, Count, "cursus_projector_emitted_records_total", ["projection"]
        = projections;
    /// Time to append what follows from a chunk to `users`, by projection.
    pub EMIT: Histogram(SECONDS), Seconds, "cursus_projector_emit_seconds", ["projection"]
        = projections;
    /// Chunks remembered: synced, written and checkpointed, by projection.
    pub WRITES: Counter, Count, "cursus_projector_writes_total", ["projection"] = projections;
    /// Records in those chunks, by projection.
    pub WRITTEN: Counter, Count, "cursus_projector_written_records_total", ["projection"]
        = projections;
    /// Time to remember a chunk, by projection.
    pub WRITE: Histogram(SECONDS), Seconds, "cursus_projector_write_seconds", ["projection"]
        = projections;
    /// 1 once a projection stopped by itself, by reason; it does nothing until the node is started again.
    pub STOPPED: Gauge, Count, "cursus_projector_stopped", ["projection", "reason"]
        = || PROJECTIONS.iter().map(|name| vec![*name, "broken"]).collect();
    /// Fold states at hand, by projection.
    pub CACHED: Gauge, Count, "cursus_projector_cached_states", ["projection"] = projections;
    /// Fold states looked for, by projection and by outcome: `hit`, or `miss` when it had to be loaded from the tables.
    pub LOOKUPS: Counter, Count, "cursus_projector_state_lookups_total", ["projection", "outcome"]
        = || PROJECTIONS.iter().flat_map(|name| [vec![*name, "hit"], vec![*name, "miss"]]).collect();
}

/// Counts for one projection: its name is looked up once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts(usize);

impl Counts {
    pub(crate) fn of(projection: &str) -> Self {
        Self(place_of(projection, PROJECTIONS))
    }

    pub(crate) fn folded(self, records: usize, dead: usize, took: Duration) {
        RECORDS.add(self.0, records as u64);
        DEAD_LETTERS.add(self.0, dead as u64);
        FOLD.record(self.0, took);
    }

    pub(crate) fn emitted(self, records: usize, took: Duration) {
        EMITTED.add(self.0, records as u64);
        EMIT.record(self.0, took);
    }

    pub(crate) fn remembered(self, records: usize, took: Duration) {
        WRITES.add(self.0, 1);
        WRITTEN.add(self.0, records as u64);
        WRITE.record(self.0, took);
    }

    pub(crate) fn cached(self, states: usize) {
        CACHED.set_count(self.0, states as u64);
    }

    pub(crate) fn looked_up(self, hits: usize, misses: usize) {
        LOOKUPS.add(2 * self.0, hits as u64);
        LOOKUPS.add(2 * self.0 + 1, misses as u64);
    }
}

pub(crate) fn stopped(projection: &'static str, reason: &'static str) {
    STOPPED.of(&[projection, reason]).set(1.0);
}
