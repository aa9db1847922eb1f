//! The log as a whole: opening, the port's methods, closing.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use infra_ports::log::{
    EventLog, LogError, LogTail, MAX_RECORD_BYTES, NewRecord, Positions, Record, Visibility,
};
use parking_lot::Mutex;
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::{TOPICS, Topic};

use crate::config::{Config, MAX_BATCH_BYTES};
use crate::errors::OpenError;
use crate::format::FORMAT;
use crate::format::header::{HeaderError, decode_root, encode_root};
use crate::keeper::KeeperQueue;
use crate::metrics;
use crate::poison::Poison;
use crate::reader::Reader;
use crate::recovery::{self, TopicRecovery};
use crate::storage::{FileSystem, Storage, StorageFile, narrow, read_full, write_whole_file};
use crate::tail::EmbeddedTail;
use crate::topic::{Shared, TopicLog};
use crate::view::Looked;
use crate::writer::{Batch, framed_bytes};

const LOCK_NAME: &str = "lock";
const ROOT_NAME: &str = "log";

/// What opening a log came upon, by topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The topics that were there, in the order of [`TOPICS`].
    pub topics: Vec<TopicRecovery>,
}

/// The embedded event log.
///
/// Dropping it without [`EventLog::close`] stops its threads and leaves the files as a killed
/// process would. The threads are joined when it is dropped and when it is closed, which may block
/// for as long as one fdatasync.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    reader: Arc<Reader>,
    /// One place for each of [`TOPICS`].
    topics: Vec<OnceLock<Arc<TopicLog>>>,
    life: Mutex<Life>,
    /// Held while topics are created.
    creating: Mutex<()>,
    /// Held while the log is closed.
    closing: tokio::sync::Mutex<()>,
    report: RecoveryReport,
}

struct Life {
    threads: Vec<JoinHandle<()>>,
    /// Locked while the log is open.
    lock: Option<Arc<dyn StorageFile>>,
}

impl EmbeddedLog {
    /// Opens the log in a directory, or makes one.
    ///
    /// # Errors
    /// When it is in use, was made with another partition count or by a newer program, is damaged,
    /// or the file system refuses.
    pub fn open(config: Config) -> Result<Self, OpenError> {
        Self::open_on(config, Arc::new(FileSystem))
    }

    /// True when there is a log in a directory: to be asked by whoever must not make one.
    #[must_use]
    pub fn is_in(directory: &Path) -> bool {
        directory.join(ROOT_NAME).is_file()
    }

    pub(crate) fn open_on(config: Config, storage: Arc<dyn Storage>) -> Result<Self, OpenError> {
        metrics::open();
        if let Some(trouble) = config.trouble() {
            return Err(OpenError::Config(trouble));
        }
        let lock = take_lock(&*storage, &config.directory)?;
        check_root(&*storage, &config)?;
        let shared = Arc::new(Shared {
            config,
            storage,
            poison: Poison::default(),
            keeper: KeeperQueue::default(),
        });
        let life = Mutex::new(Life {
            threads: Vec::new(),
            lock: Some(lock),
        });
        let topics = TOPICS.iter().map(|_| OnceLock::new()).collect();
        let reader = Arc::new(Reader::default());
        let report = RecoveryReport::default();
        let (creating, closing) = (Mutex::default(), tokio::sync::Mutex::default());
        let mut log = Self {
            shared,
            reader,
            topics,
            life,
            creating,
            closing,
            report,
        };
        log.open_topics()?;
        Ok(log)
    }

