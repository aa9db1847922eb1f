//! Rebuild: the same tables again, from offset 0, beside the live ones.
//!
//! The folds are fused: what the chats fold tells goes straight into the inbox fold, so `users`,
//! which is kept for days only, is not read. Nothing is emitted and no dead letter is written: only
//! the live build speaks. Records that the live build could not decode are skipped alike.
//!
//! ```text
//!  chats ─▶ fold ─▶ (told) ─▶ inbox fold ─▶ inbox rows ─▶ rows, fold states, checkpoint of chats
//! ```
//!
//! Inbox rows are written before the chats' fold states, for the same reason for which the live
//! build syncs `users` before them: a state that was written is never applied again.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use compact_str::CompactString;
use infra_ports::store::{Mutation, TableStoreExt};
use infra_ports::{EventLog, Record, RecordBatch, StoreError, TableStore, Visibility};
use schemas::position::{Generation, Offset, Partition, Version};
use schemas::tables::{CheckpointKey, CheckpointRow, Digest, Table, TableDef};
use schemas::topics::Topic;

use crate::chats::Chats;
use crate::config::Config;
use crate::engine::Ports;
use crate::engine::checkpoints::{Checkpoints, NO_BUILD};
use crate::engine::chunk;
use crate::engine::config::EngineConfig;
use crate::engine::folding::Folding;
use crate::engine::projection::{Effects, Projection, Tables};
use crate::engine::remember::{Job, Writer};
use crate::engine::retry::Retry;
use crate::engine::status::Board;
use crate::engine::stop::Stop;
use crate::inbox::Inbox;
use crate::receipts::Receipts;
use crate::settings::SettingsOfChats;

/// Rows that a digest reads at once.
const PAGE_ROWS: usize = 4_096;

/// Up to where a build has got: topic, partition, next offset.
pub type Positions = Vec<(Topic, Partition, Offset)>;

/// Builds a generation of the four projections' tables on from where it stands (from offset 0 when
/// it is new) up to the present durable ends, and returns those. Called again it goes on, so a
/// build reaches the live one in ever shorter rounds. Its checkpoints, that of `users` too, are kept
/// in the generation itself and go with it ([`discard`]).
///
/// # Errors
/// A record that this build does not know; a topic of which the beginning is gone; a port that
/// fails for good. What was built stays and can be gone on with.
///
/// Cancel safety: may be dropped at any time; the next call goes on.
pub async fn rebuild(
    ports: &Ports,
    config: &Config,
    generation: Generation,
) -> Result<Positions, Stop> {
    let mut positions = Positions::new();
    positions.extend(chats_and_inbox(ports, config, generation).await?);
    positions.extend(alone(Receipts, ports, &config.receipts, generation).await?);
    positions.extend(alone(SettingsOfChats, ports, &config.settings, generation).await?);
    Ok(positions)
}

async fn chats_and_inbox(
    ports: &Ports,
    config: &Config,
    generation: Generation,
) -> Result<Positions, Stop> {
    let mut chats = Build::new(Chats, ports, &config.chats, generation).await?;
    let mut inbox = Build::new(Inbox, ports, &config.inbox, generation).await?;
    // Read before the ends of `chats`: what stands below it was told of events below those ends.
    let told_before = inbox.durable_ends().await?;
    let mut positions = Positions::new();
    for (partition, end) in chats.durable_ends().await? {
        let mut next = chats.checkpoint(partition).await?;
        while next < end {
            let (batch, after) = chats.read(partition, next, end).await?;
            chats.fold(batch).await?;
            inbox.fold_told(&mut chats.folding.effects).await?;
            inbox.remember(Vec::new()).await?;
            chats.remember(vec![(partition, after)]).await?;
            next = after;
        }
        positions.push((Topic::Chats, partition, end));
    }
    inbox.remember(told_before).await?;
    Ok(positions)
}

