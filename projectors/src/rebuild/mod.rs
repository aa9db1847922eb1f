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
//! States that do not fit into memory make it read the log in passes, some partitions each, so that
//! none has to be loaded again: a chat, and each member's line of it, belongs to one partition.
//!
//! Inbox rows are written before the chats' fold states, for the same reason for which the live
//! build syncs `users` before them: a state that was written is never applied again.

mod beside;
mod build;
mod compare;
mod goal;
mod going_on;

use compact_str::CompactString;
use infra_ports::store::{Mutation, TableStoreExt};
use infra_ports::{StoreError, TableStore};
use schemas::position::{Generation, Offset, Partition, Version};
use schemas::tables::{CheckpointKey, CheckpointRow, Table, TableDef};
use schemas::topics::Topic;

pub use self::compare::{Compared, compare, digest};
pub use self::going_on::must_go_on;

use crate::chats::Chats;
use crate::config::Config;
use crate::engine::Ports;
use crate::engine::checkpoints::NO_BUILD;
use crate::engine::projection::Projection;
use crate::engine::stop::Stop;
use crate::inbox::Inbox;
use crate::receipts::Receipts;
use crate::settings::SettingsOfChats;
use beside::{InboxBeside, spawn};
use build::Build;
use goal::{Goal, Goals};

/// Up to where a build has got: topic, partition, next offset.
pub type Positions = Vec<(Topic, Partition, Offset)>;

/// Builds a generation of the four projections' tables on from where it stands (from offset 0 when
/// it is new) up to the present durable ends, and returns those. Called again it goes on. Its
/// checkpoints, that of `users` too, are kept in the generation itself and go with it ([`discard`]).
/// For tables that nobody folds meanwhile; see [`Beside`] for others.
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
    let goal = Goals::at_the_ends(ports).next().await?;
    build_to(&goal, ports, config, generation).await
}

/// A build beside a generation that is folded and read meanwhile. It follows that one in ever
/// shorter rounds, and never goes beyond what it has told `users` of: once it is adopted and folded
/// itself, all the rest is told, some of it a second time.
pub struct Beside {
    ports: Ports,
    config: Config,
    generation: Generation,
    goals: Goals,
}

impl Beside {
    /// Of a generation beside this live one. Where the live one has no checkpoint at all it is taken
    /// for lost, and rounds end where the log does: nobody may fold it then.
    ///
    /// # Errors
    /// A port that fails for good.
    pub async fn new(
        ports: &Ports,
        config: &Config,
        generation: Generation,
        live: Generation,
    ) -> Result<Self, Stop> {
        Ok(Self {
            ports: ports.clone(),
            config: config.clone(),
            generation,
            goals: Goals::behind(ports, live).await?,
        })
    }

    /// Goes on from where the build stands to where the live one is now, and returns that.
    ///
    /// # Errors
    /// As [`rebuild`].
    ///
    /// Cancel safety: may be dropped at any time; another one goes on.
    pub async fn round(&mut self) -> Result<Positions, Stop> {
        let goal = self.goals.next().await?;
        build_to(&goal, &self.ports, &self.config, self.generation).await
    }

    /// True once the live generation was seen to get on, so that chat lists need not be told again
    /// all that `users` still holds. If it stands still they are, once the build is folded.
    pub fn is_near(&self) -> bool {
        self.goals.is_told()
    }
}

async fn build_to(
    goal: &Goal,
    ports: &Ports,
    config: &Config,
    generation: Generation,
) -> Result<Positions, Stop> {
    let (their_ports, their_config, ends) = (ports.clone(), config.clone(), goal.clone());
    let others = spawn(ports.runtime.as_ref(), "rebuild", async move {
        let (ports, config) = (their_ports, their_config);
        let receipts = Build::new(Receipts, &ports, &config.receipts, generation).await?;
        let mut positions = alone(receipts, &ends.receipts).await?;
        let settings = Build::new(SettingsOfChats, &ports, &config.settings, generation).await?;
        positions.extend(alone(settings, &ends.settings).await?);
        Ok(positions)
    });
    let mut positions = chats_and_inbox(goal, ports, config, generation).await?;
    positions.extend(others.done().await?);
    Ok(positions)
}

async fn chats_and_inbox(
    goal: &Goal,
    ports: &Ports,
    config: &Config,
    generation: Generation,
) -> Result<Positions, Stop> {
    let mut chats = Build::new(Chats, ports, &config.chats, generation).await?;
    let inbox = Build::new(Inbox::default(), ports, &config.inbox, generation).await?;
    chats.set_out(&goal.chats).await?;
    let mut inbox = InboxBeside::start(ports, inbox, chats.folding.knows_all()).await?;
    while chats.next_pass() {
        while let Some(chunk) = chats.read().await? {
            chats.fold(&chunk).await?;
            inbox
                .tell(chats.folding.effects.take_entries(), &chunk)
                .await?;
            chunk.stop.map_or(Ok(()), Err)?;
            if chats.is_full() {
                write_both(&mut chats, &mut inbox).await?;
            }
        }
        write_both(&mut chats, &mut inbox).await?;
        // Its lines are of this pass's chats.
        inbox.next_pass().await?;
    }
    inbox.end(goal.told.clone()).await?;
    Ok(chats.reached().collect())
}

/// Rows of both, then the states of chats: a state that was written is never applied again.
async fn write_both(chats: &mut Build<Chats>, inbox: &mut InboxBeside) -> Result<(), Stop> {
    let written = inbox.write().await?;
    let job = chats.write_rows().await?;
    inbox.written(written).await?;
    chats.finish(job, Vec::new()).await
}

async fn alone<P: Projection>(
    mut build: Build<P>,
    ends: &[(Partition, Offset)],
) -> Result<Positions, Stop> {
    build.set_out(ends).await?;
    while build.next_pass() {
        while let Some(chunk) = build.read().await? {
            build.fold(&chunk).await?;
            chunk.stop.map_or(Ok(()), Err)?;
            if build.is_full() {
                build.write(Vec::new()).await?;
            }
        }
        build.write(Vec::new()).await?;
    }
    Ok(build.reached().collect())
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

/// What each projection folds.
const ORIGINS: [(&str, Topic); 4] = [
    (Chats::NAME, Chats::ORIGIN),
    (Inbox::NAME, Inbox::ORIGIN),
    (Receipts::NAME, Receipts::ORIGIN),
    (SettingsOfChats::NAME, SettingsOfChats::ORIGIN),
];

/// Makes a generation that was built one from which engines go on where the build ended. Readers are
/// switched apart from this. A generation's number is never used again after it was live.
///
/// # Errors
/// Those of the store.
pub async fn adopt(ports: &Ports, generation: Generation) -> Result<(), StoreError> {
    let store = &ports.store;
    let common = &[CheckpointRow::DEF];
    store.create_tables(common, NO_BUILD).await?;
    store.create_tables(common, generation).await?;
    for (projection, topic) in ORIGINS {
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
