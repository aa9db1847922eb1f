//! Where a projection goes on after a start: for each partition the offset to read next.
//!
//! Kept in the store beside the rows, because the store's state decides what is missing. A
//! checkpoint only grows: an older instance that still writes cannot take it back.

use std::sync::Arc;

use compact_str::CompactString;
use infra_ports::store::{Mutation, TableStoreExt};
use infra_ports::{EventLog, Positions, TableStore};
use schemas::position::{Generation, Offset, Partition, Version};
use schemas::tables::{CheckpointKey, CheckpointRow, Table, TableDef};
use schemas::topics::Topic;

use super::projection::Projection;
use super::retry::Retry;
use super::stop::Stop;

/// Checkpoints and the pointer to live builds are not part of any build.
pub const NO_BUILD: Generation = Generation(0);

/// Refuses a checkpoint from which nobody can go on: the log no longer has, or never had, what comes
/// after it.
pub(crate) fn must_be_in_the_log(
    (topic, partition): (Topic, Partition),
    checkpoint: Offset,
    ends: Positions,
) -> Result<(), Stop> {
    if checkpoint < ends.first || checkpoint > ends.durable_end {
        return Err(Stop::RebuildRequired {
            topic,
            partition,
            checkpoint,
            first: ends.first,
            end: ends.durable_end,
        });
    }
    Ok(())
}

/// The checkpoints of one build of one projection.
#[derive(Clone)]
pub(crate) struct Checkpoints {
    pub(crate) store: Arc<dyn TableStore>,
    pub(crate) projection: &'static str,
    pub(crate) generation: Generation,
    pub(crate) topic: Topic,
    /// In which generation of the table they are kept: none for a live build. One that is being
    /// built keeps its own, so that they go when it is dropped.
    pub(crate) kept_in: Generation,
}

impl Checkpoints {
    /// Creates the projection's tables and that of the checkpoints, where they do not exist.
    pub(crate) async fn prepare(
        &self,
        retry: &Retry,
        tables: &'static [&'static TableDef],
    ) -> Result<(), Stop> {
        let own = || self.store.create_tables(tables, self.generation);
        retry.run("create tables", own).await?;
        let common = || {
            self.store
                .create_tables(&[CheckpointRow::DEF], self.kept_in)
        };
        retry.run("create tables", common).await
    }

    /// Tells the store how high versions of rows can be that it had when it was opened: no record
    /// above the durable ends was ever folded.
    pub(crate) async fn settle<P: Projection>(
        &self,
        retry: &Retry,
        log: &dyn EventLog,
    ) -> Result<(), Stop> {
        let partitions: Vec<Partition> = (0..log.partitions()).map(Partition).collect();
        let positions = || log.positions_of(P::VERSIONED_BY, &partitions);
        let ends = retry.run("read positions", positions).await?;
        let highest = ends.iter().map(|ends| Version(ends.durable_end.0)).max();
        let highest = highest.unwrap_or_default();
        let settled = || self.store.settled(P::tables(), self.generation, highest);
        retry.run("settle versions", settled).await
    }

    /// The offset to read next; 0 when there is no checkpoint.
    pub(crate) async fn read(&self, retry: &Retry, partition: Partition) -> Result<Offset, Stop> {
        let key = CheckpointKey {
            projection: CompactString::const_new(self.projection),
            generation: self.generation,
            topic: CompactString::const_new(self.topic.name()),
            partition,
        };
        let read = || self.store.get_row::<CheckpointRow>(self.kept_in, &key);
        let row = retry.run("read a checkpoint", read).await?;
        Ok(row.map_or(Offset(0), |row| row.offset))
    }

    /// The rows that say so.
    pub(crate) fn rows(&self, next: &[(Partition, Offset)]) -> Vec<Mutation> {
        let row = |(partition, offset): &(Partition, Offset)| {
            let row = CheckpointRow {
                projection: CompactString::const_new(self.projection),
                generation: self.generation,
                topic: CompactString::const_new(self.topic.name()),
                partition: *partition,
                offset: *offset,
            };
            Mutation::put(self.kept_in, &row, Version(offset.0))
        };
        next.iter().map(row).collect()
    }
}