    /// What opening came upon.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.report
    }

    /// Drops whole sealed segments whose records are all older than their topic keeps them; returns
    /// how many segments went.
    ///
    /// # Errors
    /// `Closed`; `Unavailable` when the file system refuses, to be tried again.
    pub fn enforce_retention(&self, now: Timestamp) -> Result<usize, LogError> {
        let mut dropped = 0;
        for topic in self.each_topic() {
            dropped += topic.enforce_retention(now)?;
        }
        Ok(dropped)
    }

    /// Opens the topics that are there and starts the threads that all share.
    fn open_topics(&mut self) -> Result<(), OpenError> {
        let names = self
            .shared
            .storage
            .list(&self.shared.config.directory)
            .map_err(OpenError::io("list", &self.shared.config.directory))?;
        for spec in TOPICS
            .iter()
            .filter(|spec| names.iter().any(|name| name == spec.name))
        {
            let report = self.open_topic(spec.topic)?;
            self.report.topics.extend(report);
        }
        let shared = Arc::clone(&self.shared);
        self.start("log-keeper", move || shared.keeper.run())?;
        let reader = Arc::clone(&self.reader);
        self.start("log-reader", move || reader.work())
    }

    /// Opens a topic and starts its committer; none when it was open already.
    fn open_topic(&self, topic: Topic) -> Result<Option<TopicRecovery>, OpenError> {
        let Some(place) = self.place(topic) else {
            return Ok(None);
        };
        if place.get().is_some() {
            return Ok(None);
        }
        let directory = self.shared.config.directory.join(topic.name());
        let storage = &*self.shared.storage;
        let recovered = recovery::recover(storage, &self.shared.config, &directory, topic)?;
        let report = recovered.report.clone();
        let opened = TopicLog::new(topic, directory, Arc::clone(&self.shared), recovered);
        let committer = Arc::clone(&opened);
        self.start(topic.name(), move || committer.commit_loop())?;
        place.get_or_init(|| opened);
        Ok(Some(report))
    }

    fn start(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
        let started = thread::Builder::new()
            .name(format!("log-{name}"))
            .spawn(work);
        let directory = &self.shared.config.directory;
        let thread = started.map_err(OpenError::io("start a thread for", directory))?;
        self.life.lock().threads.push(thread);
        Ok(())
    }

    fn place(&self, topic: Topic) -> Option<&OnceLock<Arc<TopicLog>>> {
        let place = TOPICS.iter().position(|spec| spec.topic == topic)?;
        self.topics.get(place)
    }

    pub(crate) fn topic(&self, topic: Topic) -> Result<&Arc<TopicLog>, LogError> {
        let found = self.place(topic).and_then(OnceLock::get);
        found.ok_or(LogError::UnknownTopic(topic))
    }

    /// The topics that are there.
    pub(crate) fn each_topic(&self) -> impl Iterator<Item = &Arc<TopicLog>> {
        self.topics.iter().filter_map(OnceLock::get)
    }

    /// Whether batches may be appended at all.
    fn check(&self, topic: Topic, batches: &[Batch]) -> Result<&Arc<TopicLog>, LogError> {
        let log = self.topic(topic)?;
        for (partition, records) in batches {
            if partition.0 >= self.shared.config.partitions {
                return Err(LogError::UnknownPartition(topic, *partition));
            }
            let sizes = records.iter().map(NewRecord::size_bytes);
            if let Some(size_bytes) = sizes.max().filter(|size| *size > MAX_RECORD_BYTES) {
                return Err(LogError::TooLarge { size_bytes });
            }
            let framed = framed_bytes(records);
            if framed > MAX_BATCH_BYTES {
                return Err(LogError::TooLarge {
                    size_bytes: narrow(framed),
                });
            }
        }
        Ok(log)
    }

    /// Ends the threads and lets go of the directory.
    fn end(&self, life: &mut Life) {
        for topic in self.each_topic() {
            topic.queue.lock().stopped = true;
            topic.queued.notify_all();
            topic.writer.lock().closed = true;
            topic.view.lock().closed = true;
            topic.wake();
        }
        self.reader.end();
        for thread in life.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the log panicked");
            }
        }
        life.lock = None;
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.shared.keeper.abandon();
        let mut life = self.life.lock();
        self.end(&mut life);
    }
}

fn take_lock(storage: &dyn Storage, directory: &Path) -> Result<Arc<dyn StorageFile>, OpenError> {
    storage
        .create_directory(directory)
        .map_err(OpenError::io("create", directory))?;
    let path = directory.join(LOCK_NAME);
    let lock = storage
        .open(&path, true)
        .map_err(OpenError::io("open", &path))?;
    if lock.try_lock().map_err(OpenError::io("lock", &path))? {
        return Ok(lock);
    }
    Err(OpenError::InUse(directory.to_owned()))
}

