//! What measures stand on: scratch folders, and the embedded log and store opened in them as a node
//! opens them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use infra_log_embedded::EmbeddedLog;
use infra_ports::log::NewRecord;
use infra_ports::{EventLog, Runtime, TableStore};
use infra_runtime_tokio::TokioRuntime;
use infra_store_embedded::EmbeddedStore;
use projectors::{Config, Ports, Share};
use schemas::position::{Generation, Partition, Timestamp};
use schemas::topics::{TOPICS, Topic, partition_of};
use tempfile::TempDir;

use super::corpus::{Corpus, Shape};

/// Records that are appended together while a log is filled.
const FILL_RECORDS: usize = 65_536;
/// How long threads may take to end.
const END_WITHIN: Duration = Duration::from_secs(10);
/// The build of the tables that is live.
pub(super) const LIVE: Generation = Generation(1);

/// Where a run of measures works, and how long it may take.
pub(super) struct Ground {
    pub(super) full: bool,
    /// Sizes are divided by this.
    pub(super) divide: u64,
    /// What events are drawn from.
    pub(super) seed: u64,
    pub(super) scratch: PathBuf,
    /// How long memory is watched.
    pub(super) soak: Duration,
}

impl Ground {
    /// A folder of its own, which goes when it is dropped.
    pub(super) fn folder(&self) -> anyhow::Result<TempDir> {
        std::fs::create_dir_all(&self.scratch)?;
        Ok(TempDir::new_in(&self.scratch)?)
    }

    /// Events that end about now: `users` is kept for days only, and a node drops what is older.
    pub(super) fn corpus(&self, shape: Shape) -> anyhow::Result<Corpus> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let begin = i64::try_from(now)? - 2 * i64::try_from(shape.messages)?;
        Ok(Corpus::new(shape, self.seed, Timestamp(begin)))
    }

    /// What this run uses: the first in a short run, the second in a full one.
    pub(super) fn either<T>(&self, short: T, full: T) -> T {
        if self.full { full } else { short }
    }

    /// A size: as [`Ground::either`], divided.
    pub(super) fn size(&self, short: u64, full: u64) -> u64 {
        (self.either(short, full) / self.divide.max(1)).max(1)
    }

    /// Tells the person who waits.
    pub(super) fn say(&self, what: &str) {
        // Nobody may be reading.
        drop(writeln!(std::io::stderr(), "  {what}"));
    }
}

/// A log and a store, open.
pub(super) struct Place {
    pub(super) log: Arc<EmbeddedLog>,
    pub(super) store: Arc<EmbeddedStore>,
    runtime: TokioRuntime,
}

impl Place {
    /// Opens log and tables of a data folder with a node's defaults; makes them where there are none.
    pub(super) async fn open(data: &Path) -> anyhow::Result<Self> {
        Self::open_with(data, infra_log_embedded::Config::default()).await
    }

    /// Opens them with other settings of the log.
    pub(super) async fn open_with(
        data: &Path,
        settings: infra_log_embedded::Config,
    ) -> anyhow::Result<Self> {
        let log = EmbeddedLog::open(infra_log_embedded::Config {
            directory: data.join("log"),
            ..settings
        })?;
        let topics: Vec<_> = TOPICS.iter().map(|spec| spec.topic).collect();
        log.create_topics(&topics).await?;
        let store = EmbeddedStore::open(&infra_store_embedded::Config {
            path: data.join("tables"),
            ..infra_store_embedded::Config::default()
        })?;
        Ok(Self {
            log: Arc::new(log),
            store: Arc::new(store),
            runtime: TokioRuntime::new(tokio::runtime::Handle::current()),
        })
    }

    /// What projectors need.
    pub(super) fn ports(&self) -> Ports {
        self.ports_on(Arc::clone(&self.store) as _)
    }

    /// The same with another store.
    pub(super) fn ports_on(&self, store: Arc<dyn TableStore>) -> Ports {
        Ports {
            log: Arc::clone(&self.log) as _,
            store,
            runtime: Arc::new(self.runtime.clone()) as Arc<dyn Runtime>,
        }
    }

    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.log.close().await?;
        self.store.close().await?;
        let late = self.runtime.shutdown(END_WITHIN).await;
        anyhow::ensure!(late.is_empty(), "did not end: {late:?}");
        Ok(())
    }
}

/// Appends everything that a corpus has; returns how many records that were.
pub(super) async fn fill(log: &EmbeddedLog, corpus: &mut Corpus) -> anyhow::Result<u64> {
    let mut waiting: BTreeMap<Topic, BTreeMap<Partition, Vec<NewRecord>>> = BTreeMap::new();
    let (mut gathered, mut records) = (0, 0);
    loop {
        let step = corpus.step()?;
        let is_last = step.is_none();
        for line in step.into_iter().flatten() {
            let partition = partition_of(&line.record.key, log.partitions());
            let topic = waiting.entry(line.topic).or_default();
            topic.entry(partition).or_default().push(line.record);
            gathered += 1;
        }
        if gathered >= FILL_RECORDS || is_last {
            for (topic, batches) in std::mem::take(&mut waiting) {
                log.append_all(topic, batches.into_iter().collect()).await?;
            }
            records += u64::try_from(std::mem::take(&mut gathered))?;
        }
        if is_last {
            return Ok(records);
        }
    }
}

/// Runs the live projectors until everything in the log is in the tables; returns how long it took.
pub(super) async fn project(ports: &Ports) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let projectors = projectors::start(ports, &Config::default(), LIVE, &Share::everything());
    projectors.apply_all(ports.log.as_ref()).await?;
    let took = begun.elapsed();
    projectors.stop().await?;
    Ok(took)
}

/// Copies a folder with everything in it into one that is there.
pub(super) fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in from.read_dir()? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(&target)?;
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
