//! The loop of a projection: read what waits, fold it, append what follows from it at once, and
//! have it remembered beside.
//!
//! One task on a thread of its own folds and emits, and reads on while what it told is being appended; a
//! second one remembers what was told in full. At most one job is being remembered while the next one
//! gathers; when too much has gathered or is on its way, reading waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use infra_ports::groups::{Change, GroupError};
use infra_ports::runtime::let_others_run;
use infra_ports::{BoxFuture, EventLog, LogError, RecordBatch, Runtime, watch};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;
use tokio::sync::mpsc;
use tracing::{Instrument, Span};

use super::checkpoints::Checkpoints;
use super::chunk::{self, Chunk};
use super::config::EngineConfig;
use super::emitting::{Appended, Emitting};
use super::folding::Folding;
use super::membership::Membership;
use super::projection::Projection;
use super::reading::Tail;
use super::remember::{Done, Job};
use super::retry::Retry;
use super::status::Board;
use super::stop::Stop;
use crate::metrics::Counts;

/// How often the log is asked for its ends, for the lag, and the group told how far it is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Bytes of rows and touched states, about, that may wait for the writer, which may have as much again;
/// beyond, reading waits.
const GATHERED_BYTES: usize = 64 << 20;

/// One running projection over the partitions of its topic that are its now.
pub(crate) struct Instance<P: Projection> {
    pub(crate) folding: Folding<P>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) board: Arc<Board>,
    pub(crate) config: EngineConfig,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) retry: Retry,
    pub(crate) emitting: Emitting,
    pub(crate) membership: Membership,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) jobs: mpsc::Sender<Job>,
    pub(crate) done: mpsc::Receiver<Result<Done, Stop>>,
    pub(crate) place: Places,
    pub(crate) counts: Counts,
    /// The log is being asked for its ends.
    pub(crate) looking: Arc<AtomicBool>,
}

/// Where the loop stands.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// The offset to fold next.
    pub(super) folded: BTreeMap<Partition, Offset>,
    /// Everything below is written.
    pub(super) written: BTreeMap<Partition, Offset>,
    /// Partitions that moved since the last job.
    pub(super) moved: BTreeMap<Partition, Offset>,
    /// Records folded and not handed over.
    pub(super) gathered: usize,
    /// Users were told something since the last job.
    pub(super) emitted: bool,
    /// A job that waits until all before this chunk is told.
    pub(super) waiting: Option<(u64, Job)>,
    /// A job waits for that, or is being remembered.
    pub(super) under_way: bool,
    /// The records of the last job, and when it was handed over.
    pub(super) submitted: (usize, Duration),
}

/// What the loop was woken by.
enum Woken {
    ToldToStop,
    Changed(Result<Change, GroupError>),
    Remembered(Option<Result<Done, Stop>>),
    Appended(Result<Appended, Stop>),
    Due,
    Look,
    Read(Result<Vec<RecordBatch>, LogError>),
}

/// The span of a chunk, with the place of its first record.
fn span_of<P: Projection>(batches: &[RecordBatch]) -> Span {
    let first = batches.first();
    let partition = first.map(|batch| batch.partition.0);
    let offset = first.and_then(|batch| Some(batch.records.first()?.offset.0));
    let records: usize = batches.iter().map(|batch| batch.records.len()).sum();
    let topic = P::ORIGIN.name();
    tracing::debug_span!(
        "fold",
        projection = P::NAME,
        topic,
        partition,
        offset,
        records
    )
}

impl<P: Projection> Instance<P> {
    /// Runs until told to stop or until it must.
    pub(crate) async fn run(mut self) -> Result<(), Stop> {
        self.set_out().await?;
        let mut tail = self.tail().await?;
        let mut due: Option<BoxFuture<'static, ()>> = None;
        let mut look = self.runtime.sleep(LOOK_EVERY);
        loop {
            if due.is_none() && self.may_submit() {
                due = Some(self.linger());
            }
            match self.woken(&mut tail, &mut due, &mut look).await {
                Woken::ToldToStop => return self.end().await,
                Woken::Changed(change) => {
                    due = None;
                    self.follow(change, &mut tail).await?;
                }
                Woken::Remembered(done) => self.remembered(done)?,
                Woken::Appended(appended) => {
                    self.appended(appended?).await?;
                    self.take_note().await?;
                }
                Woken::Due => {
                    due = None;
                    self.submit().await?;
                }
                Woken::Look => {
                    self.look();
                    look = self.runtime.sleep(LOOK_EVERY);
                }
                Woken::Read(Ok(batches)) => {
                    let span = span_of::<P>(&batches);
                    self.take_in(batches).instrument(span).await?;
                    if self.place.gathered >= self.config.job_records && !self.place.under_way {
                        due = None;
                        self.submit().await?;
                    }
                }
                Woken::Read(Err(error)) => tail = self.tail_again(error).await?,
            }
        }
    }

