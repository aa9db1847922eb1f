//! Settings of the embedded log.

use std::path::PathBuf;

use schemas::topics::DEFAULT_PARTITIONS;
use serde::{Deserialize, Serialize};

/// Settings of the embedded log. Sizes are in bytes. All but `directory` and `partitions` may be
/// changed from one opening to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the log lives; created when it is not there. Not part of a configuration file: whoever
    /// opens the log says it.
    #[serde(skip)]
    pub directory: PathBuf,
    /// Partitions of every topic. Written when the log is created, checked at every opening.
    pub partitions: u32,
    /// A segment is sealed when the next batch would make it longer than this: 64 MiB. A batch
    /// larger than this gets a segment of its own.
    pub segment_bytes: u64,
    /// How far the active segment is zeroed ahead of its end, in the background: 4 MiB. 0 is not
    /// at all: every append then makes its file grow, which makes its fdatasync dearer.
    pub zero_ahead_bytes: u64,
    /// How much of the newest records of each topic is served from memory: 16 MiB.
    pub memory_bytes: u64,
    /// How much may wait for the committer of a topic before appends are refused with `Full`:
    /// 64 MiB.
    pub queue_bytes: u64,
    /// How much is appended to a segment before what is known of it is written down again, which an
    /// opening after a crash need not read: 8 MiB. 0 is never: it then reads the last segment whole.
    pub checkpoint_every_bytes: u64,
    /// One entry of a partition's index for so many bytes of the segment: 4 KiB.
    pub index_every_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("data/log"),
            partitions: DEFAULT_PARTITIONS,
            segment_bytes: 64 << 20,
            zero_ahead_bytes: 4 << 20,
            memory_bytes: 16 << 20,
            queue_bytes: 64 << 20,
            checkpoint_every_bytes: 8 << 20,
            index_every_bytes: 4 << 10,
        }
    }
}

/// The longest segment that may be configured: positions in a file have 32 bits, and one batch may
/// go over the limit.
pub const MAX_SEGMENT_BYTES: u64 = 1 << 30;

/// The largest batch: 512 MiB with its framing.
pub const MAX_BATCH_BYTES: u64 = 512 << 20;

/// The most partitions a log may have.
pub const MAX_PARTITIONS: u32 = 4096;

impl Config {
    /// Says what is wrong with the settings, if anything.
    pub(crate) fn trouble(&self) -> Option<String> {
        if self.partitions == 0 || self.partitions > MAX_PARTITIONS {
            return Some(format!("partitions must be from 1 to {MAX_PARTITIONS}"));
        }
        if self.segment_bytes < 4096 || self.segment_bytes > MAX_SEGMENT_BYTES {
            return Some(format!(
                "segment_bytes must be from 4096 to {MAX_SEGMENT_BYTES}"
            ));
        }
        (self.index_every_bytes == 0).then(|| "index_every_bytes must not be 0".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_order_and_limits_are_kept() {
        assert_eq!(Config::default().trouble(), None);
        let broken = [
            Config {
                partitions: 0,
                ..Config::default()
            },
            Config {
                partitions: MAX_PARTITIONS + 1,
                ..Config::default()
            },
            Config {
                segment_bytes: 100,
                ..Config::default()
            },
            Config {
                segment_bytes: MAX_SEGMENT_BYTES + 1,
                ..Config::default()
            },
            Config {
                index_every_bytes: 0,
                ..Config::default()
            },
        ];
        for config in broken {
            assert!(config.trouble().is_some(), "{config:?}");
        }
    }
}
