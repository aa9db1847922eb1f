//! Where an instance reads: from its checkpoints on, and after a failed read from where folding
//! stopped.

use infra_ports::{LogError, LogTail, Visibility};
use schemas::position::{Offset, Partition};

use super::instance::Instance;
use super::projection::Projection;
use super::stop::Stop;

impl<P: Projection> Instance<P> {
    /// Reads the checkpoints and compares them with what the log has.
    pub(super) async fn take_up(&mut self) -> Result<(), Stop> {
        self.checkpoints.prepare(&self.retry, P::tables()).await?;
        let settled = self.checkpoints.settle::<P>(&self.retry, self.log.as_ref());
        settled.await?;
        for partition in self.partitions.clone() {
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
            self.board.started(partition, checkpoint, goal);
        }
        if self.place.folded.values().all(|next| *next == Offset(0)) {
            self.folding.expect_nothing().await?;
        }
        Ok(())
    }

    pub(super) async fn tail(&self) -> Result<Box<dyn LogTail>, Stop> {
        let folded = self.place.folded.iter();
        let from: Vec<(Partition, Offset)> = folded.map(|(p, o)| (*p, *o)).collect();
        let log = &*self.log;
        let tail = move || log.tail(P::ORIGIN, from.clone(), Visibility::Durable);
        self.retry.run("tail the log", tail).await
    }

    /// After a failed read: from where folding stopped, nothing twice and nothing left out.
    pub(super) async fn tail_again(&self, error: LogError) -> Result<Box<dyn LogTail>, Stop> {
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
