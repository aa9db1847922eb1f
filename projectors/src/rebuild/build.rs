//! One projection of a build: reads its topic along the log, folds, and writes in large sorted loads.

use std::collections::BTreeMap;
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

/// One projection of a build.
pub(super) struct Build<P: Projection> {
    pub(super) folding: Folding<P>,
    writer: Writer,
    log: Arc<dyn EventLog>,
    config: EngineConfig,
    /// Where each partition goes on and where this round ends.
    places: BTreeMap<Partition, (Offset, Offset)>,
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
        let board = Arc::new(Board::new(P::NAME, &[]));
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
            moved: BTreeMap::new(),
            tail: None,
        })
    }

    /// The present durable ends of the topic.
    pub(super) async fn durable_ends(&mut self) -> Result<Vec<(Partition, Offset)>, Stop> {
        let mut ends = Vec::new();
        for partition in (0..self.log.partitions()).map(Partition) {
            let (log, retry) = (&self.log, &self.writer.retry);
            let positions = || log.positions(P::ORIGIN, partition);
            let found = retry.run("read positions", positions).await?;
            ends.push((partition, found.durable_end));
        }
        Ok(ends)
    }

    /// Sets out from the checkpoints to these ends.
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
        Ok(())
    }

    /// Reads and decodes what comes next, in the log's own order; none when the ends are reached.
    pub(super) async fn read(&mut self) -> Result<Option<Chunk<P::Event>>, Stop> {
        while self.places.values().any(|(next, end)| next < end) {
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

    async fn open_tail(&mut self) -> Result<Box<dyn LogTail>, Stop> {
        let unfinished = self.places.iter().filter(|(_, (next, end))| next < end);
        let from: Vec<_> = unfinished.map(|(p, (next, _))| (*p, *next)).collect();
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
        self.folding.fold(chunk, &BTreeMap::new()).await
    }

    /// True when enough has gathered to be written.
    pub(super) fn is_full(&self) -> bool {
        self.folding.gathered_bytes() >= self.config.rebuild_bytes
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
