//! Up to where a build goes: the ends of the log, or, beside a live generation, no further than that
//! one has told `users` of. What follows from the rest is told by whoever folds the new generation
//! once it is adopted.
//!
//! ```text
//!  chats    ──────────────────┬───────────────┬─────────
//!                             B               E   durable end, looked at after U
//!                    live's checkpoint
//!  users    ──────┬────────────────────────────────┬────
//!            U of a look whose E ≤ B               U of this look
//! ```
//!
//! The inbox of the new generation goes on in `users` at a `U` below which nothing stands that
//! follows from an event at `B` or behind it: such an event is not in its lines yet, and would never
//! be, once a newer one of its chat is. Each look finds a `U` and an `E`; once the live generation has
//! got beyond that `E`, the `U` will do. Until one does it is the beginning of `users`, which costs
//! time and nothing else.

use std::sync::Arc;
use std::time::Duration;

use infra_ports::{Positions, Runtime};
use schemas::position::{Generation, Offset, Partition};
use schemas::tables::{CheckpointRow, Table};
use schemas::topics::Topic;

use crate::chats::Chats;
use crate::engine::Ports;
use crate::engine::checkpoints::{Checkpoints, NO_BUILD};
use crate::engine::projection::Projection;
use crate::engine::retry::Retry;
use crate::engine::status::Board;
use crate::engine::stop::Stop;
use crate::inbox::Inbox;
use crate::receipts::Receipts;
use crate::settings::SettingsOfChats;

/// The pause after a first try that failed.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// A place in each partition of a topic.
pub(super) type Places = Vec<(Partition, Offset)>;

/// Up to where one round of a build goes.
#[derive(Debug, Clone)]
pub(super) struct Goal {
    /// Where the inbox goes on in `users`: what stands below was told of events below `chats`.
    pub(super) told: Places,
    pub(super) chats: Places,
    pub(super) receipts: Places,
    pub(super) settings: Places,
}

/// What a look found: where `users` ended, and where `chats` did right after.
type Look = (Places, Places);

/// Finds goals, one after the other.
pub(super) struct Goals {
    ports: Ports,
    retry: Retry,
    /// The live generation, unless it has nothing at all.
    behind: Option<Generation>,
    /// Those that may still be of use, the oldest first.
    looks: Vec<Look>,
    told: Option<Places>,
}

impl Goals {
    /// The ends of the log.
    pub(super) fn at_the_ends(ports: &Ports) -> Self {
        let board = Arc::new(Board::new(Chats::NAME, &[], false));
        let runtime: Arc<dyn Runtime> = Arc::clone(&ports.runtime);
        Self {
            ports: ports.clone(),
            retry: Retry::new(runtime, board, FIRST_PAUSE, None),
            behind: None,
            looks: Vec::new(),
            told: None,
        }
    }

    /// No further than this generation is, which is folded and tells meanwhile; the ends of the log
    /// when it has no checkpoint at all: then it is lost, and whatever `users` holds was told by one
    /// that is no more.
    pub(super) async fn behind(ports: &Ports, live: Generation) -> Result<Self, Stop> {
        let mut goals = Self::at_the_ends(ports);
        let common: &'static [_] = &[CheckpointRow::DEF];
        let create = || ports.store.create_tables(common, NO_BUILD);
        goals.retry.run("create tables", create).await?;
        let mut chats = ends(&goals.positions(Chats::ORIGIN).await?);
        goals.no_further::<Chats>(live, &mut chats).await?;
        let is_lost = chats.iter().all(|(_, next)| *next == Offset(0));
        goals.behind = (!is_lost).then_some(live);
        Ok(goals)
    }

    /// Looks where the next round ends.
    pub(super) async fn next(&mut self) -> Result<Goal, Stop> {
        // First: whatever stands in it was told of what `chats` has right after.
        let users = self.positions(Inbox::ORIGIN).await?;
        let ends_of_chats = ends(&self.positions(Chats::ORIGIN).await?);
        let mut goal = Goal {
            told: ends(&users),
            chats: ends_of_chats.clone(),
            receipts: ends(&self.positions(Receipts::ORIGIN).await?),
            settings: ends(&self.positions(SettingsOfChats::ORIGIN).await?),
        };
        let Some(live) = self.behind else {
            return Ok(goal);
        };
        self.no_further::<Chats>(live, &mut goal.chats).await?;
        self.no_further::<Receipts>(live, &mut goal.receipts)
            .await?;
        self.no_further::<SettingsOfChats>(live, &mut goal.settings)
            .await?;
        self.looks.push((goal.told, ends_of_chats));
        let beginning = || users.iter().map(|(p, at)| (*p, at.first)).collect();
        goal.told = self.reached(&goal.chats).unwrap_or_else(beginning);
        Ok(goal)
    }

    /// True once the inbox need not go on at the beginning of `users`.
    pub(super) fn is_told(&self) -> bool {
        self.behind.is_none() || self.told.is_some()
    }

    /// Where `users` ended at the newest look whose events are all in what was reached.
    fn reached(&mut self, goal: &Places) -> Option<Places> {
        let is_in = |(_, ends): &&Look| ends.iter().zip(goal).all(|(end, at)| end.1 <= at.1);
        let reached = self.looks.iter().take_while(is_in).count();
        if let Some((users, _)) = self.looks.drain(..reached).next_back() {
            self.told = Some(users);
        }
        self.told.clone()
    }

    async fn positions(&self, topic: Topic) -> Result<Vec<(Partition, Positions)>, Stop> {
        let log = &self.ports.log;
        let partitions: Vec<_> = (0..log.partitions()).map(Partition).collect();
        let positions = || log.positions_of(topic, &partitions);
        let found = self.retry.run("read positions", positions).await?;
        Ok(partitions.iter().copied().zip(found).collect())
    }

    /// Lowers places to the checkpoints of a generation that is folded.
    async fn no_further<P: Projection>(
        &self,
        live: Generation,
        places: &mut Places,
    ) -> Result<(), Stop> {
        let checkpoints = Checkpoints {
            store: Arc::clone(&self.ports.store),
            projection: P::NAME,
            generation: live,
            topic: P::ORIGIN,
            kept_in: NO_BUILD,
        };
        for (partition, place) in places {
            let next = checkpoints.read(&self.retry, *partition).await?;
            *place = next.min(*place);
        }
        Ok(())
    }
}

fn ends(positions: &[(Partition, Positions)]) -> Places {
    let ends = positions.iter().map(|(p, at)| (*p, at.durable_end));
    ends.collect()
}
