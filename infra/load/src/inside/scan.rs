//! Reading the whole log through its reader, beside reading the same files from begin to end; then
//! opening it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use infra_log_embedded::EmbeddedLog;
use infra_ports::EventLog;
use infra_ports::log::Visibility;
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use super::Found;
use super::corpus::Shape;
use super::ground::{Ground, Place, fill};
use super::open;
use crate::figure::{Figure, Goal};
use crate::raw::scan::{read_all, segments};

/// Records asked for at once.
const BATCH_RECORDS: usize = 4_096;

pub(super) async fn measure(ground: &Ground) -> anyhow::Result<Found> {
    let shape = Shape::of(ground.size(300_000, 2_000_000));
    let folder = ground.folder()?;
    // Nothing from memory: what is compared is reading files.
    let settings = infra_log_embedded::Config {
        memory_bytes: 0,
        ..infra_log_embedded::Config::default()
    };
    let place = Place::open_with(folder.path(), settings).await?;
    ground.say(&format!("a log of {shape}"));
    fill(&place.log, &mut ground.corpus(shape)?).await?;
    let records = count(&place.log).await?;
    let mut runs = Vec::new();
    for _ in 0..ground.either(7, 15) {
        let raw = raw(folder.path())?;
        let ours = scan(&place.log, records).await?;
        #[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
        let per_second = |took: Duration| records as f64 / took.as_secs_f64();
        runs.push((per_second(ours), per_second(raw)));
    }
    place.close().await?;
    let figure = Figure::against_raw(
        "scan of a topic through the reader against reading its files",
        "records/s",
        &runs,
        Some(Goal::AtLeast(0.9)),
    );
    Ok(Found {
        figures: figure
            .into_iter()
            .chain(open::measure(ground, folder.path())?)
            .collect(),
        plots: Vec::new(),
        settings: format!("scan: {shape}, from files in the page cache"),
    })
}

async fn count(log: &EmbeddedLog) -> anyhow::Result<u64> {
    let mut records = 0;
    for partition in (0..log.partitions()).map(Partition) {
        let ends = log.positions(Topic::Chats, partition).await?;
        records += ends.durable_end.0;
    }
    Ok(records)
}

fn raw(data: &Path) -> anyhow::Result<Duration> {
    let files = segments(&data.join("log").join(Topic::Chats.name()))?;
    let begun = Instant::now();
    ensure!(read_all(&files)? > 0, "the log is empty");
    Ok(begun.elapsed())
}

async fn scan(log: &EmbeddedLog, records: u64) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let from = (0..log.partitions()).map(|partition| (Partition(partition), Offset(0)));
    let from = from.collect();
    let mut tail = log.tail(Topic::Chats, from, Visibility::Durable).await?;
    let mut read = 0;
    while read < records {
        for batch in tail.next(BATCH_RECORDS).await? {
            read += u64::try_from(batch.records.len())?;
        }
    }
    let took = begun.elapsed();
    ensure!(
        read == records,
        "{records} records were appended, {read} were read"
    );
    Ok(took)
}
