//! How far a projection has got and how it fares: written by its loop, read by anyone.
//!
//! ```text
//!   applied            folded              durable end
//!      │  rows being     │  read, not folded    │
//!      ▼  written        ▼  yet (lag)           ▼
//! ─────┴─────────────────┴──────────────────────┘
//! ```
//!
//! Below `applied` all rows are in the tables and can be read; below `folded` what follows from the
//! records has been appended to `users`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use infra_ports::watch;
use parking_lot::Mutex;
use schemas::position::{Offset, Partition};
use tokio::sync::Notify;

use super::stop::Stop;

/// How a projection fares.
#[derive(Debug, Clone)]
pub enum Health {
    /// It has not yet applied everything that was in the log when it took up its partitions, or was
    /// not told yet which they are.
    CatchingUp,
    /// It has, and goes on; or others have all partitions.
    CaughtUp,
    /// A port does not answer; it tries again.
    Retrying {
        /// What failed.
        reason: String,
    },
    /// It was told to stop, has written everything it folded, and ended.
    Ended,
    /// It stopped by itself and does nothing any more.
    Stopped(Stop),
}

/// How far a projection has got in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Partition of the origin topic.
    pub partition: Partition,
    /// Every record below has its rows in the tables, and the checkpoint says so.
    pub applied: Offset,
    /// Every record below was folded and its news appended.
    pub folded: Offset,
    /// Records in the log that are not applied yet, when it was last looked.
    pub lag_records: u64,
}

#[derive(Debug)]
struct Tracked {
    partition: Partition,
    applied: watch::Sender<Offset>,
    folded: Offset,
    end: Offset,
    /// The durable end when it was taken up: where catching up is over.
    goal: Offset,
}

impl Tracked {
    /// Of a partition that was not taken up yet.
    fn new(partition: &Partition) -> Self {
        Self {
            partition: *partition,
            applied: watch::Sender::new(Offset(0)),
            folded: Offset(0),
            end: Offset(0),
            goal: Offset(u64::MAX),
        }
    }
}

/// What the loop writes and the [`Status`] reads.
#[derive(Debug)]
pub(crate) struct Board {
    name: &'static str,
    partitions: Mutex<Vec<Tracked>>,
    /// What does not answer, each by the number of who tries it again.
    troubles: Mutex<BTreeMap<u64, String>>,
    end: watch::Sender<Option<Result<(), Stop>>>,
    /// How many wait for rows.
    waiting: AtomicUsize,
    /// It waits to be told which partitions are its.
    awaits: AtomicBool,
    /// Rings when another one does.
    hurry: Notify,
}

impl Board {
    /// Of a projection with these partitions; `awaits` when it is to be told which are its.
    pub(crate) fn new(name: &'static str, partitions: &[Partition], awaits: bool) -> Self {
        Self {
            name,
            partitions: Mutex::new(partitions.iter().map(Tracked::new).collect()),
            troubles: Mutex::default(),
            end: watch::Sender::new(None),
            waiting: AtomicUsize::new(0),
            awaits: AtomicBool::new(awaits),
            hurry: Notify::new(),
        }
    }

