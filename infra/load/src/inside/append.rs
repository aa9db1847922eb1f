//! Appending to the log, beside write and fdatasync of the same bytes: one record at a time, many
//! that wait for the same fdatasync, and many in one batch.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use infra_log_embedded::EmbeddedLog;
use infra_ports::EventLog;
use infra_ports::log::NewRecord;
use schemas::position::{Partition, Timestamp};
use schemas::topics::Topic;

use super::ground::{Ground, Place};
use crate::figure::{Figure, Goal};
use crate::raw::zeroed::ZeroedFile;

/// A message of 200 bytes, encoded.
const VALUE_BYTES: usize = 300;
const KEY: &[u8] = b"d.ada.bo";
/// What a frame has around key and value (`docs/embedded-log.md`).
const FRAMING_BYTES: usize = 42;
/// Those that wait together, and the records of a batch.
const MANY: usize = 64;

/// How records come.
#[derive(Clone, Copy)]
enum Way {
    /// One, and the next when it is durable.
    Alone,
    /// Many callers at once, a partition each.
    Waiting,
    /// Many in one call.
    Batch,
}

impl Way {
    const ALL: [Self; 3] = [Self::Alone, Self::Waiting, Self::Batch];

    fn name(self) -> &'static str {
        match self {
            Self::Alone => "append, one waiting, against write and fdatasync",
            Self::Waiting => {
                "append, 64 waiting, against one write and fdatasync of the same bytes"
            }
            Self::Batch => {
                "append, a batch of 64, against one write and fdatasync of the same bytes"
            }
        }
    }

    /// Records of one turn.
    fn records(self) -> usize {
        match self {
            Self::Alone => 1,
            Self::Waiting | Self::Batch => MANY,
        }
    }

    async fn append(self, log: &EmbeddedLog) -> anyhow::Result<()> {
        match self {
            Self::Alone | Self::Batch => {
                let records = vec![record(); self.records()];
                log.append(Topic::Chats, Partition(7), records).await?;
            }
            Self::Waiting => {
                let partitions = (0..log.partitions()).cycle().map(Partition).take(MANY);
                let appends = partitions.map(|p| log.append(Topic::Chats, p, vec![record()]));
                try_join_all(appends).await?;
            }
        }
        Ok(())
    }
}

fn record() -> NewRecord {
    NewRecord {
        key: Bytes::from_static(KEY),
        value: Bytes::from_static(&[7; VALUE_BYTES]),
        at: Timestamp(1),
    }
}

/// A figure for each way.
pub(super) async fn measure(ground: &Ground) -> anyhow::Result<Vec<Figure>> {
    let folder = ground.folder()?;
    let place = Place::open(folder.path()).await?;
    let mut figures = Vec::new();
    for way in Way::ALL {
        ground.say(way.name());
        let runs = runs(ground, folder.path(), &place.log, way).await?;
        let goal = Some(Goal::AtLeast(0.97));
        figures.extend(Figure::against_raw(way.name(), "records/s", &runs, goal));
    }
    place.close().await?;
    Ok(figures)
}

/// Short stretches in turns, so that whatever else the machine does hits both alike.
async fn runs(
    ground: &Ground,
    folder: &Path,
    log: &EmbeddedLog,
    way: Way,
) -> anyhow::Result<Vec<(f64, f64)>> {
    let mut file = ZeroedFile::make(&folder.join("raw"))?;
    let bytes = vec![7; (KEY.len() + VALUE_BYTES + FRAMING_BYTES) * way.records()];
    let turns = u32::try_from(ground.size(300, 300))?;
    let mut runs = Vec::new();
    for n in 0..=ground.either(9, 25) {
        let raw = {
            let begun = Instant::now();
            for _ in 0..turns {
                file.write_and_sync(&bytes)?;
            }
            begun.elapsed()
        };
        let begun = Instant::now();
        for _ in 0..turns {
            way.append(log).await?;
        }
        let ours = begun.elapsed();
        // The first is to warm up.
        if n > 0 {
            runs.push((per_second(way, turns, ours), per_second(way, turns, raw)));
        }
    }
    Ok(runs)
}

fn per_second(way: Way, turns: u32, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "1 or 64")]
    let records = way.records() as f64;
    f64::from(turns) * records / took.as_secs_f64()
}
