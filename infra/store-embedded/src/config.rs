//! What can be set of the embedded store.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

const MIB: u64 = 1024 * 1024;

/// The least that fjall takes for its journals.
const MIN_JOURNAL_BYTES: u64 = 64 * MIB;

/// Settings of the embedded store. Unknown ones are refused.
///
/// Memory is bounded by `block_cache_bytes`, by the rows that are not written out yet, and by half a
/// MiB a table. Rows not written out: `memtable_bytes` a table, twice as much while one is written
/// out, and never more than the journals hold, since when they are full their tables are written
/// out. With the defaults 64 MiB, up to about 290 MiB by estimate under load on all tables at once, and 8 MiB.
///
/// What the journals hold is also what the next opening reads back after a kill, at some 15 ms a MiB:
/// `journal_bytes`, and the journal being written, which ends when the first table is written out.
/// Larger memtables make for fewer messages that meet a sync of table files
/// (docs/performance.md), and for longer openings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Its directory. Not part of a configuration file: whoever opens the store says it.
    #[serde(skip)]
    pub path: PathBuf,
    /// Blocks of tables kept in memory, all together.
    pub block_cache_bytes: u64,
    /// Rows of one table kept in memory before they are written out. There are about 15 tables a
    /// generation, and up to twice as much is held while one is written out. A table keeps what it
    /// was created with.
    pub memtable_bytes: u64,
    /// Journals on disk, all together; at least 64 MiB.
    pub journal_bytes: u64,
    /// Threads that write out and compact. Of two or more, fjall (3.1.13) has one that compacts
    /// nothing and hands compactions back to the queue as fast as it can until the others are done:
    /// it takes a core from the messages, so one is best.
    pub worker_threads: usize,
    /// Writes are refused when the disk has less room than this: a journal that hits the end of the
    /// disk could not be written to again before a restart.
    pub min_free_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: PathBuf::from("data/store"),
            block_cache_bytes: 64 * MIB,
            memtable_bytes: 32 * MIB,
            journal_bytes: 192 * MIB,
            worker_threads: 1,
            min_free_bytes: 128 * MIB,
        }
    }
}

impl Config {
    /// The journal size that fjall is given.
    pub(crate) fn journal_limit(&self) -> u64 {
        self.journal_bytes.max(MIN_JOURNAL_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_the_default_and_unknown_is_refused() {
        let config: Config = toml::from_str("memtable_bytes = 5").unwrap();
        assert_eq!(
            config,
            Config {
                memtable_bytes: 5,
                ..Config::default()
            }
        );
        assert!(toml::from_str::<Config>("memtable = 5").is_err());
    }

    #[test]
    fn journals_are_never_smaller_than_they_can_be() {
        let config = Config {
            journal_bytes: 1,
            ..Config::default()
        };
        assert_eq!(config.journal_limit(), 64 * MIB);
    }
}
