//! A chunk through the fold: load what is missing, apply record by record, collect the effects.
//!
//! Nothing is appended or written here; the live loop and the rebuild share it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ahash::AHashSet;
use futures_util::{StreamExt, stream};
use infra_ports::BoxFuture;
use schemas::position::{Offset, Partition};
use schemas::topics::partition_of;

use super::cache::Cache;
use super::chunk::Decoded;
use super::projection::{Effects, Memory, Place, Projection, Tables};
use super::retry::Retry;
use super::stop::Stop;
use crate::metrics::Counts;

/// States that are loaded at once.
const LOADS_AT_ONCE: usize = 32;

/// What users may be told at once, before it is appended: a record of a large group is told in each
/// partition of its members.
const TOLD_BYTES: usize = 16 << 20;

/// Rows of one state that are written together: 2 MB, and those of another chunk.
const STATE_ROWS: usize = 8_192;

/// What a touched state is thought to take, in the cache and as rows.
const TOUCHED_BYTES: usize = 512;

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
    /// Rows that have to be written of one state, at most.
    largest: usize,
    counts: Counts,
    /// The tables were empty when folding set out from the first offsets.
    from_nothing: bool,
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
            largest: 0,
            counts: Counts::of(P::NAME),
            from_nothing: false,
        }
    }

    /// To be called when folding sets out from the first offset of every partition: when the tables
    /// are empty as well, a key that was not met before has no state that could be loaded.
    pub(crate) async fn expect_nothing(&mut self) -> Result<(), Stop> {
        let Tables {
            store, generation, ..
        } = &self.tables;
        for table in P::tables() {
            let look = || store.scan_table(table, *generation, None, 1);
            if !self.retry.run("look into a table", look).await?.is_empty() {
                return Ok(());
            }
        }
        self.from_nothing = true;
        Ok(())
    }

    /// True when every state there is is at hand: a key that is not is new.
    pub(crate) fn knows_all(&self) -> bool {
        self.from_nothing && !self.cache.has_dropped()
    }

    /// Applies records, until much is to be told; says how many. `written` says below which offset of a
    /// partition all is written.
    ///
    /// Boxed, once a chunk: proving that it is `Send` is then done here, with lifetimes at hand.
    pub(crate) fn fold<'a>(
        &'a mut self,
        records: &'a [Decoded<P::Event>],
        written: &'a BTreeMap<Partition, Offset>,
    ) -> BoxFuture<'a, Result<usize, Stop>> {
        Box::pin(async move {
            let (keys, ranges) = self.keys_of(records);
            let places = self.bring(&keys).await?;
            let mut count = 0;
            for (one, range) in records.iter().zip(ranges) {
                let keys = keys.get(range.clone()).unwrap_or_default();
                let places = places.get(range).unwrap_or_default();
                let written = written.get(&one.partition).copied().unwrap_or_default();
                self.apply(one, keys, places, written).await?;
                count += 1;
                if self.effects.told_bytes() >= TOLD_BYTES {
                    break;
                }
            }
            self.settle().map(|()| count)
        })
    }

    /// The keys of records, and which of them are each record's: a run of records that concern the
    /// same keys, as those of a group whose members all write, shares them.
    fn keys_of(&self, records: &[Decoded<P::Event>]) -> (Vec<P::Key>, Vec<Range<usize>>) {
        let mut keys = Vec::with_capacity(records.len());
        let mut ranges: Vec<Range<usize>> = Vec::with_capacity(records.len());
        let mut before: Option<&P::Event> = None;
        for Decoded { event, .. } in records {
            let same = before.is_some_and(|before| self.projection.have_same_keys(before, event));
            let range = match ranges.last() {
                Some(last) if same => last.clone(),
                Some(_) | None => {
                    let from = keys.len();
                    self.projection.keys(event, &mut keys);
                    from..keys.len()
                }
            };
            ranges.push(range);
            before = Some(event);
        }
        (keys, ranges)
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

    /// Brings the states of all keys to hand and says their places.
    async fn bring(&mut self, keys: &[P::Key]) -> Result<Vec<usize>, Stop> {
        let mut places = Vec::with_capacity(keys.len());
        let knows_all = self.knows_all();
        let mut missing = Vec::new();
        for key in keys {
            let place = self.cache.find(key).or_else(|| {
                let fresh = || self.projection.fresh(key);
                knows_all.then(fresh).map(|state| {
                    let weight = self.projection.weight(&state);
                    self.cache.insert(key.clone(), state, weight)
                })
            });
            if place.is_none() {
                missing.push(key);
            }
            places.push(place);
        }
        self.load_missing(keys.len(), missing).await?;
        let found = keys.iter().zip(places);
        let found = found.map(|(key, place)| place.or_else(|| self.cache.find(key)));
        let all: Option<Vec<usize>> = found.collect();
        all.ok_or_else(|| Stop::Broken("a state that was loaded is not at hand".into()))
    }

    async fn load_missing(&mut self, wanted: usize, keys: Vec<&P::Key>) -> Result<(), Stop> {
        let mut asked = AHashSet::new();
        let missing: Vec<_> = keys.into_iter().filter(|key| asked.insert(*key)).collect();
        let at_hand = wanted.saturating_sub(missing.len());
        self.counts.looked_up(at_hand, missing.len());
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
        places: &[usize],
        written: Offset,
    ) -> Result<(), Stop> {
        let place = Place {
            partition: one.partition,
            record: &one.record,
            written,
        };
        for (key, at) in keys.iter().zip(places) {
            let state = self.cache.state_mut(*at);
            let want = state.and_then(|state| self.projection.wants(&one.event, state));
            let facts = match want {
                Some(want) => Some(self.look_up(&want).await?),
                None => None,
            };
            let Some(state) = self.cache.state_mut(*at) else {
                return Err(Stop::Broken(
                    "a state that was loaded is not at hand".into(),
                ));
            };
            let effects = &mut self.effects;
            let projection = &self.projection;
            if projection.apply(&place, &one.event, key, state, facts, effects) {
                self.largest = self.largest.max(projection.unwritten(state));
                self.cache.touch(*at);
            }
        }
        Ok(())
    }

    async fn look_up(&self, want: &P::Want) -> Result<P::Facts, Stop> {
        let (projection, tables) = (&self.projection, &self.tables);
        let look_up = move || projection.facts(tables, want);
        self.retry.run("look up a target", look_up).await
    }

    /// Takes everything that has to be written, and gives the job its number.
    pub(crate) fn hand_over(&mut self) -> (u64, Memory) {
        self.jobs += 1;
        self.largest = 0;
        let mut memory = Memory::new(self.tables.generation);
        memory.rows = self.effects.take_rows();
        let projection = &self.projection;
        self.cache.hand_over(self.jobs, |key, state| {
            projection.remember(key, state, &mut memory);
            projection.weight(state)
        });
        (self.jobs, memory)
    }

    /// Bytes, about, of what has to be written: rows, and touched states.
    pub(crate) fn gathered_bytes(&self) -> usize {
        self.effects.row_bytes() + TOUCHED_BYTES * self.cache.touched()
    }

    /// True when a state has as many rows to be written as one write may take: it must not be written in
    /// parts, or who finds it after a crash finds it in part.
    pub(crate) fn has_large_state(&self) -> bool {
        self.largest >= STATE_ROWS
    }

    /// A job was written: its states may go.
    pub(crate) fn written(&mut self, job: u64) {
        self.cache.shrink(job);
    }

    /// Drops all states: what is folded from now on concerns other keys than what was folded so far,
    /// all of which must be written. So what was known to be new stays so.
    pub(crate) fn next_pass(&mut self) {
        self.cache.clear();
    }

    /// Drops the states of partitions that another instance may have from now on. All of them are
    /// written.
    pub(crate) fn forget(&mut self, partitions: &[Partition]) {
        let (projection, count) = (&self.projection, self.effects.partitions);
        self.cache.forget(|key| {
            let home = partition_of(projection.home_of(key).as_bytes(), count);
            partitions.contains(&home)
        });
    }

    /// Drops all states and everything that has to be written.
    pub(crate) fn start_over(&mut self) {
        drop(self.effects.take_told());
        drop(self.effects.take_rows());
        self.largest = 0;
        self.cache.forget(|_| true);
    }

    /// States at hand.
    pub(crate) fn cached(&self) -> usize {
        self.cache.len()
    }

    pub(crate) fn projection(&self) -> &P {
        &self.projection
    }
}