    /// True when folded records wait and the writer is free.
    fn may_submit(&self) -> bool {
        self.place.gathered > 0 && !self.place.under_way
    }

    /// How long folded records wait for company: not at all while somebody waits for their rows.
    fn linger(&self) -> BoxFuture<'static, ()> {
        match self.board.is_hurried() {
            true => Box::pin(std::future::ready(())),
            false => self.runtime.sleep(self.config.linger),
        }
    }

    async fn woken(
        &mut self,
        tail: &mut Tail,
        due: &mut Option<BoxFuture<'static, ()>>,
        look: &mut BoxFuture<'static, ()>,
    ) -> Woken {
        let room = self.place.gathered < self.config.max_gathered_records
            && self.folding.gathered_bytes() < GATHERED_BYTES
            && !self.folding.has_large_state()
            && !self.emitting.is_full();
        let (is_due, may_submit) = (due.is_some(), self.may_submit());
        let is_shared = self.membership.is_shared();
        let due = async {
            if let Some(due) = due {
                due.await;
            }
        };
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop) => Woken::ToldToStop,
            change = self.membership.change(), if is_shared => Woken::Changed(change),
            done = self.done.recv(), if self.place.under_way => Woken::Remembered(done),
            appended = self.emitting.appended(), if self.emitting.is_busy() => Woken::Appended(appended),
            () = due, if is_due => Woken::Due,
            () = self.board.hurried(), if may_submit => Woken::Due,
            () = look => Woken::Look,
            read = tail.next(self.config.chunk_records), if room => Woken::Read(read),
        }
    }

    /// Folds what was read and appends what follows from it.
    async fn take_in(&mut self, batches: Vec<RecordBatch>) -> Result<(), Stop> {
        let partitions = self.log.partitions();
        let chunk = chunk::decode(self.folding.projection(), partitions, batches)?;
        self.bury(&chunk).await?;
        let (mut rest, mut took) = (&*chunk.records, Duration::ZERO);
        loop {
            let begun = self.runtime.elapsed();
            let fold = self.folding.fold(rest, &self.place.written);
            let count = self.emitting.beside(fold).await?;
            took += self.runtime.elapsed().saturating_sub(begun);
            self.emit().await?;
            rest = rest.get(count..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            while self.emitting.is_full() {
                let appended = self.emitting.appended().await?;
                self.appended(appended).await?;
            }
        }
        self.counts.folded(chunk.count, chunk.dead.len(), took);
        for (partition, next) in &chunk.next {
            self.place.folded.insert(*partition, *next);
            self.place.moved.insert(*partition, *next);
        }
        self.place.gathered += chunk.count;
        self.emitting.close(chunk.next);
        self.say_what_is_told();
        match chunk.stop {
            None => Ok(()),
            // What stands before the record that this build does not know is complete.
            Some(stop) => self.finish().await.and(Err(stop)),
        }
    }

    async fn bury(&mut self, chunk: &Chunk<P::Event>) -> Result<(), Stop> {
        let log = &*self.log;
        for (partition, letter) in &chunk.dead {
            let append = move || log.append(Topic::DeadLetters, *partition, vec![letter.clone()]);
            let append = self.retry.run("append a dead letter", append);
            self.emitting.beside(append).await?;
        }
        Ok(())
    }

    /// Tells users what follows from what was folded; where that is done at once, it is done then.
    async fn emit(&mut self) -> Result<(), Stop> {
        let told = self.folding.effects.take_told();
        if told.is_empty() {
            return Ok(());
        }
        self.place.emitted = true;
        self.emitting.tell(told);
        self.take_note().await?;
        // Whoever hands out what was appended may share this thread: before the next chunk.
        let_others_run().await;
        Ok(())
    }

    /// Takes note of everything that was appended by now.
    async fn take_note(&mut self) -> Result<(), Stop> {
        while let Some(appended) = self.emitting.appended_by_now() {
            self.appended(appended?).await?;
        }
        Ok(())
    }

    /// Everything folded is remembered, and others may have the partitions.
    async fn end(&mut self) -> Result<(), Stop> {
        self.finish().await?;
        self.membership.leave(&self.place.written).await;
        Ok(())
    }

    /// For others to see: nothing here waits for the log, which may take long to answer.
    fn look(&self) {
        if self.membership.is_idle() {
            self.board.given();
        }
        self.membership.mirror(&self.place.written);
        if self.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let (log, board) = (Arc::clone(&self.log), Arc::clone(&self.board));
        let looking = Arc::clone(&self.looking);
        let partitions: Vec<Partition> = self.place.folded.keys().copied().collect();
        let look = async move {
            if let Ok(ends) = log.positions_of(P::ORIGIN, &partitions).await {
                for (partition, ends) in partitions.iter().zip(ends) {
                    board.end_is(*partition, ends.durable_end);
                }
            }
            looking.store(false, Ordering::Release);
        };
        self.runtime.spawn("look-at-ends", Box::pin(look));
    }
}
