//! Which generation of the tables a process reads and folds, and how it moves to another one while it
//! serves.
//!
//! ```text
//!   the pointer moves   both are folded, and what is      readers move      the old one is
//!   from 1 to 2         in the tables is in both          to 2              folded no more
//!  ───────┬──────────────────┬────────────────────────────────┬──────────────────┬─────────
//!         └ seen within 1 s  └ until 2 has what 1 had         └ LINGER           └
//! ```
//!
//! Nobody was ever told that something can be read which a later read does not find. Processes
//! move on their own: for seconds some are on the one and some on the other, both of which are what the log
//! says. Two that fold tell `users` twice, and readers take it once.
//!
//! Embedded tables are one process's: they are made anew while it is down, and nothing is followed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use delivery::{Applied, LiveGeneration};
use infra_ports::{EventLog, LogError, Runtime, StoreError, TableStore, watch};
use projectors::generations::{FIRST, Generations};
use projectors::{PROJECTIONS, Status};
use schemas::position::{Generation, Offset, Partition};

use crate::adapters::Adapters;
use crate::adapters::store::Kind;
use crate::applied::{AppliedInStore, checkpoints};
use crate::applied_by_all::AppliedByAll;
use crate::bridge::AppliedOf;
use crate::config::Config;
use crate::folding::Folding;

/// How often the pointer is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether another generation has caught up.
const CAUGHT_UP_EVERY: Duration = Duration::from_millis(100);
/// How long the old generation is folded on at least, for processes whose readers have not moved yet.
const LINGER: Duration = Duration::from_secs(5);
/// How long at most until projections of the new one are ready, as health sees it.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// The tables of a process: who reads them, who folds them, and how far they are.
pub(crate) struct Tables {
    pub(crate) live: LiveGeneration,
    pub(crate) applied: Arc<dyn Applied>,
    pub(crate) folding: Arc<Folding>,
}

impl Tables {
    /// Begins to fold the live generation as soon as it is known, and follows it until `ending`.
    ///
    /// # Errors
    /// When a role names no projection.
    pub(crate) fn take_up(
        config: &Config,
        adapters: &Adapters,
        ending: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let folding = Arc::new(Folding::of(config, adapters)?);
        let view = View {
            log: Arc::clone(&adapters.log),
            store: Arc::clone(&adapters.store),
            runtime: Arc::clone(&adapters.runtime),
            has_all: config.roles.is_all() && adapters.groups.is_none(),
        };
        if config.store.kind == Kind::Embedded {
            return Ok(Self {
                live: LiveGeneration::new(FIRST),
                applied: view.of(FIRST, folding.begin(FIRST)),
                folding,
            });
        }
        let applied = Arc::new(AppliedByAll::of_nobody(Arc::clone(&adapters.runtime)));
        let tables = Self {
            live: LiveGeneration::unknown(),
            applied: Arc::clone(&applied) as _,
            folding: Arc::clone(&folding),
        };
        let follower = Follower {
            view,
            live: tables.live.clone(),
            applied,
            folding,
        };
        let follow = follower.follow_until(ending);
        adapters.runtime.spawn("generations", Box::pin(follow));
        Ok(tables)
    }
}

/// How far a generation is, as this process can tell.
struct View {
    log: Arc<dyn EventLog>,
    store: Arc<dyn TableStore>,
    runtime: Arc<dyn Runtime>,
    /// Every projection runs here, over every partition.
    has_all: bool,
}

impl View {
    /// Projections that run here say themselves how far they are; of partitions that others have it
    /// stands in the store.
    fn of(&self, generation: Generation, own: Vec<Status>) -> Arc<dyn Applied> {
        let (store, runtime) = (Arc::clone(&self.store), Arc::clone(&self.runtime));
        let in_store = || AppliedInStore::start(store, Arc::clone(&runtime), generation);
        if own.is_empty() {
            return in_store();
        }
        let applied = AppliedOf::new(own, Arc::clone(&runtime));
        match self.has_all {
            true => Arc::new(applied),
            false => Arc::new(applied.or_else(in_store())),
        }
    }
}

/// Follows the pointer.
struct Follower {
    view: View,
    live: LiveGeneration,
    applied: Arc<AppliedByAll>,
    folding: Arc<Folding>,
}

