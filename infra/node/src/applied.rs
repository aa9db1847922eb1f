//! How far projections of other processes are, as their checkpoints in the store say: what a gateway
//! waits for that runs none itself.
//!
//! The store is asked only while somebody waits, once for all who wait for a projection, at first after
//! two milliseconds and then at growing pauses. A checkpoint is written after the rows that it speaks
//! of, so what it says holds; it may be a moment late.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use compact_str::CompactString;
use infra_ports::store::{ScanRange, TableStoreExt};
use infra_ports::{Runtime, StoreError, TableStore, watch};
use parking_lot::Mutex;
use projectors::engine::checkpoints::NO_BUILD;
use schemas::position::{Generation, Offset, Partition};
use schemas::tables::{CheckpointPartition, CheckpointRow};
use tokio::sync::Notify;

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(64);
/// Checkpoints of a projection, at most: one a partition.
const MOST_CHECKPOINTS: usize = 65_536;

type Places = BTreeMap<(&'static str, Partition), Offset>;

/// How far a projection of a generation is, in each partition of which that is known.
pub(crate) async fn checkpoints(
    store: &dyn TableStore,
    projection: &'static str,
    generation: Generation,
) -> Result<Vec<(Partition, Offset)>, StoreError> {
    let partition = CheckpointPartition {
        projection: CompactString::const_new(projection),
        generation,
    };
    let all = ScanRange {
        limit: MOST_CHECKPOINTS,
        ..ScanRange::default()
    };
    let rows = store.scan_rows::<CheckpointRow>(NO_BUILD, &partition, all);
    let rows = rows.await?.into_iter();
    Ok(rows.map(|row| (row.partition, row.offset)).collect())
}

/// Progress of projections, read from the store.
pub struct AppliedInStore {
    store: Arc<dyn TableStore>,
    runtime: Arc<dyn Runtime>,
    generation: Generation,
    /// What was read last.
    seen: watch::Sender<Places>,
    /// How many wait, by projection.
    waiting: Mutex<BTreeMap<&'static str, usize>>,
    /// Rings when somebody begins to wait, and at the end.
    asked: Arc<Notify>,
}

impl Drop for AppliedInStore {
    fn drop(&mut self) {
        self.asked.notify_one();
    }
}

/// Somebody who waits, as long as it is held.
struct Waits<'a>(&'a AppliedInStore, &'static str);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0.waiting.lock().get_mut(self.1) {
            *count -= 1;
        }
    }
}

impl AppliedInStore {
    /// Begins to read when somebody waits for the first time, and ends when it is dropped.
    pub fn start(
        store: Arc<dyn TableStore>,
        runtime: Arc<dyn Runtime>,
        generation: Generation,
    ) -> Arc<Self> {
        let applied = Arc::new(Self {
            store,
            runtime,
            generation,
            seen: watch::Sender::new(Places::new()),
            waiting: Mutex::default(),
            asked: Arc::default(),
        });
        let (one, asked) = (Arc::downgrade(&applied), Arc::clone(&applied.asked));
        let reads = Self::read_for_those_who_wait(one, asked);
        applied.runtime.spawn("applied", Box::pin(reads));
        applied
    }

    async fn read_for_those_who_wait(one: Weak<Self>, asked: Arc<Notify>) {
        let mut pause = FIRST_PAUSE;
        while let Some(applied) = one.upgrade() {
            let waited_for = applied.waited_for();
            if waited_for.is_empty() {
                drop(applied);
                asked.notified().await;
                pause = FIRST_PAUSE;
                continue;
            }
            for projection in waited_for {
                match applied.read(projection).await {
                    Ok(true) => pause = FIRST_PAUSE,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::debug!(%error, projection, "its checkpoints cannot be read");
                    }
                }
            }
            let rest = applied.runtime.sleep(pause);
            drop(applied);
            rest.await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn waited_for(&self) -> Vec<&'static str> {
        let waiting = self.waiting.lock();
        let some = waiting.iter().filter(|(_, count)| **count > 0);
        some.map(|(projection, _)| *projection).collect()
    }

