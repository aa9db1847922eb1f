//! One projection of a build: reads its topic along the log, folds, and writes in large sorted loads.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use infra_ports::{EventLog, LogTail, RecordBatch, Visibility};
use schemas::position::{Generation, Offset, Partition};
use schemas::topics::Topic;

use crate::engine::Ports;
use crate::engine::checkpoints::Checkpoints;
use crate::engine::chunk::{self, Chunk};
use crate::engine::config::EngineConfig;
use crate::engine::folding::Folding;
use crate::engine::projection::{Projection, Tables};
use crate::engine::remember::{Job, Writer};
use crate::engine::retry::Retry;
use crate::engine::status::Board;
use crate::engine::stop::Stop;

/// The log is read this often at most, however many states do not fit into memory.
const MAX_PASSES: usize = 16;

/// One projection of a build.
pub(super) struct Build<P: Projection> {
    pub(super) folding: Folding<P>,
    writer: Writer,
    log: Arc<dyn EventLog>,
    config: EngineConfig,
    /// Where each partition goes on and where this round ends.
    places: BTreeMap<Partition, (Offset, Offset)>,
    /// The partitions that are read now.
    pass: Vec<Partition>,
    /// Those that are read after them.
    passes: VecDeque<Vec<Partition>>,
    /// Partitions that moved since rows were last written.
    moved: BTreeMap<Partition, Offset>,
    tail: Option<Box<dyn LogTail>>,
}

impl<P: Projection> Build<P> {
    pub(super) async fn new(
        projection: P,
        ports: &Ports,
        config: &EngineConfig,
        generation: Generation,
    ) -> Result<Self, Stop> {
        let board = Arc::new(Board::new(P::NAME, &[], false));
        let retry = Retry::new(ports.runtime.clone(), board, config.first_pause, None);
        let tables = Tables {
            store: ports.store.clone(),
            generation,
            rows_per_read: config.rows_per_read,
        };
        let checkpoints = Checkpoints {
            store: ports.store.clone(),
            projection: P::NAME,
            generation,
            topic: P::ORIGIN,
            kept_in: generation,
        };
        checkpoints.prepare(&retry, P::tables()).await?;
        let (partitions, weight) = (ports.log.partitions(), config.cache_weight);
        let projection = Arc::new(projection);
        let mut folding = Folding::new(projection, tables, retry.clone(), partitions, weight);
        folding.effects.be_silent();
        Ok(Self {
            folding,
            writer: Writer {
                log: ports.log.clone(),
                store: ports.store.clone(),
                checkpoints,
                retry,
                rows_per_write: config.rows_per_write,
            },
            log: ports.log.clone(),
            config: config.clone(),
            places: BTreeMap::new(),
            pass: Vec::new(),
            passes: VecDeque::new(),
            moved: BTreeMap::new(),
            tail: None,
        })
    }

    /// Sets out from the checkpoints to these ends, in passes: each reads some partitions, few enough
    /// that the states of a new build are all at hand while it lasts. What is not at hand is loaded
    /// for every record, which takes far longer than reading the log again.
    pub(super) async fn set_out(&mut self, ends: &[(Partition, Offset)]) -> Result<(), Stop> {
        for (partition, end) in ends {
            let retry = &self.writer.retry;
            let next = self.writer.checkpoints.read(retry, *partition).await?;
            self.places.insert(*partition, (next, *end));
        }
        let mut firsts = self.places.values().map(|(next, _)| *next);
        if firsts.all(|next| next == Offset(0)) {
            self.folding.expect_nothing().await?;
        }
        let left = |(next, end): &(Offset, Offset)| end.0.saturating_sub(next.0);
        let left: Vec<_> = self
            .places
            .iter()
            .map(|(p, place)| (*p, left(place)))
            .collect();
        self.passes = in_passes(&left, self.config.cache_weight);
        Ok(())
    }

    /// Goes on to the next pass, when there is one. All that was folded must be written.
    pub(super) fn next_pass(&mut self) -> bool {
        self.tail = None;
        self.pass = self.passes.pop_front().unwrap_or_default();
        self.folding.next_pass();
        !self.pass.is_empty()
    }

    /// Reads and decodes what comes next, in the log's own order; none when the ends are reached.
    pub(super) async fn read(&mut self) -> Result<Option<Chunk<P::Event>>, Stop> {
        while self.unfinished().next().is_some() {
            let batches = self.read_on().await?;
            let batches = self.within(batches);
            if batches.is_empty() {
                continue;
            }
            let partitions = self.log.partitions();
            let projection = self.folding.projection();
            return chunk::decode(projection, partitions, batches).map(Some);
        }
        Ok(None)
    }

