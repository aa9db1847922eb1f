//! The tail of appends while the log is busy elsewhere: another topic commits, zeros are written
//! ahead and segments roll. Beside it the tail of write and fdatasync with nothing else going on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use infra_log_embedded::{Config, EmbeddedLog};
use infra_ports::EventLog;
use infra_ports::log::NewRecord;
use schemas::position::{Partition, Timestamp};
use schemas::topics::Topic;

use super::ground::{Ground, Place};
use crate::figure::Figure;
use crate::fleet::tally::Latencies;
use crate::raw::fsync::RECORD_BYTES;
use crate::raw::zeroed::ZeroedFile;

/// Small, so that several are begun within a run.
const SEGMENT_BYTES: u64 = 512 << 10;
/// A commit of the other topic, and the pause after it.
const OTHER_BYTES: usize = 8 << 10;
const OTHER_PAUSE: Duration = Duration::from_millis(1);
const QUANTILE: f64 = 0.999;

pub(super) async fn measure(ground: &Ground) -> anyhow::Result<Option<Figure>> {
    let folder = ground.folder()?;
    let settings = Config {
        segment_bytes: SEGMENT_BYTES,
        ..Config::default()
    };
    let place = Place::open_with(folder.path(), settings).await?;
    let mut file = ZeroedFile::make(&folder.path().join("raw"))?;
    let turns = ground.size(5_000, 20_000);
    let mut runs = Vec::new();
    for n in 0..=ground.either(3, 9) {
        let mut raw = Latencies::default();
        for _ in 0..turns {
            let begun = Instant::now();
            file.write_and_sync(&[7; RECORD_BYTES])?;
            raw.record(u64::try_from(begun.elapsed().as_nanos())?);
        }
        let ours = appends(&place.log, turns).await?;
        // The first is to warm up.
        if n > 0 {
            runs.push((ours.micros(QUANTILE), raw.micros(QUANTILE)));
        }
    }
    place.close().await?;
    Ok(Figure::against_raw(
        "append, one waiting: p99.9 while receipts commit and segments roll, against write and \
         fdatasync alone",
        "µs",
        &runs,
        None,
    ))
}

/// Appends to one topic while another one is appended to.
async fn appends(log: &Arc<EmbeddedLog>, turns: u64) -> anyhow::Result<Latencies> {
    let stop = Arc::new(AtomicBool::new(false));
    let other = tokio::spawn(keep_busy(Arc::clone(log), Arc::clone(&stop)));
    let mut latencies = Latencies::default();
    for _ in 0..turns {
        let begun = Instant::now();
        log.append(Topic::Chats, Partition(7), vec![record(RECORD_BYTES)])
            .await?;
        latencies.record(u64::try_from(begun.elapsed().as_nanos())?);
    }
    stop.store(true, Ordering::Relaxed);
    other.await??;
    Ok(latencies)
}

async fn keep_busy(log: Arc<EmbeddedLog>, stop: Arc<AtomicBool>) -> anyhow::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        log.append(Topic::Receipts, Partition(3), vec![record(OTHER_BYTES)])
            .await?;
        tokio::time::sleep(OTHER_PAUSE).await;
    }
    Ok(())
}

fn record(bytes: usize) -> NewRecord {
    NewRecord {
        key: Bytes::from_static(b"d.ada.bo"),
        value: Bytes::from(vec![7; bytes]),
        at: Timestamp(1),
    }
}
