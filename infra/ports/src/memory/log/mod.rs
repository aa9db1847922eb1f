//! The event log in memory: for fast tests and for the simulation.
//!
//! What survives a crash (the disk) stands apart from the handles on it: [`MemoryLog::crash`] takes
//! down every handle and loses some of what was not synced, [`MemoryLog::reopen`] gives a new one,
//! and a second handle beside a living first one is a zombie. Every effect has a fault point before
//! and after it; nothing here needs a runtime.
//!
//! Fault sites. Points: `log.append.before`, `log.append.written` (appended, not yet durable),
//! `log.append.after`, `log.sync.before`, `log.sync.after`, `log.read.before`, `log.tail.before`,
//! `log.tail.after`, `log.close.before`. Choices: `log.append` (1 full, 2 unavailable and nothing written,
//! 3 unavailable but written), `log.sync` (1 unavailable and not synced, 2 unavailable but synced), `log.read`
//! (1 unavailable), `log.tail` (1 unavailable), `log.tail.short` (how many records fewer), `log.tail.apart`
//! (1 in pieces), `log.crash.lost` (how many unsynced batches of a topic are lost). An fsync that fails is
//! [`MemoryLog::poison`].

mod around;
mod disk;
mod line;
mod tail;

pub use around::{Around, AroundLog};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use schemas::position::{Offset, Partition};
use schemas::topics::{Durability, TOPICS, Topic};
use tokio::sync::Notify;

use self::disk::Disk;
use self::line::{Batches, Line};
use self::tail::MemoryTail;
use super::faults::{Faults, NoFaults};
use crate::log::{EventLog, LogError, LogTail, NewRecord, Positions, Record, Visibility};

/// What every handle shares.
struct Shared {
    disk: Mutex<Disk>,
    /// Tails wait on their topic's. Not a `watch`: that wakes its waiters in an order of its own
    /// choosing, and a run with a seed must be the same each time.
    news: BTreeMap<Topic, Notify>,
}

impl Shared {
    fn new(partitions: u32) -> Self {
        let news = TOPICS
            .iter()
            .map(|spec| (spec.topic, Notify::new()))
            .collect();
        Self {
            disk: Mutex::new(Disk::new(partitions)),
            news,
        }
    }

    /// Wakes the tails of a topic.
    fn tell(&self, topic: Topic) {
        if let Some(news) = self.news.get(&topic) {
            news.notify_waiters();
        }
    }

    fn tell_all(&self) {
        self.news.values().for_each(Notify::notify_waiters);
    }
}

/// One opening of the log; over once it was closed or has crashed.
struct Life {
    over: AtomicBool,
    /// How many crashes the disk had seen when this life began.
    crashes: u64,
    /// How many fsyncs had failed by then.
    failures: u64,
    line: Mutex<Line>,
}

/// A place in the line, left when dropped.
struct Place<'a> {
    life: &'a Life,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.life.line.lock().leave(self.number);
    }
}

/// A handle on a log in memory. Clones are the same handle.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
    life: Arc<Life>,
    faults: Arc<dyn Faults>,
}

impl MemoryLog {
    /// Makes an empty log without faults.
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        Self::with_faults(partitions, Arc::new(NoFaults))
    }

    /// Makes an empty log whose effects pass the given faults.
    #[must_use]
    pub fn with_faults(partitions: u32, faults: Arc<dyn Faults>) -> Self {
        let shared = Shared::new(partitions);
        Self::live(Arc::new(shared), faults)
    }

    /// Opens the same log again. The handle it is called on stays as it is: closed, crashed, or
    /// alive beside the new one. What an fsync that failed has left is durable from then on.
    #[must_use]
    pub fn reopen(&self, faults: Arc<dyn Faults>) -> Self {
        Self::live(Arc::clone(&self.shared), faults)
    }

    /// Crashes the log: every handle answers `Closed` from now on, and of what was not synced each
    /// topic keeps the oldest batches, the choice `log.crash.lost` says how many are lost.
    pub fn crash(&self) {
        let faults = &self.faults;
        let choose = |options| faults.choose("log.crash.lost", options);
        self.shared.disk.lock().crash(choose);
        self.shared.tell_all();
    }

    /// An fsync fails: nobody knows what the disk holds. Every handle that is open takes no more
    /// appends and syncs nothing, reads go on, until the log is opened again.
    pub fn poison(&self) {
        self.shared.disk.lock().poison();
    }

    /// Drops the records of a partition below an offset, as retention does.
    ///
    /// # Errors
    /// `UnknownTopic`, `UnknownPartition`.
    pub fn drop_before(
        &self,
        topic: Topic,
        partition: Partition,
        before: Offset,
    ) -> Result<(), LogError> {
        self.shared
            .disk
            .lock()
            .drop_before(topic, partition, before)
    }

    fn live(shared: Arc<Shared>, faults: Arc<dyn Faults>) -> Self {
        let life = {
            let mut disk = shared.disk.lock();
            disk.open();
            Life {
                over: AtomicBool::new(false),
                crashes: disk.crashes(),
                failures: disk.failures(),
                line: Mutex::default(),
            }
        };
        shared.tell_all();
        Self {
            shared,
            life: Arc::new(life),
            faults,
        }
    }

    /// Locks the disk, if this handle is still alive.
    fn disk(&self) -> Result<parking_lot::MutexGuard<'_, Disk>, LogError> {
        let disk = self.shared.disk.lock();
        if self.life.over.load(Ordering::Acquire) || disk.crashes() != self.life.crashes {
            return Err(LogError::Closed);
        }
        Ok(disk)
    }

    /// Locks the disk, if this handle is still alive and may write to it.
    fn sound_disk(&self) -> Result<parking_lot::MutexGuard<'_, Disk>, LogError> {
        let disk = self.disk()?;
        if disk.failures() != self.life.failures {
            return Err(LogError::Poisoned("by choice, an fsync failed".into()));
        }
        Ok(disk)
    }

    /// An effect on a topic, by a living handle; its tails hear of it.
    fn effect<R>(
        &self,
        topic: Topic,
        effect: impl FnOnce(&mut Disk) -> Result<R, LogError>,
    ) -> Result<R, LogError> {
        let result = effect(&mut *self.sound_disk()?)?;
        self.shared.tell(topic);
        Ok(result)
    }

    /// A place in the line for an append that is called now.
    fn line_up(&self, topic: Topic, batches: Batches) -> Place<'_> {
        let number = self.life.line.lock().enter(topic, batches);
        Place {
            life: &self.life,
            number,
        }
    }

    /// Appends and, where the topic asks for it, makes durable.
    async fn write(&self, topic: Topic, place: Place<'_>) -> Result<Vec<Offset>, LogError> {
        let append = |topic, batches| self.effect(topic, |disk| disk.append(topic, batches));
        let offsets = self.life.line.lock().make(place.number, append)?;
        if topic.spec().durability == Durability::EachAppend {
            // A caller that goes away here leaves a batch whose durability is under way all the
            // same: the log finishes what it has begun.
            let finish = Finish { log: self, topic };
            self.faults.point("log.append.written").await;
            drop(finish);
            drop(self.sound_disk()?);
        }
        Ok(offsets)
    }
}