/// Reads what log the directory holds, or says so when it holds none.
fn check_root(storage: &dyn Storage, config: &Config) -> Result<(), OpenError> {
    let directory = &config.directory;
    let path = directory.join(ROOT_NAME);
    let names = storage
        .list(directory)
        .map_err(OpenError::io("list", directory))?;
    if !names.iter().any(|name| name == ROOT_NAME) {
        if let Some(spec) = TOPICS
            .iter()
            .find(|spec| names.iter().any(|name| name == spec.name))
        {
            let reason = format!("it is missing, though there is a topic {}", spec.name);
            return Err(OpenError::damaged(&path, 0, reason));
        }
        let bytes = encode_root(config.partitions);
        return write_whole_file(storage, directory, ROOT_NAME, &bytes)
            .map_err(OpenError::io("write", &path));
    }
    let file = storage
        .open(&path, false)
        .map_err(OpenError::io("open", &path))?;
    let mut bytes = vec![0; 4096];
    let count = read_full(&*file, &mut bytes, 0).map_err(OpenError::io("read", &path))?;
    bytes.truncate(count);
    match decode_root(&bytes) {
        Ok(found) if found == config.partitions => Ok(()),
        Ok(found) => Err(OpenError::Partitions {
            directory: directory.clone(),
            found,
            configured: config.partitions,
        }),
        Err(HeaderError::Newer(found)) => Err(OpenError::Newer {
            file: path,
            found,
            known: FORMAT,
        }),
        Err(HeaderError::Damaged(reason)) => Err(OpenError::damaged(&path, 0, reason)),
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    async fn create_topics(&self, topics: &[Topic]) -> Result<(), LogError> {
        let _one_at_a_time = self.creating.lock();
        if self.life.lock().lock.is_none() {
            return Err(LogError::Closed);
        }
        for topic in topics {
            self.open_topic(*topic)
                .map_err(|e| LogError::Unavailable(e.to_string()))?;
        }
        Ok(())
    }

    fn partitions(&self) -> u32 {
        self.shared.config.partitions
    }

    async fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<NewRecord>,
    ) -> Result<Offset, LogError> {
        let batches = vec![(partition, records)];
        let offsets = self.check(topic, &batches)?.append(batches).await?;
        Ok(offsets.first().copied().unwrap_or_default())
    }

    async fn append_all(
        &self,
        topic: Topic,
        batches: Vec<(Partition, Vec<NewRecord>)>,
    ) -> Result<Vec<Offset>, LogError> {
        self.check(topic, &batches)?.append(batches).await
    }

    async fn sync(&self, topic: Topic) -> Result<(), LogError> {
        self.topic(topic)?.sync().await
    }

    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        max_records: usize,
        visibility: Visibility,
    ) -> Result<Vec<Record>, LogError> {
        let topic = self.topic(topic)?;
        let (partition, from) = (partition.0, from.0);
        let (end, looked) = topic.look_at(partition, from, max_records, visibility)?;
        match looked {
            Looked::Nothing => Ok(Vec::new()),
            Looked::Records(batches) => Ok(batches
                .into_iter()
                .flat_map(|batch| batch.records)
                .collect()),
            Looked::Behind => {
                let topic = Arc::clone(topic);
                let job = move || topic.read_partition(partition, from, end, max_records);
                self.reader.run(job).await
            }
        }
    }

    async fn tail(
        &self,
        topic: Topic,
        from: Vec<(Partition, Offset)>,
        visibility: Visibility,
    ) -> Result<Box<dyn LogTail>, LogError> {
        let topic = self.topic(topic)?;
        for (partition, _) in &from {
            topic.view.lock().positions(partition.0)?;
        }
        let next = from
            .into_iter()
            .map(|(partition, offset)| (partition.0, offset.0))
            .collect();
        let reader = Arc::clone(&self.reader);
        Ok(Box::new(EmbeddedTail::new(
            Arc::clone(topic),
            reader,
            next,
            visibility,
        )))
    }

    async fn positions(&self, topic: Topic, partition: Partition) -> Result<Positions, LogError> {
        self.topic(topic)?.view.lock().positions(partition.0)
    }

    async fn close(&self) -> Result<(), LogError> {
        let _one_at_a_time = self.closing.lock().await;
        if self.life.lock().lock.is_none() {
            return Ok(());
        }
        let mut outcome = Ok(());
        for topic in self.each_topic() {
            let closed = topic.close().await;
            outcome = outcome.and(closed);
        }
        self.shared.keeper.end();
        let mut life = self.life.lock();
        self.end(&mut life);
        outcome
    }
}
