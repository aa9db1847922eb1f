//! A chunk through the fold: load what is missing, apply record by record, collect the effects.
//!
//! Nothing is appended or written here; the live loop and the rebuild share it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashSet;
use futures_util::{StreamExt, stream};
use infra_ports::BoxFuture;
use schemas::position::{Offset, Partition};

use super::cache::Cache;
use super::chunk::{Chunk, Decoded};
use super::projection::{Effects, Memory, Place, Projection, Tables};
use super::retry::Retry;
use super::stop::Stop;
use crate::metrics::Counts;

/// States that are loaded at once.
const LOADS_AT_ONCE: usize = 32;

/// A key with its state.
type Loaded<P> = Result<(<P as Projection>::Key, <P as Projection>::State), Stop>;

/// A projection with its states at hand and the effects not carried out yet.
pub(crate) struct Folding<P: Projection> {
    projection: Arc<P>,
    tables: Tables,
    retry: Retry,
    cache: Cache<P::Key, P::State>,
    pub(crate) effects: Effects,
    jobs: u64,
    counts: Counts,
}

impl<P: Projection> Folding<P> {
    pub(crate) fn new(
        projection: Arc<P>,
        tables: Tables,
        retry: Retry,
        partitions: u32,
        cache_weight: usize,
    ) -> Self {
        Self {
            projection,
            effects: Effects::new(partitions, tables.generation),
            tables,
            retry,
            cache: Cache::new(cache_weight),
            jobs: 0,
            counts: Counts::of(P::NAME),
        }
    }

    /// Applies a chunk. `written` says below which offset of a partition all is written.
    ///
    /// Boxed, once a chunk: proving that it is `Send` is then done here, with lifetimes at hand.
    pub(crate) fn fold<'a>(
        &'a mut self,
        chunk: &'a Chunk<P::Event>,
        written: &'a BTreeMap<Partition, Offset>,
    ) -> BoxFuture<'a, Result<(), Stop>> {
        Box::pin(async move {
            let mut keys = Vec::with_capacity(chunk.records.len());
            let mut ends = Vec::with_capacity(chunk.records.len());
            for one in &chunk.records {
                self.projection.keys(&one.event, &mut keys);
                ends.push(keys.len());
            }
            self.load_missing(&keys).await?;
            let mut from = 0;
            for (one, to) in chunk.records.iter().zip(ends) {
                let keys = keys.get(from..to).unwrap_or_default();
                let written = written.get(&one.partition).copied().unwrap_or_default();
                from = to;
                self.apply(one, keys, written).await?;
            }
            self.settle()
        })
    }

    fn settle(&mut self) -> Result<(), Stop> {
        if P::SETTLES {
            let (projection, effects) = (&self.projection, &mut self.effects);
            self.cache
                .each_touched(|key, state| projection.settle(key, state, effects));
        }
        match self.effects.failed.take() {
            Some(error) => Err(Stop::Broken(error.to_string())),
            None => Ok(()),
        }
    }

    async fn load_missing(&mut self, keys: &[P::Key]) -> Result<(), Stop> {
        let mut asked = AHashSet::new();
        let mut missing = Vec::new();
        for key in keys {
            if !self.cache.contains(key) && asked.insert(key) {
                missing.push(key);
            }
        }
        self.counts
            .looked_up(keys.len() - missing.len(), missing.len());
        if missing.is_empty() {
            return Ok(());
        }
        let mut loads = Vec::with_capacity(missing.len());
        for key in missing {
            loads.push(self.load(key));
        }
        let loaded: Vec<_> = stream::iter(loads).buffered(LOADS_AT_ONCE).collect().await;
        for one in loaded {
            let (key, state) = one?;
            let weight = self.projection.weight(&state);
            self.cache.insert(key, state, weight);
        }
        Ok(())
    }

    fn load<'a>(&'a self, key: &'a P::Key) -> BoxFuture<'a, Loaded<P>> {
        let load = move || self.projection.load(&self.tables, key);
        Box::pin(async move {
            let state = self.retry.run("load a state", load).await?;
            Ok((key.clone(), state))
        })
    }

    async fn apply(
        &mut self,
        one: &Decoded<P::Event>,
        keys: &[P::Key],
        written: Offset,
    ) -> Result<(), Stop> {
        let place = Place {
            partition: one.partition,
            record: &one.record,
            written,
        };
        for key in keys {
            let facts = self.facts(&one.event, key).await?;
            let Some(state) = self.cache.get_mut(key) else {
                return Err(Stop::Broken(
                    "a state that was loaded is not at hand".into(),
                ));
            };
            let effects = &mut self.effects;
            let projection = &self.projection;
            if projection.apply(&place, &one.event, key, state, facts, effects) {
                self.cache.touch(key);
            }
        }
        Ok(())
    }

    async fn facts(&mut self, event: &P::Event, key: &P::Key) -> Result<Option<P::Facts>, Stop> {
        let state = self.cache.get_mut(key);
        let Some(want) = state.and_then(|state| self.projection.wants(event, state)) else {
            return Ok(None);
        };
        let (projection, tables, want) = (&self.projection, &self.tables, &want);
        let look_up = move || projection.facts(tables, want);
        let facts = self.retry.run("look up a target", look_up).await?;
        Ok(Some(facts))
    }

    /// Takes everything that has to be written, and gives the job its number.
    pub(crate) fn hand_over(&mut self) -> (u64, Memory) {
        self.jobs += 1;
        let mut memory = Memory::new(self.tables.generation);
        memory.rows = std::mem::take(&mut self.effects.rows);
        let projection = &self.projection;
        self.cache.hand_over(self.jobs, |key, state| {
            projection.remember(key, state, &mut memory);
            projection.weight(state)
        });
        (self.jobs, memory)
    }

    /// A job was written: its states may go.
    pub(crate) fn written(&mut self, job: u64) {
        self.cache.shrink(job);
    }

    /// States at hand.
    pub(crate) fn cached(&self) -> usize {
        self.cache.len()
    }

    pub(crate) fn projection(&self) -> &P {
        &self.projection
    }
}
