//! The crash matrix of the embedded log: what no test through the port alone can do to it.

mod checkpoints;
mod crash;
mod damage;
mod disk;
mod doors;
mod faulty;
mod oracle;
mod power;
mod trouble;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use infra_ports::log::{EventLog, LogError, NewRecord, Visibility};
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::Topic;
use tempfile::TempDir;

use crate::storage::Storage;
use crate::{Config, EmbeddedLog, OpenError};

const PARTITIONS: u32 = 4;

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let limit = std::time::Duration::from_secs(60);
    runtime.block_on(async { tokio::time::timeout(limit, future).await.expect("it hangs") })
}

/// A log in a directory of its own, and ways to spoil it.
struct Home {
    directory: TempDir,
    config: Config,
}

impl Home {
    fn new() -> Self {
        Self::with(Config {
            segment_bytes: 32 << 10,
            zero_ahead_bytes: 8 << 10,
            ..Config::default()
        })
    }

    fn with(config: Config) -> Self {
        let directory = TempDir::new().unwrap();
        let config = Config {
            directory: directory.path().join("log"),
            partitions: PARTITIONS,
            ..config
        };
        Self { directory, config }
    }

    /// A copy that can be spoilt without harm to this one.
    fn copy(&self) -> Self {
        let copy = Self::with(self.config.clone());
        copy_tree(&self.config.directory, &copy.config.directory);
        copy
    }

    fn open(&self) -> EmbeddedLog {
        self.open_on(quick())
    }

    fn open_on(&self, storage: Arc<dyn Storage>) -> EmbeddedLog {
        let log = EmbeddedLog::open_on(self.config.clone(), storage).unwrap();
        run(log.create_topics(&[Topic::Chats, Topic::Users])).unwrap();
        log
    }

    fn refusal(&self) -> OpenError {
        let opened = EmbeddedLog::open_on(self.config.clone(), quick());
        opened.err().expect("it is refused")
    }

    fn topic_directory(&self, topic: Topic) -> PathBuf {
        self.config.directory.join(topic.name())
    }

    fn segment(&self, topic: Topic, number: u64) -> PathBuf {
        self.topic_directory(topic)
            .join(crate::segment::segment_name(number))
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }
}

fn quick() -> Arc<dyn Storage> {
    Arc::new(faulty::Faulty(faulty::Switches::new()))
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Changes a file's bytes.
fn spoil(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn record(value: impl Into<String>) -> NewRecord {
    NewRecord {
        key: Bytes::from_static(b"key"),
        value: Bytes::from(value.into()),
        at: Timestamp(1_700_000_000_000),
    }
}

fn append(log: &EmbeddedLog, topic: Topic, partition: u32, value: &str) -> Result<u64, LogError> {
    run(log.append(topic, Partition(partition), vec![record(value)])).map(|offset| offset.0)
}

/// All values of a partition, as far as they are durable or beyond.
fn values(log: &EmbeddedLog, topic: Topic, partition: u32, visibility: Visibility) -> Vec<String> {
    let records = run(async {
        let mut records: Vec<infra_ports::log::Record> = Vec::new();
        loop {
            let from = Offset(records.len() as u64);
            let more = log
                .read(topic, Partition(partition), from, 1000, visibility)
                .await?;
            if more.is_empty() {
                return Ok::<_, LogError>(records);
            }
            records.extend(more);
        }
    });
    let text = |r: &infra_ports::log::Record| String::from_utf8(r.value.to_vec()).unwrap();
    records.unwrap().iter().map(text).collect()
}

/// Where a topic's active segment ends, and up to where it is durable.
fn ends(log: &EmbeddedLog, topic: Topic) -> (u64, u64) {
    let topic = log.topic(topic).unwrap();
    let writer = topic.writer.lock();
    (writer.claim, writer.position)
}
