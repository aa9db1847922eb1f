//! The projections that run in this process: of the live generation and, while the process moves to
//! another one, of both.

use std::sync::Arc;

use parking_lot::Mutex;
use projectors::share::UnknownProjection;
use projectors::{Ports, Projectors, Share, Status, Stop};
use schemas::position::Generation;

use crate::adapters::Adapters;
use crate::config::Config;

/// The projections of a process.
pub(crate) struct Folding {
    ports: Ports,
    config: projectors::Config,
    share: Share,
    names: Vec<&'static str>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The one that is looked at first.
    running: Vec<(Generation, Arc<Projectors>)>,
    /// Nothing begins any more.
    is_over: bool,
}

impl Folding {
    /// Of the roles that a process has, none of them running yet. Their partitions are shared with
    /// other processes where log and tables are.
    ///
    /// # Errors
    /// When a role names no projection.
    pub(crate) fn of(config: &Config, adapters: &Adapters) -> anyhow::Result<Self> {
        let groups = adapters.groups.clone();
        Ok(Self::new(
            adapters.ports(),
            config.projectors.clone(),
            groups.map_or_else(Share::everything, Share::of),
            config.roles.projections.iter().copied().collect(),
        )?)
    }

    /// Of these projections, and partitions as this share has them.
    ///
    /// # Errors
    /// When a name is no projection's.
    pub(crate) fn new(
        ports: Ports,
        config: projectors::Config,
        share: Share,
        names: Vec<&'static str>,
    ) -> Result<Self, UnknownProjection> {
        Ok(Self {
            ports,
            config,
            share: share.only(names.iter().copied())?,
            names,
            state: Mutex::default(),
        })
    }

    /// The projections that this process runs, whether they have begun or not.
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Begins to fold a generation, beside what is folded already; nothing once all is over.
    pub(crate) fn begin(&self, generation: Generation) -> Vec<Status> {
        let mut state = self.state.lock();
        if self.names.is_empty() || state.is_over {
            return Vec::new();
        }
        let begun = projectors::start(&self.ports, &self.config, generation, &self.share);
        let statuses = begun.statuses();
        state.running.push((generation, Arc::new(begun)));
        statuses
    }

    /// How those fare that began first and still run.
    pub(crate) fn statuses(&self) -> Vec<Status> {
        let state = self.state.lock();
        let first = state.running.first();
        first.map(|(_, one)| one.statuses()).unwrap_or_default()
    }

    /// Which generations are folded here.
    #[cfg(test)]
    pub(crate) fn folded(&self) -> Vec<Generation> {
        let state = self.state.lock();
        state.running.iter().map(|(one, _)| *one).collect()
    }

    /// True when those of a generation that run here are.
    pub(crate) fn is_ready(&self, generation: Generation) -> bool {
        let state = self.state.lock();
        let mut of = state.running.iter().filter(|(one, _)| *one == generation);
        of.all(|(_, one)| one.statuses().iter().all(Status::is_ready))
    }

    /// Ends the projections of a generation: what they folded is written, and their groups are left.
    ///
    /// # Errors
    /// Why one had stopped by itself.
    pub(crate) async fn leave(&self, generation: Generation) -> Result<(), Stop> {
        let of = |(one, _): &&(Generation, Arc<Projectors>)| *one == generation;
        let found = {
            let mut state = self.state.lock();
            // The others are looked at from now on; this one still is ended with the process.
            state.running.sort_by_key(|(one, _)| *one == generation);
            state.running.iter().find(of).cloned()
        };
        let Some((_, leaving)) = found else {
            return Ok(());
        };
        let left = leaving.stop().await;
        let mut state = self.state.lock();
        state.running.retain(|(one, _)| *one != generation);
        left
    }

    /// Ends all of them for good.
    ///
    /// # Errors
    /// Why one had stopped by itself.
    pub(crate) async fn end(&self) -> Result<(), Stop> {
        let all = {
            let mut state = self.state.lock();
            state.is_over = true;
            state.running.clone()
        };
        let mut outcome = Ok(());
        for (_, projectors) in all {
            let ended = projectors.stop().await;
            outcome = outcome.and(ended);
        }
        outcome
    }
}