    /// True while somebody waits for rows.
    pub(crate) fn is_hurried(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Waits until somebody begins to wait for rows. Cancel safe.
    pub(crate) async fn hurried(&self) {
        self.hurry.notified().await;
    }

    fn update(&self, partition: Partition, change: impl FnOnce(&mut Tracked)) {
        let mut all = self.partitions.lock();
        if let Some(one) = all.iter_mut().find(|t| t.partition == partition) {
            change(one);
        }
    }

    /// A partition is this instance's and goes on from its checkpoint.
    pub(crate) fn taken_up(&self, partition: Partition, checkpoint: Offset, goal: Offset) {
        {
            let mut all = self.partitions.lock();
            if !all.iter().any(|t| t.partition == partition) {
                all.push(Tracked::new(&partition));
            }
        }
        self.update(partition, |t| {
            t.applied.send_replace(checkpoint);
            t.folded = checkpoint;
            t.goal = goal;
            t.end = goal;
        });
    }

    /// Partitions are no longer this instance's: who waits for them is told so.
    pub(crate) fn let_go(&self, partitions: &[Partition]) {
        let mut all = self.partitions.lock();
        all.retain(|t| !partitions.contains(&t.partition));
    }

    /// What is its is known, even if that is nothing.
    pub(crate) fn given(&self) {
        self.awaits.store(false, Ordering::Release);
    }

    pub(crate) fn folded(&self, partition: Partition, next: Offset) {
        self.update(partition, |t| {
            t.folded = next;
            t.end = t.end.max(next);
        });
    }

    pub(crate) fn applied(&self, partition: Partition, next: Offset) {
        self.update(partition, |t| {
            t.applied.send_replace(next);
        });
    }

    pub(crate) fn end_is(&self, partition: Partition, end: Offset) {
        self.update(partition, |t| t.end = t.end.max(end));
    }

    /// Somebody tries something again: says so until it has [`Self::recovered`].
    pub(crate) fn retrying(&self, who: u64, reason: String) {
        self.troubles.lock().insert(who, reason);
    }

    pub(crate) fn recovered(&self, who: u64) {
        self.troubles.lock().remove(&who);
    }

    pub(crate) fn ended(&self, how: Result<(), Stop>) {
        self.end.send_replace(Some(how));
    }
}

/// Somebody waits for rows.
#[derive(Debug)]
pub struct Hurry(Arc<Board>);

impl Drop for Hurry {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A view of a projection's progress and health. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Status(pub(crate) Arc<Board>);

impl Status {
    /// The projection.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// How far the tables of a partition have got: every record below has its rows there. Not known
    /// of a partition that this instance does not have: the checkpoints say it then.
    pub fn applied(&self, partition: Partition) -> Option<Offset> {
        let all = self.0.partitions.lock();
        let one = all.iter().find(|t| t.partition == partition);
        one.map(|t| *t.applied.borrow())
    }

    /// Waits until the tables hold every record below `offset`; false, then or at once, when this
    /// instance does not have the partition. Never ends when the projection stops: race it with a
    /// deadline.
    ///
    /// Cancel safety: may be dropped at any time.
    pub async fn wait_applied(&self, partition: Partition, offset: Offset) -> bool {
        let watched = {
            let all = self.0.partitions.lock();
            let one = all.iter().find(|t| t.partition == partition);
            one.map(|t| t.applied.subscribe())
        };
        match watched {
            Some(mut applied) => applied.wait_for(|at| *at >= offset).await.is_ok(),
            None => false,
        }
    }

    /// Has what is folded written at once, without waiting for company, as long as the value is
    /// held: for those who wait for rows, of this projection or of one that follows from it.
    #[must_use]
    pub fn hurry(&self) -> Hurry {
        self.0.waiting.fetch_add(1, Ordering::AcqRel);
        self.0.hurry.notify_one();
        Hurry(Arc::clone(&self.0))
    }

    /// How far it has got in each partition that it has.
    pub fn progress(&self) -> Vec<Progress> {
        let all = self.0.partitions.lock();
        let view = |t: &Tracked| {
            let applied = *t.applied.borrow();
            Progress {
                partition: t.partition,
                applied,
                folded: t.folded,
                lag_records: t.end.0.saturating_sub(applied.0),
            }
        };
        all.iter().map(view).collect()
    }

    /// Records in the log that are not applied yet, over the partitions that it has.
    pub fn lag_records(&self) -> u64 {
        self.progress().iter().map(|p| p.lag_records).sum()
    }

    /// How it fares.
    pub fn health(&self) -> Health {
        match &*self.0.end.borrow() {
            Some(Ok(())) => return Health::Ended,
            Some(Err(stop)) => return Health::Stopped(stop.clone()),
            None => {}
        }
        if let Some(reason) = self.0.troubles.lock().values().next() {
            return Health::Retrying {
                reason: reason.clone(),
            };
        }
        if self.0.awaits.load(Ordering::Acquire) {
            return Health::CatchingUp;
        }
        let all = self.0.partitions.lock();
        match all.iter().all(|t| *t.applied.borrow() >= t.goal) {
            true => Health::CaughtUp,
            false => Health::CatchingUp,
        }
    }

    /// True when its tables hold everything that was in the log when it started, and it goes on.
    pub fn is_ready(&self) -> bool {
        matches!(self.health(), Health::CaughtUp)
    }

    /// Waits until the projection has ended, and says how.
    ///
    /// # Errors
    /// Why it stopped by itself.
    pub async fn ended(&self) -> Result<(), Stop> {
        let mut end = self.0.end.subscribe();
        match end.wait_for(Option::is_some).await {
            Ok(Some(how)) => how,
            Ok(None) | Err(_) => Ok(()),
        }
    }
}