async fn alone<P: Projection>(
    projection: P,
    ports: &Ports,
    config: &EngineConfig,
    generation: Generation,
) -> Result<Positions, Stop> {
    let mut build = Build::new(projection, ports, config, generation).await?;
    let mut positions = Positions::new();
    for (partition, end) in build.durable_ends().await? {
        let mut next = build.checkpoint(partition).await?;
        while next < end {
            let (batch, after) = build.read(partition, next, end).await?;
            build.fold(batch).await?;
            build.folding.effects.told.clear();
            build.remember(vec![(partition, after)]).await?;
            next = after;
        }
        positions.push((P::ORIGIN, partition, end));
    }
    Ok(positions)
}

/// One projection of a build.
struct Build<P: Projection> {
    folding: Folding<P>,
    writer: Writer,
    log: Arc<dyn EventLog>,
    chunk_records: usize,
}

impl<P: Projection> Build<P> {
    async fn new(
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
        Ok(Self {
            folding: Folding::new(projection, tables, retry.clone(), partitions, weight),
            writer: Writer {
                log: ports.log.clone(),
                store: ports.store.clone(),
                checkpoints,
                retry,
                rows_per_write: config.rows_per_write,
            },
            log: ports.log.clone(),
            chunk_records: config.job_records.max(1),
        })
    }

