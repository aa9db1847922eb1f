//! What users are told, on its way into the log while more is read and folded.
//!
//! ```text
//!  told ─▶ lane of its partition ─▶ one append under way ─▶ told in full: may be remembered
//!                    └─ what comes meanwhile waits, and leaves together
//! ```
//!
//! A partition has one append under way at most. So it keeps its order, also where an append has to be
//! tried again, and a partition whose broker is slow holds up no other. Whatever else the loop waits for, it
//! waits for beside these.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use infra_ports::log::NewRecord;
use infra_ports::{BoxFuture, EventLog, Runtime};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use super::retry::Retry;
use super::stop::Stop;

/// Bytes on their way beyond which nothing more is folded.
const UNDER_WAY_BYTES: usize = 16 << 20;

/// Records for one partition.
type Batch = (Partition, Vec<NewRecord>);
/// An append that ends with what it has appended.
type Append = BoxFuture<'static, Result<Appended, Stop>>;

/// What was appended in one go.
#[derive(Debug)]
pub(super) struct Appended {
    partitions: Vec<Partition>,
    bytes: usize,
    pub(super) records: usize,
    pub(super) took: Duration,
}

/// A partition with an append under way.
#[derive(Debug)]
struct Lane {
    /// The chunk of the first record that is not appended.
    first: u64,
    /// What is told next, and the chunk of its first record.
    waiting: Option<(u64, Vec<NewRecord>)>,
}

/// All that is on its way to `users`.
pub(super) struct Emitting {
    log: Arc<dyn EventLog>,
    runtime: Arc<dyn Runtime>,
    retry: Retry,
    lanes: BTreeMap<Partition, Lane>,
    under_way: FuturesUnordered<Append>,
    /// What was appended and nobody was told of yet.
    finished: VecDeque<Appended>,
    bytes: usize,
    /// The number of the last chunk.
    chunk: u64,
    /// How far chunks got that are not told in full, in their order.
    folded: VecDeque<(u64, Vec<(Partition, Offset)>)>,
}

impl Emitting {
    pub(super) fn new(log: Arc<dyn EventLog>, runtime: Arc<dyn Runtime>, retry: Retry) -> Self {
        Self {
            log,
            runtime,
            retry,
            lanes: BTreeMap::new(),
            under_way: FuturesUnordered::new(),
            finished: VecDeque::new(),
            bytes: 0,
            chunk: 0,
            folded: VecDeque::new(),
        }
    }

    /// The next of what follows from a chunk.
    pub(super) fn tell(&mut self, told: Vec<Batch>) {
        let mut free = Vec::with_capacity(told.len());
        for (partition, mut records) in told {
            self.bytes += size_of(&records);
            match self.lanes.get_mut(&partition) {
                Some(lane) => {
                    let waiting = lane.waiting.get_or_insert((self.chunk, Vec::new()));
                    waiting.1.append(&mut records);
                }
                None => {
                    self.occupy(partition, self.chunk);
                    free.push((partition, records));
                }
            }
        }
        self.send(free);
    }

    /// All that follows from a chunk was told to [`Self::tell`]: it got that far in its topic.
    pub(super) fn close(&mut self, next: Vec<(Partition, Offset)>) {
        self.folded.push_back((self.chunk, next));
        self.chunk += 1;
    }

    /// The first chunk that nothing was told of yet.
    pub(super) fn chunk(&self) -> u64 {
        self.chunk
    }

    /// True when all that follows from the chunks before is appended.
    pub(super) fn has_told(&self, chunk: u64) -> bool {
        self.lanes.values().all(|lane| lane.first >= chunk)
    }

    /// How far chunks got that are told in full since the last time.
    pub(super) fn told(&mut self) -> Vec<(Partition, Offset)> {
        let first = self.lanes.values().map(|lane| lane.first).min();
        let mut all = Vec::new();
        while let Some((chunk, next)) = self.folded.pop_front() {
            if first.is_some_and(|first| first <= chunk) {
                self.folded.push_front((chunk, next));
                break;
            }
            all.extend(next);
        }
        all
    }

    /// True while an append is under way, or one has ended that nobody was told of.
    pub(super) fn is_busy(&self) -> bool {
        !self.under_way.is_empty() || !self.finished.is_empty()
    }

    /// True when so much is on its way that nothing more should be folded.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= UNDER_WAY_BYTES
    }

    /// Waits for the next append; for ever when there is none. Cancel safe.
    pub(super) async fn appended(&mut self) -> Result<Appended, Stop> {
        if let Some(appended) = self.finished.pop_front() {
            return Ok(appended);
        }
        match self.under_way.next().await {
            Some(appended) => self.go_on(appended),
            None => std::future::pending().await,
        }
    }

    /// What has been appended by now, if anything.
    pub(super) fn appended_by_now(&mut self) -> Option<Result<Appended, Stop>> {
        self.appended().now_or_never()
    }

    /// Waits for something else while appends go on: what is folded is told however long a store is away.
    pub(super) async fn beside<T>(
        &mut self,
        work: impl Future<Output = Result<T, Stop>>,
    ) -> Result<T, Stop> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(appended) = self.under_way.next() => {
                    let appended = self.go_on(appended)?;
                    self.finished.push_back(appended);
                }
            }
        }
    }

    /// Lets what waited behind an append follow it.
    fn go_on(&mut self, appended: Result<Appended, Stop>) -> Result<Appended, Stop> {
        let appended = appended?;
        self.bytes = self.bytes.saturating_sub(appended.bytes);
        let mut next = Vec::new();
        for partition in &appended.partitions {
            let lane = self.lanes.remove(partition);
            if let Some((since, records)) = lane.and_then(|lane| lane.waiting) {
                self.occupy(*partition, since);
                next.push((*partition, records));
            }
        }
        self.send(next);
        Ok(appended)
    }

    fn occupy(&mut self, partition: Partition, first: u64) {
        let waiting = None;
        self.lanes.insert(partition, Lane { first, waiting });
    }

    /// Appends to partitions that have nothing under way.
    fn send(&self, batches: Vec<Batch>) {
        if batches.is_empty() {
            return;
        }
        if self.log.has_leaders() {
            let each = batches.into_iter();
            each.for_each(|one| self.under_way.push(self.append(vec![one])));
        } else {
            self.under_way.push(self.append(batches));
        }
    }

    fn append(&self, batches: Vec<Batch>) -> Append {
        let (log, runtime) = (Arc::clone(&self.log), Arc::clone(&self.runtime));
        let retry = self.retry.clone();
        Box::pin(async move {
            let begun = runtime.elapsed();
            let partitions = batches.iter().map(|(partition, _)| *partition).collect();
            let records = batches.iter().map(|(_, records)| records.len()).sum();
            let bytes = batches.iter().map(|(_, records)| size_of(records)).sum();
            let log = &*log;
            // A try that failed may have appended a part: again from the first, so that no record
            // comes before one it follows. Readers take what comes twice once.
            let append = move || log.append_all(Topic::Users, batches.clone());
            retry.run("append to users", append).await?;
            Ok(Appended {
                partitions,
                bytes,
                records,
                took: runtime.elapsed().saturating_sub(begun),
            })
        })
    }
}

fn size_of(records: &[NewRecord]) -> usize {
    records.iter().map(NewRecord::size_bytes).sum()
}
