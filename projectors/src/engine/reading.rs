//! Where an instance reads: the partitions that are its, from their checkpoints on, and after a
//! failed read from where folding stopped.

use infra_ports::groups::{Change, GroupError};
use infra_ports::{LogError, LogTail, Visibility};
use schemas::position::{Offset, Partition};

use super::instance::Instance;
use super::projection::Projection;
use super::stop::Stop;

/// A tail of the partitions that are the instance's; none while there are none.
pub(super) type Tail = Option<Box<dyn LogTail>>;

impl<P: Projection> Instance<P> {
    /// Prepares the tables, and takes up every partition or joins the group that says which.
    pub(super) async fn set_out(&mut self) -> Result<(), Stop> {
        self.checkpoints.prepare(&self.retry, P::tables()).await?;
        let settled = self.checkpoints.settle::<P>(&self.retry, self.log.as_ref());
        settled.await?;
        if self.membership.is_shared() {
            return self.membership.join(&self.retry).await;
        }
        for partition in (0..self.log.partitions()).map(Partition) {
            self.take_up(partition).await?;
        }
        if self.place.folded.values().all(|next| *next == Offset(0)) {
            self.folding.expect_nothing().await?;
        }
        Ok(())
    }

    /// Reads the checkpoint of a partition and compares it with what the log has.
    async fn take_up(&mut self, partition: Partition) -> Result<(), Stop> {
        if self.place.folded.contains_key(&partition) {
            // Its states are at hand, and may be ahead of the checkpoint.
            return Ok(());
        }
        let checkpoint = self.checkpoints.read(&self.retry, partition).await?;
        let log = &*self.log;
        let positions = move || log.positions(P::ORIGIN, partition);
        let ends = self.retry.run("read positions", positions).await?;
        if checkpoint < ends.first || checkpoint > ends.durable_end {
            return Err(Stop::RebuildRequired {
                topic: P::ORIGIN,
                partition,
                checkpoint,
                first: ends.first,
                end: ends.durable_end,
            });
        }
        self.place.folded.insert(partition, checkpoint);
        self.place.written.insert(partition, checkpoint);
        let goal = ends.durable_end;
        self.board.taken_up(partition, checkpoint, goal);
        Ok(())
    }

    /// Does what a change of the group asks for. The tail has to be opened anew.
    pub(super) async fn follow(&mut self, change: Result<Change, GroupError>) -> Result<(), Stop> {
        let projection = P::NAME;
        match change {
            Ok(Change::Given(given)) => {
                tracing::info!(projection, partitions = ?numbers(&given), "given");
                for partition in given {
                    self.take_up(partition).await?;
                }
                self.board.given();
                Ok(())
            }
            Ok(Change::Taken(taken)) => {
                self.finish().await?;
                self.let_go(&taken);
                self.membership.release(&self.retry, &taken).await?;
                tracing::info!(projection, partitions = ?numbers(&taken), "let go");
                Ok(())
            }
            Ok(Change::Lost(lost)) => {
                tracing::warn!(projection, partitions = ?numbers(&lost), "lost");
                self.lose(&lost).await
            }
            Err(error) if error.is_retryable() => {
                let all: Vec<Partition> = self.place.folded.keys().copied().collect();
                self.lose(&all).await?;
                self.retry.pause_after("stay in a group", &error).await?;
                self.membership.join(&self.retry).await?;
                self.board.recovered();
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Partitions of which everything is written are no longer the instance's.
    fn let_go(&mut self, partitions: &[Partition]) {
        self.folding.forget(partitions);
        for partition in partitions {
            self.place.folded.remove(partition);
            self.place.written.remove(partition);
            self.place.moved.remove(partition);
        }
        self.board.let_go(partitions);
    }

    /// Partitions are another's already: of what is folded nothing more is handed to the writer. What
    /// it has is waited for, so that no state is loaded while it is being written. Partitions that
    /// stay are folded again from where they are written.
    async fn lose(&mut self, lost: &[Partition]) -> Result<(), Stop> {
        self.wait_for_the_writer().await?;
        self.folding.start_over();
        self.place.moved.clear();
        self.place.gathered = 0;
        self.place.emitted = false;
        self.place.folded.clone_from(&self.place.written);
        self.membership.forget(lost);
        self.let_go(lost);
        Ok(())
    }

    pub(super) async fn tail(&self) -> Result<Tail, Stop> {
        let folded = self.place.folded.iter();
        let from: Vec<(Partition, Offset)> = folded.map(|(p, o)| (*p, *o)).collect();
        if from.is_empty() {
            return Ok(None);
        }
        let log = &*self.log;
        let tail = move || log.tail(P::ORIGIN, from.clone(), Visibility::Durable);
        self.retry.run("tail the log", tail).await.map(Some)
    }

    /// After a failed read: from where folding stopped, nothing twice and nothing left out.
    pub(super) async fn tail_again(&self, error: LogError) -> Result<Tail, Stop> {
        if let LogError::OutOfRange {
            topic,
            partition,
            asked,
            first,
        } = error
        {
            return Err(Stop::RebuildRequired {
                topic,
                partition,
                checkpoint: asked,
                first,
                end: first,
            });
        }
        if !error.is_retryable() {
            return Err(error.into());
        }
        self.retry.pause_after("read the log", &error).await?;
        let tail = self.tail().await;
        self.board.recovered();
        tail
    }
}

fn numbers(partitions: &[Partition]) -> Vec<u32> {
    partitions.iter().map(|partition| partition.0).collect()
}