    /// Reads along the chain: partition by partition it would be read once for each of them.
    async fn read_on(&mut self) -> Result<Vec<RecordBatch>, Stop> {
        loop {
            let mut tail = match self.tail.take() {
                Some(tail) => tail,
                None => self.open_tail().await?,
            };
            match tail.next(self.config.rebuild_chunk_records.max(1)).await {
                Ok(batches) => {
                    self.tail = Some(tail);
                    return Ok(batches);
                }
                Err(error) if error.is_retryable() => {
                    self.writer
                        .retry
                        .pause_after("read the log", &error)
                        .await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Where the partitions of this pass go on.
    fn unfinished(&self) -> impl Iterator<Item = (Partition, Offset)> {
        let pass = self.pass.iter();
        let places = pass.filter_map(|p| Some((*p, *self.places.get(p)?)));
        places.filter_map(|(p, (next, end))| (next < end).then_some((p, next)))
    }

    async fn open_tail(&mut self) -> Result<Box<dyn LogTail>, Stop> {
        let from: Vec<_> = self.unfinished().collect();
        let (log, retry) = (&self.log, &self.writer.retry);
        let open = || log.tail(P::ORIGIN, from.clone(), Visibility::Durable);
        retry.run("tail the log", open).await
    }

    /// What of it lies below the ends; notes how far it goes.
    fn within(&mut self, mut batches: Vec<RecordBatch>) -> Vec<RecordBatch> {
        for batch in &mut batches {
            let Some((next, end)) = self.places.get_mut(&batch.partition) else {
                batch.records.clear();
                continue;
            };
            batch.records.retain(|record| record.offset < *end);
            if let Some(last) = batch.records.last() {
                *next = last.offset.next();
                self.moved.insert(batch.partition, *next);
            }
        }
        batches.retain(|batch| !batch.records.is_empty());
        batches
    }

    pub(super) async fn fold(&mut self, chunk: &Chunk<P::Event>) -> Result<(), Stop> {
        // Nobody is told anything, so it is all folded.
        let folded = self.folding.fold(&chunk.records, &BTreeMap::new()).await;
        folded.map(drop)
    }

    /// True when enough has gathered to be written.
    pub(super) fn is_full(&self) -> bool {
        let much = self.folding.gathered_bytes() >= self.config.rebuild_bytes;
        much || self.folding.has_large_state()
    }

    /// Writes everything that has gathered, and `also` as checkpoints.
    pub(super) async fn write(&mut self, also: Vec<(Partition, Offset)>) -> Result<(), Stop> {
        let job = self.write_rows().await?;
        self.finish(job, also).await
    }

    /// Writes the rows that have gathered; the states and the checkpoint are for [`Self::finish`].
    pub(super) async fn write_rows(&mut self) -> Result<Job, Stop> {
        let (number, memory) = self.folding.hand_over();
        let mut job = Job {
            number,
            emitted: false,
            memory,
            next: std::mem::take(&mut self.moved).into_iter().collect(),
        };
        let rows = std::mem::take(&mut job.memory.rows);
        self.writer.load(&rows).await?;
        Ok(job)
    }

    /// Writes states and checkpoint of a job whose rows are written, and `also` as checkpoints.
    pub(super) async fn finish(
        &mut self,
        mut job: Job,
        also: Vec<(Partition, Offset)>,
    ) -> Result<(), Stop> {
        let states: Vec<_> = std::mem::take(&mut job.memory.states)
            .into_iter()
            .flatten()
            .collect();
        self.writer.load(&states).await?;
        job.next.extend(also);
        let done = self.writer.remember(job).await?;
        self.folding.written(done.number);
        Ok(())
    }

    /// The ends, when they are reached.
    pub(super) fn reached(&self) -> impl Iterator<Item = (Topic, Partition, Offset)> {
        let places = self.places.iter();
        places.map(|(partition, (_, end))| (P::ORIGIN, *partition, *end))
    }
}

/// Partitions with so many records left, in as few passes as keep each to so many records; none of
/// them with nothing left.
fn in_passes(left: &[(Partition, u64)], records: usize) -> VecDeque<Vec<Partition>> {
    let all: u64 = left.iter().map(|(_, records)| records).sum();
    let fewest = all.div_ceil(MAX_PASSES as u64);
    let most = fewest.max(records as u64);
    let mut passes = VecDeque::<Vec<Partition>>::new();
    let mut filled = most;
    for (partition, records) in left.iter().filter(|(_, records)| *records > 0) {
        match passes.back_mut() {
            Some(pass) if filled + records <= most => pass.push(*partition),
            Some(_) | None => {
                passes.push_back(vec![*partition]);
                filled = 0;
            }
        }
        filled += records;
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(left: &[u64], records: usize) -> Vec<Vec<u32>> {
        let left = (0..).map(Partition).zip(left.iter().copied());
        let passes = in_passes(&left.collect::<Vec<_>>(), records);
        let numbers = |pass: Vec<Partition>| pass.into_iter().map(|p| p.0).collect();
        passes.into_iter().map(numbers).collect()
    }

    #[test]
    fn a_pass_has_as_many_partitions_as_their_states_may_be_at_hand() {
        assert_eq!(passes(&[4, 4, 4], 100), [[0, 1, 2]], "all at once");
        assert_eq!(
            passes(&[4, 0, 4, 4, 9, 1], 8),
            [vec![0, 2], vec![3], vec![4], vec![5]]
        );
        assert!(passes(&[0, 0], 8).is_empty(), "nothing is left to be read");
    }

    #[test]
    fn however_little_may_be_at_hand_the_log_is_not_read_for_each_partition() {
        let passes = passes(&[10; 64], 0);
        assert_eq!(passes.len(), MAX_PASSES);
        assert_eq!(passes.concat(), (0..64).collect::<Vec<_>>());
    }
}