/// A partition of a projection's topic.
type Place = (&'static str, Partition);
/// How far a generation is in each.
type Places = BTreeMap<Place, Offset>;

/// Why it is not known how far a generation is.
#[derive(Debug, thiserror::Error)]
enum Unknown {
    #[error("the tables: {0}")]
    Tables(#[from] StoreError),
    #[error("the log: {0}")]
    Log(#[from] LogError),
}

/// A generation and how far it is.
type Known = (Generation, Arc<dyn Applied>);

impl Follower {
    async fn follow_until(self, mut ending: watch::Receiver<bool>) {
        tokio::select! {
            biased;
            _ = ending.wait_for(|ending| *ending) => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&self) {
        let mut now = self.take_up(self.read().await);
        self.live.switch(now.0);
        self.applied.ask(vec![Arc::clone(&now.1)]);
        tracing::info!(generation = now.0.0, "the live tables");
        loop {
            self.view.runtime.sleep(LOOK_EVERY).await;
            let live = self.read().await;
            if live != now.0 {
                now = self.go_over(now, live).await;
            }
        }
    }

    /// The live generation, once the store says it.
    async fn read(&self) -> Generation {
        loop {
            match Generations::read(&*self.view.store).await {
                Ok(generations) => return generations.live(),
                Err(error) => {
                    tracing::debug!(%error, "which tables are live cannot be read");
                    self.view.runtime.sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Folds a generation from now on.
    fn take_up(&self, generation: Generation) -> Known {
        let statuses = self.folding.begin(generation);
        (generation, self.view.of(generation, statuses))
    }

    /// Moves readers from one generation to another, and answers where they are then: where they
    /// were, if the pointer moves on before the other one has caught up.
    async fn go_over(&self, from: Known, to: Generation) -> Known {
        tracing::info!(from = from.0.0, to = to.0, "the live tables change");
        let to = self.take_up(to);
        let both = [&from, &to].map(|(_, applied)| Arc::clone(applied));
        self.applied.ask(both.to_vec());
        let went = self.caught_up(from.0, to.0).await;
        let (stays, goes) = if went { (to, from) } else { (from, to) };
        self.live.switch(stays.0);
        self.applied.ask(vec![Arc::clone(&stays.1)]);
        tracing::info!(generation = stays.0.0, "the live tables");
        if went {
            self.linger(stays.0).await;
        }
        if let Err(stop) = self.folding.leave(goes.0).await {
            tracing::warn!(generation = goes.0.0, %stop, "a projection had stopped");
        }
        stays
    }

    /// Waits until a generation has whatever was in the other one at the beginning; false when the
    /// pointer is elsewhere by then.
    async fn caught_up(&self, from: Generation, to: Generation) -> bool {
        let mut promised = None;
        loop {
            match self.has_caught_up(from, to, &mut promised).await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "how far the tables are is not known"),
            }
            self.view.runtime.sleep(CAUGHT_UP_EVERY).await;
            if self.read().await != to {
                return false;
            }
        }
    }

    async fn has_caught_up(
        &self,
        from: Generation,
        to: Generation,
        promised: &mut Option<Places>,
    ) -> Result<bool, Unknown> {
        if promised.is_none() {
            *promised = Some(self.promised(from).await?);
        }
        let now = self.places(to).await?;
        // Where nothing was folded yet there may be no row.
        let has = |(place, offset): (&Place, &Offset)| {
            now.get(place).copied().unwrap_or_default() >= *offset
        };
        Ok(promised.iter().flatten().all(has))
    }

    /// How far a generation is, and no further than the log goes: of a log that was put back from a copy,
    /// or has lost its end otherwise, no other one gets any further.
    async fn promised(&self, generation: Generation) -> Result<Places, Unknown> {
        let mut places = self.places(generation).await?;
        let log = &self.view.log;
        let partitions: Vec<Partition> = (0..log.partitions()).map(Partition).collect();
        for projection in PROJECTIONS {
            let Some(topic) = projectors::origin(projection) else {
                continue;
            };
            // Asked after the checkpoints were read: a log that has lost nothing goes as far as they do.
            let ends = log.positions_of(topic, &partitions).await?;
            for (partition, ends) in partitions.iter().zip(ends) {
                let Some(place) = places.get_mut(&(projection, *partition)) else {
                    continue;
                };
                let end = ends.durable_end;
                if *place > end {
                    let (generation, checkpoint) = (generation.0, place.0);
                    tracing::warn!(
                        generation, projection, %partition, checkpoint, end = end.0,
                        "the log ends before what these tables were made of; readers move without it"
                    );
                    *place = end;
                }
            }
        }
        Ok(places)
    }

    async fn places(&self, generation: Generation) -> Result<Places, StoreError> {
        let mut places = Places::new();
        for projection in PROJECTIONS {
            let read = checkpoints(&*self.view.store, projection, generation).await?;
            let read = read.into_iter();
            places.extend(read.map(|(partition, offset)| ((projection, partition), offset)));
        }
        Ok(places)
    }

    /// Lets others move too, and the projections of this one become ready.
    async fn linger(&self, generation: Generation) {
        let runtime = &self.view.runtime;
        let begun = runtime.elapsed();
        runtime.sleep(LINGER).await;
        while !self.folding.is_ready(generation)
            && runtime.elapsed().saturating_sub(begun) < READY_WITHIN
        {
            runtime.sleep(CAUGHT_UP_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests;