    /// Reads a projection's checkpoints; true when it got on.
    async fn read(&self, projection: &'static str) -> Result<bool, StoreError> {
        let read = checkpoints(&*self.store, projection, self.generation).await?;
        let mut seen = self.seen.borrow().clone();
        let mut got_on = false;
        for (partition, offset) in read {
            let place = seen.entry((projection, partition)).or_default();
            got_on |= offset > *place;
            *place = offset.max(*place);
        }
        self.seen.send_replace(seen);
        Ok(got_on)
    }

    fn wait(&self, projection: &'static str) -> Waits<'_> {
        *self.waiting.lock().entry(projection).or_default() += 1;
        self.asked.notify_one();
        Waits(self, projection)
    }
}

#[async_trait]
impl delivery::Applied for AppliedInStore {
    fn applied(&self, projection: &'static str, partition: Partition) -> Offset {
        let seen = self.seen.borrow();
        seen.get(&(projection, partition))
            .copied()
            .unwrap_or_default()
    }

    async fn wait_applied(
        &self,
        projection: &'static str,
        partition: Partition,
        offset: Offset,
        timeout: Duration,
    ) -> bool {
        if self.applied(projection, partition) >= offset {
            return true;
        }
        let _waits = self.wait(projection);
        let mut news = self.seen.subscribe();
        let place = (projection, partition);
        tokio::select! {
            biased;
            seen = news.wait_for(|seen| seen.get(&place).is_some_and(|at| *at >= offset)) => {
                seen.is_ok()
            }
            () = self.runtime.sleep(timeout) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use delivery::Applied;
    use infra_ports::Mutation;
    use infra_ports::memory::{Chances, Executor, Halt, MemoryStore, Node};
    use schemas::position::Version;
    use schemas::tables::Table;

    use super::*;

    const GENERATION: Generation = Generation(1);

    fn checkpoint(partition: u32, offset: u64) -> Mutation {
        let row = CheckpointRow {
            projection: CompactString::const_new("inbox"),
            generation: GENERATION,
            topic: CompactString::const_new("users"),
            partition: Partition(partition),
            offset: Offset(offset),
        };
        Mutation::put(NO_BUILD, &row, Version(offset))
    }

    #[test]
    fn who_waits_hears_of_checkpoints_that_others_write_and_nobody_reads_when_nobody_waits() {
        let mut executor = Executor::seeded(1, Chances::CALM);
        let runtime: Arc<dyn Runtime> = Arc::new(executor.runtime(Node(1)));
        let store = MemoryStore::new();
        let applied = AppliedInStore::start(Arc::new(store.clone()), runtime, GENERATION);
        assert_eq!(executor.run_until(|| false), Halt::Idle, "nobody waits");
        let (asked, written) = (Arc::clone(&applied), store.clone());
        let test = async move {
            let common: &'static [_] = &[CheckpointRow::DEF];
            written.create_tables(common, NO_BUILD).await.unwrap();
            written.write(vec![checkpoint(3, 7)]).await.unwrap();
            let within = Duration::from_secs(2);
            assert!(
                asked
                    .wait_applied("inbox", Partition(3), Offset(7), within)
                    .await
            );
            assert_eq!(asked.applied("inbox", Partition(3)), Offset(7));
            let later = asked.wait_applied("inbox", Partition(3), Offset(9), within);
            let write = written.write(vec![checkpoint(3, 9)]);
            let (heard, written) = tokio::join!(later, write);
            written.unwrap();
            assert!(heard);
            let never = asked.wait_applied("inbox", Partition(4), Offset(1), within);
            assert!(!never.await, "time is over");
            assert_eq!(asked.applied("inbox", Partition(4)), Offset(0));
        };
        executor.block_on(Node(1), test).unwrap();
        assert_eq!(
            executor.run_until(|| false),
            Halt::Idle,
            "nobody waits any more"
        );
        let reader = Arc::downgrade(&applied.asked);
        drop(applied);
        assert_eq!(executor.run_until(|| false), Halt::Idle);
        assert_eq!(reader.strong_count(), 0, "nobody can wait any more");
    }
}
