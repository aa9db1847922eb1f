//! Where an instance reads: the partitions that are its, from their checkpoints on, and after a
//! failed read from where folding stopped.

use futures_util::{StreamExt, TryStreamExt, stream};
use infra_ports::groups::{Change, GroupError};
use infra_ports::{LogError, LogTail, Visibility};
use schemas::position::{Offset, Partition};

use super::checkpoints::must_be_in_the_log;
use super::instance::Instance;
use super::projection::Projection;
use super::stop::Stop;

/// Checkpoints that are read side by side.
const CHECKPOINTS_AT_ONCE: usize = 16;

/// A tail of the partitions that are the instance's. It stays when they come and go, so that nothing has to
/// be connected to first.
pub(super) type Tail = Box<dyn LogTail>;

impl<P: Projection> Instance<P> {
    /// Prepares the tables, and takes up every partition or joins the group that says which.
    pub(super) async fn set_out(&mut self) -> Result<(), Stop> {
        self.checkpoints.prepare(&self.retry, P::tables()).await?;
        let settled = self.checkpoints.settle::<P>(&self.retry, self.log.as_ref());
        settled.await?;
        if self.membership.is_shared() {
            return self.membership.join(&self.retry).await;
        }
        let all: Vec<Partition> = (0..self.log.partitions()).map(Partition).collect();
        self.take_up(&all).await?;
        if self.place.folded.values().all(|next| *next == Offset(0)) {
            self.folding.expect_nothing().await?;
        }
        Ok(())
    }

    /// Reads the checkpoints of those of these partitions that are new here, compares them with what the
    /// log has, and answers them.
    async fn take_up(
        &mut self,
        partitions: &[Partition],
    ) -> Result<Vec<(Partition, Offset)>, Stop> {
        let begun = self.runtime.elapsed();
        // The states of others are at hand, and may be ahead of the checkpoint.
        let is_new = |partition: &&Partition| !self.place.folded.contains_key(*partition);
        let new: Vec<Partition> = partitions.iter().filter(is_new).copied().collect();
        let read = |partition: &Partition| self.checkpoints.read(&self.retry, *partition);
        let read = stream::iter(new.iter().map(read)).buffered(CHECKPOINTS_AT_ONCE);
        let checkpoints: Vec<Offset> = self.emitting.beside(read.try_collect()).await?;
        // After them: who had the partition before may still be moving them.
        let (log, asked) = (&*self.log, &new);
        let positions = move || log.positions_of(P::ORIGIN, asked);
        let ends = self.retry.run("read positions", positions);
        let ends = self.emitting.beside(ends).await?;
        let taken_up: Vec<_> = new.iter().copied().zip(checkpoints).collect();
        for ((partition, checkpoint), ends) in taken_up.iter().copied().zip(ends) {
            must_be_in_the_log((P::ORIGIN, partition), checkpoint, ends)?;
            self.place.folded.insert(partition, checkpoint);
            self.place.written.insert(partition, checkpoint);
            self.board.taken_up(partition, checkpoint, ends.durable_end);
        }
        let took = self.runtime.elapsed().saturating_sub(begun);
        tracing::debug!(projection = P::NAME, partitions = ?numbers(&new), ?took, "taken up");
        Ok(taken_up)
    }

    /// Does what a change of the group asks for.
    pub(super) async fn follow(
        &mut self,
        change: Result<Change, GroupError>,
        tail: &mut Tail,
    ) -> Result<(), Stop> {
        let projection = P::NAME;
        match change {
            Ok(Change::Given(given)) => {
                tracing::info!(projection, partitions = ?numbers(&given), "given");
                let gained = self.take_up(&given).await?;
                self.board.given();
                self.turn(tail, &gained, &[]).await
            }
            Ok(Change::Taken(taken)) => {
                self.finish().await?;
                self.let_go(&taken);
                self.membership.release(&self.retry, &taken).await?;
                tracing::info!(projection, partitions = ?numbers(&taken), "let go");
                self.turn(tail, &[], &taken).await
            }
            Ok(Change::Lost(lost)) => {
                tracing::warn!(projection, partitions = ?numbers(&lost), "lost");
                self.lose(&lost).await?;
                *tail = self.tail().await?;
                Ok(())
            }
            Err(error) if error.is_retryable() => {
                let all: Vec<Partition> = self.place.folded.keys().copied().collect();
                self.lose(&all).await?;
                *tail = self.tail().await?;
                let pause = self.retry.pause_after("stay in a group", &error);
                self.emitting.beside(pause).await?;
                let join = self.membership.join(&self.retry);
                self.emitting.beside(join).await?;
                self.retry.recovered();
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
    /// it has is waited for, so that no state is loaded while it is being written. What is on its way to
    /// `users` stays so: what is told again comes behind it. Partitions that stay are folded again from where
    /// they are written.
    async fn lose(&mut self, lost: &[Partition]) -> Result<(), Stop> {
        // It is not the writer's yet.
        if self.place.waiting.take().is_some() {
            self.place.under_way = false;
        }
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

    /// Has the tail read what is gained, and no more of what is lost; the others go on.
    async fn turn(
        &mut self,
        tail: &mut Tail,
        gained: &[(Partition, Offset)],
        lost: &[Partition],
    ) -> Result<(), Stop> {
        if let Err(error) = tail.change(gained, lost) {
            *tail = self.tail_again(error).await?;
        }
        Ok(())
    }

    /// A new tail, of all that is the instance's from where it is folded.
    pub(super) async fn tail(&mut self) -> Result<Tail, Stop> {
        let folded = self.place.folded.iter();
        let from: Vec<(Partition, Offset)> = folded.map(|(p, o)| (*p, *o)).collect();
        let log = &*self.log;
        let tail = move || log.tail(P::ORIGIN, from.clone(), Visibility::Durable);
        let tail = self.retry.run("tail the log", tail);
        self.emitting.beside(tail).await
    }

    /// After a failed read: from where folding stopped, nothing twice and nothing left out.
    pub(super) async fn tail_again(&mut self, error: LogError) -> Result<Tail, Stop> {
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
        let pause = self.retry.pause_after("read the log", &error);
        self.emitting.beside(pause).await?;
        let tail = self.tail().await;
        self.retry.recovered();
        tail
    }
}

fn numbers(partitions: &[Partition]) -> Vec<u32> {
    partitions.iter().map(|partition| partition.0).collect()
}
