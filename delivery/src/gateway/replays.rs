//! Reading `users` again for sessions whose inbox lags: one reader a partition for all who wait for
//! it, however many come back at once.
//!
//! ```text
//!  users ────┬──────────────┬─────────────────────┬──────▶
//!     the inbox is here     │           told from here on
//!  ada       next ─────────────────────────────▶ to
//!  bob       │              next ──────────────▶ to
//!            └─ chunk ──────┴─ chunk ─ …   each is read once, and gives each what is theirs
//! ```
//!
//! The reader goes on from chunk to chunk while somebody needs the next one; who came too late for
//! what was read is served by another pass after that. It ends when nobody waits any more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use infra_ports::runtime::let_others_run;
use infra_ports::{EventLog, LogError, Record, Runtime, Visibility};
use parking_lot::Mutex;
use schemas::avro::LogEvent;
use schemas::events::{EntryTold, UserEvent};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;
use tokio::sync::{Notify, oneshot};

use super::session::Head;

/// Records read from `users` at once.
pub(super) const CHUNK: usize = 1_000;

/// The newest place that a user sees, by chat.
pub(crate) type Heads = BTreeMap<ChatId, Head>;

/// Somebody for whom a stretch of a partition is read.
struct Waiter {
    user: UserId,
    /// They were given everything from where they began up to here.
    next: Offset,
    to: Offset,
    heads: Heads,
    tell: oneshot::Sender<Result<Heads, LogError>>,
}

impl Waiter {
    fn lacks(&self, offset: Offset) -> bool {
        self.next <= offset && offset < self.to
    }

    fn is_through(&self) -> bool {
        self.next >= self.to
    }
}

/// All who wait for one partition. It is there as long as its reader is.
#[derive(Default)]
struct Waiting {
    waiters: BTreeMap<u64, Waiter>,
    /// Looked up by name only.
    by_user: HashMap<UserId, Vec<u64>, ahash::RandomState>,
    /// Where the next chunk begins if somebody needs it.
    at: Offset,
    /// Rings when the last one has left.
    left: Arc<Notify>,
}

impl Waiting {
    fn enter(&mut self, number: u64, waiter: Waiter) {
        let user = waiter.user.clone();
        self.by_user.entry(user).or_default().push(number);
        self.waiters.insert(number, waiter);
    }

    fn leave(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&number)?;
        if let Some(theirs) = self.by_user.get_mut(&waiter.user) {
            theirs.retain(|other| *other != number);
            if theirs.is_empty() {
                self.by_user.remove(&waiter.user);
            }
        }
        Some(waiter)
    }

    /// The next chunk that somebody needs, and how many records of it: goes on where the last one
    /// ended as long as it can. Those who come meanwhile would else keep it at the beginning for ever.
    fn next_chunk(&mut self) -> Option<(Offset, usize)> {
        let goes_on = self.waiters.values().any(|waiter| waiter.next == self.at);
        if !goes_on {
            self.at = self.waiters.values().map(|waiter| waiter.next).min()?;
        }
        let here = self.waiters.values().filter(|w| w.next == self.at);
        let end = here.map(|waiter| waiter.to).max()?;
        let left = usize::try_from(end.0.saturating_sub(self.at.0)).unwrap_or(CHUNK);
        Some((self.at, left.min(CHUNK)))
    }

    /// Everything from where the chunk began up to `end` was read, and this was in it.
    fn hand_out(&mut self, told: &[(Offset, EntryTold)], end: Offset) {
        for (offset, told) in told {
            let head = Head {
                seq: told.seq,
                at: told.at,
                origin: told.origin,
            };
            for user in &told.recipients {
                for number in self.by_user.get(user).into_iter().flatten() {
                    let waiter = self.waiters.get_mut(number);
                    if let Some(waiter) = waiter.filter(|waiter| waiter.lacks(*offset)) {
                        let known = waiter.heads.entry(told.chat.clone()).or_default();
                        known.raise(head);
                    }
                }
            }
        }
        self.pass(end);
    }

    /// Goes on at `end`; who needs nothing beyond has all that they wait for.
    fn pass(&mut self, end: Offset) {
        let stretch = self.at..=end;
        for waiter in self.waiters.values_mut() {
            if stretch.contains(&waiter.next) {
                waiter.next = end;
            }
        }
        self.at = end;
        let through = self.waiters.iter().filter(|(_, w)| w.is_through());
        let through: Vec<u64> = through.map(|(number, _)| *number).collect();
        for waiter in through.into_iter().filter_map(|n| self.leave(n)) {
            // Who has left meanwhile needs nothing.
            waiter.tell.send(Ok(waiter.heads)).ok();
        }
    }
}

/// The readers of a gateway.
pub(crate) struct Replays {
    log: Arc<dyn EventLog>,
    runtime: Arc<dyn Runtime>,
    partitions: Mutex<BTreeMap<Partition, Waiting>>,
    /// Never used again: who leaves late must not take the place of somebody else.
    numbers: AtomicU64,
}

