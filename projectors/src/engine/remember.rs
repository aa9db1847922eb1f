//! Remembering, off the path of the message: what was emitted made durable, then rows, then fold
//! states, then the checkpoint. In this order, or a crash between two of them would lose something.
//!
//! ```text
//!   sync users ─▶ rows, in small writes ─▶ fold states, one batch each ─▶ checkpoint
//! ```
//!
//! A crash at any arrow leaves a checkpoint that is too old, never one that is too new, and every
//! record applied again finds either its old state (and makes the same rows again) or a state that
//! has it already (and is skipped: what it emitted is durable).

use std::sync::Arc;

use infra_ports::store::Mutation;
use infra_ports::{EventLog, TableStore};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;
use tokio::sync::mpsc;
use tracing::Instrument;

use super::checkpoints::Checkpoints;
use super::projection::Memory;
use super::retry::Retry;
use super::stop::Stop;

/// What is to be remembered together.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) number: u64,
    /// Something was appended to `users` since the last job.
    pub(crate) emitted: bool,
    pub(crate) memory: Memory,
    /// The checkpoints that hold when it is done.
    pub(crate) next: Vec<(Partition, Offset)>,
}

/// A job that is done.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) number: u64,
    pub(crate) next: Vec<(Partition, Offset)>,
}

/// Carries out jobs, one after the other.
pub(crate) struct Writer {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) store: Arc<dyn TableStore>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) retry: Retry,
    /// Rows of one write.
    pub(crate) rows_per_write: usize,
}

impl Writer {
    /// Works until no more jobs can come, or one fails for good.
    pub(crate) async fn run(
        self,
        mut jobs: mpsc::Receiver<Job>,
        done: mpsc::Sender<Result<Done, Stop>>,
    ) {
        while let Some(job) = jobs.recv().await {
            let (projection, number) = (self.checkpoints.projection, job.number);
            let span = tracing::debug_span!("remember", projection, number);
            let outcome = self.remember(job).instrument(span).await;
            let failed = outcome.is_err();
            if done.send(outcome).await.is_err() || failed {
                return;
            }
        }
    }

    /// Carries out one job.
    pub(crate) async fn remember(&self, job: Job) -> Result<Done, Stop> {
        if job.emitted {
            let sync = || self.log.sync(Topic::Users);
            self.retry.run("sync users", sync).await?;
        }
        for rows in job.memory.rows.chunks(self.rows_per_write.max(1)) {
            self.write(rows).await?;
        }
        // Whole states only: a write is atomic within a partition, not a partition across writes.
        let mut together = Vec::new();
        for state in job.memory.states {
            together.extend(state);
            if together.len() >= self.rows_per_write {
                self.write(&together).await?;
                together.clear();
            }
        }
        self.write(&together).await?;
        self.write(&self.checkpoints.rows(&job.next)).await?;
        Ok(Done {
            number: job.number,
            next: job.next,
        })
    }

    /// Writes many rows at once.
    pub(crate) async fn load(&self, rows: &[Mutation]) -> Result<(), Stop> {
        if rows.is_empty() {
            return Ok(());
        }
        let load = || self.store.load(rows);
        self.retry.run("load rows", load).await
    }

    async fn write(&self, rows: &[Mutation]) -> Result<(), Stop> {
        if rows.is_empty() {
            return Ok(());
        }
        let write = || self.store.write(rows.to_vec());
        self.retry.run("write rows", write).await
    }
}
