//! How large and how patient an engine is. Every queue has its bound here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of one engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// Records read, folded and appended at once, at most.
    pub chunk_records: usize,
    /// Folded records after which rows are written without waiting for more.
    pub job_records: usize,
    /// Folded records that may wait for their rows; beyond, reading waits. Bounds the memory.
    pub max_gathered_records: usize,
    /// How long folded records wait for company before rows are written. Whoever waits for rows
    /// does not wait for this.
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
    /// Rows of one write to the store: small, so that others get their turn.
    pub rows_per_write: usize,
    /// Rows that one read of the store asks for at most.
    pub rows_per_read: usize,
    /// States kept at hand, in units of about a hundred bytes: the default is about 100 MB. States
    /// that are not written yet are kept beyond it, those of `max_gathered_records` at most.
    pub cache_weight: usize,
    /// Records that a rebuild reads and folds at once, at most.
    pub rebuild_chunk_records: usize,
    /// Bytes of rows and touched states, about, that a rebuild gathers before it writes them, sorted;
    /// while they are sorted and written it holds about twice as much.
    pub rebuild_bytes: usize,
    /// The first pause after a failed call of a port; it doubles up to 256 times this.
    #[serde(with = "humantime_serde")]
    pub first_pause: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            chunk_records: 512,
            job_records: 1_024,
            max_gathered_records: 16_384,
            linger: Duration::from_millis(50),
            rows_per_write: 256,
            rows_per_read: 2_048,
            cache_weight: 1_000_000,
            rebuild_chunk_records: 4_096,
            rebuild_bytes: 64 << 20,
            first_pause: Duration::from_millis(20),
        }
    }
}