/// A place among those who wait, left when dropped.
struct Place<'a> {
    replays: &'a Replays,
    partition: Partition,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut partitions = self.replays.partitions.lock();
        let Some(waiting) = partitions.get_mut(&self.partition) else {
            return;
        };
        let waiter = waiting.leave(self.number);
        if waiter.is_some() && waiting.waiters.is_empty() {
            waiting.left.notify_one();
        }
    }
}

impl Replays {
    pub(super) fn new(log: Arc<dyn EventLog>, runtime: Arc<dyn Runtime>) -> Arc<Self> {
        Arc::new(Self {
            log,
            runtime,
            partitions: Mutex::default(),
            numbers: AtomicU64::new(0),
        })
    }

    /// The newest place of each chat of which a user is told in `users` from `from` up to `to`. What
    /// the log does not keep any more is left out.
    ///
    /// Cancel safety: who stops waiting is not read for.
    ///
    /// # Errors
    /// When the log cannot be read; to be asked again later.
    pub(crate) async fn heads(
        self: &Arc<Self>,
        user: &UserId,
        partition: Partition,
        (from, to): (Offset, Offset),
    ) -> Result<Heads, LogError> {
        if from >= to {
            return Ok(Heads::new());
        }
        let (tell, told) = oneshot::channel();
        let number = self.enter(
            partition,
            Waiter {
                user: user.clone(),
                next: from,
                to,
                heads: Heads::new(),
                tell,
            },
        );
        let _place = Place {
            replays: self,
            partition,
            number,
        };
        let lost = || LogError::Unavailable("its reader was lost".to_owned());
        told.await.unwrap_or_else(|_| Err(lost()))
    }

    fn enter(self: &Arc<Self>, partition: Partition, waiter: Waiter) -> u64 {
        let mut partitions = self.partitions.lock();
        let has_reader = partitions.contains_key(&partition);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        partitions
            .entry(partition)
            .or_default()
            .enter(number, waiter);
        drop(partitions);
        if !has_reader {
            tracing::info!(%partition, "the inbox lags, users is read for those who resume");
            let reader = Reader {
                replays: Arc::clone(self),
                partition,
                is_through: false,
            };
            self.runtime.spawn("replay", Box::pin(reader.run()));
        }
        number
    }
}

/// Reads one partition for all who wait for it.
struct Reader {
    replays: Arc<Replays>,
    partition: Partition,
    /// It has no place any more: another one may have it already.
    is_through: bool,
}

/// Whatever else ends a reader ends the waiting of those who are left.
impl Drop for Reader {
    fn drop(&mut self) {
        if !self.is_through {
            // Not under the lock: who waits is woken by this.
            let left = self.replays.partitions.lock().remove(&self.partition);
            drop(left);
        }
    }
}

impl Reader {
    async fn run(mut self) {
        while let Some((at, records, left)) = self.next_chunk() {
            let (log, visibility) = (&self.replays.log, Visibility::Appended);
            let read = tokio::select! {
                biased;
                read = log.read(Topic::Users, self.partition, at, records, visibility) => read,
                () = left.notified() => continue,
            };
            self.take(at, read);
            // A log that has everything at hand would keep this thread.
            let_others_run().await;
        }
    }

    /// What is to be read next; none, and the reader's place is given up, when nobody waits.
    fn next_chunk(&mut self) -> Option<(Offset, usize, Arc<Notify>)> {
        let mut partitions = self.replays.partitions.lock();
        let waiting = partitions.get_mut(&self.partition)?;
        let Some((at, records)) = waiting.next_chunk() else {
            partitions.remove(&self.partition);
            self.is_through = true;
            return None;
        };
        Some((at, records, Arc::clone(&waiting.left)))
    }

    fn take(&self, at: Offset, read: Result<Vec<Record>, LogError>) {
        let (told, end) = match read {
            Ok(records) => match records.last() {
                Some(last) => (entries(&records), last.offset.next()),
                None => return self.fail(&LogError::Unavailable(format!("it ends at {at}"))),
            },
            // Retention was faster. What it took is in the inbox, or nowhere.
            Err(LogError::OutOfRange { first, .. }) if first > at => (Vec::new(), first),
            Err(error) => return self.fail(&error),
        };
        let mut partitions = self.replays.partitions.lock();
        if let Some(waiting) = partitions.get_mut(&self.partition) {
            waiting.hand_out(&told, end);
        }
    }

    /// Those who wait are told so, and decide themselves whether to ask again.
    fn fail(&self, error: &LogError) {
        tracing::warn!(partition = %self.partition, %error, "users cannot be read for those who resume");
        let waiters = {
            let mut partitions = self.replays.partitions.lock();
            let Some(waiting) = partitions.get_mut(&self.partition) else {
                return;
            };
            waiting.by_user.clear();
            std::mem::take(&mut waiting.waiters)
        };
        for waiter in waiters.into_values() {
            // Who has left meanwhile need not know.
            waiter.tell.send(Err(error.clone())).ok();
        }
    }
}

/// The entries among records. What cannot be read the worker has counted.
fn entries(records: &[Record]) -> Vec<(Offset, EntryTold)> {
    let told = records.iter().filter_map(|record| {
        let Ok(UserEvent::EntryTold(told)) = UserEvent::decode(&record.value) else {
            return None;
        };
        Some((record.offset, told))
    });
    told.collect()
}

#[cfg(test)]
mod tests;