    async fn durable_ends(&self) -> Result<Vec<(Partition, Offset)>, Stop> {
        let mut ends = Vec::new();
        for partition in (0..self.log.partitions()).map(Partition) {
            let positions = || self.log.positions(P::ORIGIN, partition);
            let retry = &self.writer.retry;
            let found = retry.run("read positions", positions).await?;
            ends.push((partition, found.durable_end));
        }
        Ok(ends)
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Offset, Stop> {
        let Writer {
            checkpoints, retry, ..
        } = &self.writer;
        checkpoints.read(retry, partition).await
    }

    /// Reads records below `end`, at least one, and says where they end.
    async fn read(
        &self,
        partition: Partition,
        from: Offset,
        end: Offset,
    ) -> Result<(RecordBatch, Offset), Stop> {
        let most = usize::try_from(end.0.saturating_sub(from.0)).unwrap_or(usize::MAX);
        let most = most.min(self.chunk_records);
        let read = || {
            self.log
                .read(P::ORIGIN, partition, from, most, Visibility::Durable)
        };
        let records = self.writer.retry.run("read the log", read).await?;
        let Some(last) = records.last() else {
            let gone = format!("{}/{partition} has nothing at {from}", P::ORIGIN);
            return Err(Stop::Broken(gone));
        };
        let after = last.offset.next();
        Ok((RecordBatch { partition, records }, after))
    }

    async fn fold(&mut self, batch: RecordBatch) -> Result<(), Stop> {
        self.fold_all(vec![batch]).await
    }

    /// Folds what another fold tells, as if it stood in the topic already.
    async fn fold_told(&mut self, effects: &mut Effects) -> Result<(), Stop> {
        let batches = std::mem::take(&mut effects.told).into_iter();
        let batches = batches.map(|(partition, told)| RecordBatch {
            partition,
            records: told
                .into_iter()
                .map(|record| Record {
                    offset: Offset(0),
                    key: Bytes::new(),
                    value: record.value,
                    at: record.at,
                })
                .collect(),
        });
        self.fold_all(batches.collect()).await
    }

    async fn fold_all(&mut self, batches: Vec<RecordBatch>) -> Result<(), Stop> {
        let partitions = self.log.partitions();
        let chunk = chunk::decode(self.folding.projection(), partitions, batches)?;
        self.folding.fold(&chunk, &BTreeMap::new()).await?;
        chunk.stop.map_or(Ok(()), Err)
    }

    async fn remember(&mut self, next: Vec<(Partition, Offset)>) -> Result<(), Stop> {
        let (number, memory) = self.folding.hand_over();
        let job = Job {
            number,
            emitted: false,
            memory,
            next,
        };
        let done = self.writer.remember(job).await?;
        self.folding.written(done.number);
        Ok(())
    }
}

/// The tables of the four projections, by projection.
pub fn tables() -> [(&'static str, &'static [&'static TableDef]); 4] {
    [
        (Chats::NAME, Chats::tables()),
        (Inbox::NAME, Inbox::tables()),
        (Receipts::NAME, Receipts::tables()),
        (SettingsOfChats::NAME, SettingsOfChats::tables()),
    ]
}

/// Makes a generation that was built one from which engines go on where the build ended. Readers are
/// switched apart from this. A generation's number is never used again after it was live.
///
/// # Errors
/// Those of the store.
pub async fn adopt(ports: &Ports, generation: Generation) -> Result<(), StoreError> {
    let origins = [
        Chats::ORIGIN,
        Inbox::ORIGIN,
        Receipts::ORIGIN,
        SettingsOfChats::ORIGIN,
    ];
    let store = &ports.store;
    let common = &[CheckpointRow::DEF];
    store.create_tables(common, NO_BUILD).await?;
    store.create_tables(common, generation).await?;
    for ((projection, _), topic) in tables().into_iter().zip(origins) {
        for partition in (0..ports.log.partitions()).map(Partition) {
            let key = CheckpointKey {
                projection: CompactString::const_new(projection),
                generation,
                topic: CompactString::const_new(topic.name()),
                partition,
            };
            let built = store.get_row::<CheckpointRow>(generation, &key).await?;
            let rows = built.map(|row| Mutation::put(NO_BUILD, &row, Version(row.offset.0)));
            store.write(rows.into_iter().collect()).await?;
        }
    }
    store.sync().await
}

/// Drops a generation that was built, with its checkpoints: the next build of it begins at offset 0.
///
/// # Errors
/// Those of the store.
pub async fn discard(store: &dyn TableStore, generation: Generation) -> Result<(), StoreError> {
    // The checkpoints first: a crash in between must not leave them without their rows.
    store.drop_tables(&[CheckpointRow::DEF], generation).await?;
    for (_, tables) in tables() {
        store.drop_tables(tables, generation).await?;
    }
    Ok(())
}

/// The digest of one table of a generation, in pages.
///
/// # Errors
/// Those of the store.
pub async fn digest(
    store: &dyn TableStore,
    table: &'static TableDef,
    generation: Generation,
) -> Result<Digest, StoreError> {
    let mut digest = Digest::default();
    let mut after = None;
    loop {
        let page = store
            .scan_table(table, generation, after.take(), PAGE_ROWS)
            .await?;
        for row in &page {
            digest.add(&row.partition, &row.cluster, &row.values);
        }
        match page.last() {
            Some(last) if page.len() == PAGE_ROWS => {
                after = Some((last.partition.clone(), last.cluster.clone()));
            }
            Some(_) | None => return Ok(digest),
        }
    }
}

/// A table in two generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// Its projection.
    pub projection: &'static str,
    /// Its name.
    pub table: &'static str,
    /// In the one generation.
    pub one: Digest,
    /// In the other.
    pub other: Digest,
}

impl Compared {
    /// True when both hold the same rows, bit for bit.
    pub fn is_equal(&self) -> bool {
        self.one == self.other
    }
}

/// Compares every table of two generations. Both must have applied the same positions.
///
/// # Errors
/// Those of the store.
pub async fn compare(
    store: &dyn TableStore,
    one: Generation,
    other: Generation,
) -> Result<Vec<Compared>, StoreError> {
    let mut compared = Vec::new();
    for (projection, tables) in tables() {
        for table in tables {
            compared.push(Compared {
                projection,
                table: table.name,
                one: digest(store, table, one).await?,
                other: digest(store, table, other).await?,
            });
        }
    }
    Ok(compared)
}