/// Makes a topic durable when dropped.
struct Finish<'a> {
    log: &'a MemoryLog,
    topic: Topic,
}

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        // After a crash or a close there is nothing left to finish.
        let _gone = self.log.effect(self.topic, |disk| disk.sync(self.topic));
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn create_topics(&self, topics: &[Topic]) -> Result<(), LogError> {
        self.disk()?.create(topics);
        Ok(())
    }

    fn partitions(&self) -> u32 {
        self.shared.disk.lock().partitions()
    }

    /// As of the log on several servers: what one process has alone is the simpler case.
    fn has_leaders(&self) -> bool {
        true
    }

    async fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<NewRecord>,
    ) -> Result<Offset, LogError> {
        let offsets = self.append_all(topic, vec![(partition, records)]).await?;
        Ok(offsets.first().copied().unwrap_or_default())
    }

    async fn append_all(
        &self,
        topic: Topic,
        batches: Vec<(Partition, Vec<NewRecord>)>,
    ) -> Result<Vec<Offset>, LogError> {
        self.sound_disk()?.check(topic, &batches)?;
        let choice = self.faults.choose("log.append", 4);
        let place = matches!(choice, 0 | 3).then(|| self.line_up(topic, batches));
        self.faults.point("log.append.before").await;
        let Some(place) = place else {
            return Err(match choice {
                1 => LogError::Full("by choice".into()),
                _ => LogError::Unavailable("by choice, nothing written".into()),
            });
        };
        let offsets = self.write(topic, place).await?;
        self.faults.point("log.append.after").await;
        if choice == 3 {
            return Err(LogError::Unavailable("by choice, written".into()));
        }
        Ok(offsets)
    }

    async fn sync(&self, topic: Topic) -> Result<(), LogError> {
        self.sound_disk()?.check(topic, &[])?;
        self.faults.point("log.sync.before").await;
        let choice = self.faults.choose("log.sync", 3);
        if choice == 1 {
            return Err(LogError::Unavailable("by choice, not synced".into()));
        }
        self.effect(topic, |disk| disk.sync(topic))?;
        self.faults.point("log.sync.after").await;
        if choice == 2 {
            return Err(LogError::Unavailable("by choice, synced".into()));
        }
        Ok(())
    }

    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        max_records: usize,
        visibility: Visibility,
    ) -> Result<Vec<Record>, LogError> {
        self.faults.point("log.read.before").await;
        if self.faults.choose("log.read", 2) == 1 {
            return Err(LogError::Unavailable("by choice".into()));
        }
        self.disk()?
            .read(topic, partition, from, max_records, visibility)
    }

    async fn tail(
        &self,
        topic: Topic,
        from: Vec<(Partition, Offset)>,
        visibility: Visibility,
    ) -> Result<Box<dyn LogTail>, LogError> {
        let disk = self.disk()?;
        for (partition, _) in &from {
            disk.positions(topic, *partition)?;
        }
        drop(disk);
        Ok(Box::new(MemoryTail::new(
            self.clone(),
            topic,
            from,
            visibility,
        )))
    }

    async fn positions(&self, topic: Topic, partition: Partition) -> Result<Positions, LogError> {
        self.disk()?.positions(topic, partition)
    }

    async fn positions_of(
        &self,
        topic: Topic,
        partitions: &[Partition],
    ) -> Result<Vec<Positions>, LogError> {
        self.faults.point("log.ends.before").await;
        let disk = self.disk()?;
        let of = |partition: &Partition| disk.positions(topic, *partition);
        partitions.iter().map(of).collect()
    }

    async fn close(&self) -> Result<(), LogError> {
        self.faults.point("log.close.before").await;
        let Ok(mut disk) = self.disk() else {
            return Ok(());
        };
        disk.sync_all();
        self.life.over.store(true, Ordering::Release);
        drop(disk);
        self.shared.tell_all();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
