//! Which build of the tables is live, which was before, and which is being built: one row that all
//! processes read, and that `cursus rebuild` alone writes.
//!
//! ```text
//!   live 1            live 1, building 2           live 2, previous 1         live 2
//!     └── begin ─────────────┴──────── switch_to ──────────┴───── forget ───────┘
//! ```
//!
//! A number is never given twice, whatever became of its tables: checkpoints only grow, so one that
//! was left by a former build of that number would have a new one begin behind its rows.

use compact_str::CompactString;
use infra_ports::store::Mutation;
use infra_ports::{StoreError, TableStore};
use schemas::position::{Generation, Version};
use schemas::tables::{ALL_PROJECTIONS, GenerationKey, GenerationRow, Table, encode_key};

use crate::engine::checkpoints::NO_BUILD;

/// The build of the tables that is live where nobody has said otherwise.
pub const FIRST: Generation = Generation(1);

/// What the row says. Changes are made here and take effect when it is [written](Self::write).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generations {
    live: Generation,
    previous: Option<Generation>,
    building: Option<Generation>,
    last: Generation,
    version: Version,
}

impl Generations {
    /// Reads it; where there is none yet, the first generation is live.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn read(store: &dyn TableStore) -> Result<Self, StoreError> {
        let key = GenerationKey {
            projection: CompactString::const_new(ALL_PROJECTIONS),
        };
        let (partition, cluster) = encode_key::<GenerationRow>(&key);
        let row = store.get(GenerationRow::DEF, NO_BUILD, &partition, &cluster);
        let row = match row.await {
            Ok(Some(row)) => row,
            Ok(None) | Err(StoreError::UnknownTable { .. }) => return Ok(Self::first()),
            Err(error) => return Err(error),
        };
        let said = row.decode::<GenerationRow>()?;
        let some = |generation: Generation| (generation != NO_BUILD).then_some(generation);
        Ok(Self {
            live: said.live,
            previous: some(said.previous),
            building: some(said.building),
            last: said.last,
            version: row.version,
        })
    }

    fn first() -> Self {
        Self {
            live: FIRST,
            previous: None,
            building: None,
            last: FIRST,
            version: Version(0),
        }
    }

    /// The one that readers use.
    pub fn live(&self) -> Generation {
        self.live
    }

    /// The one they used before, while it is kept to go back to.
    pub fn previous(&self) -> Option<Generation> {
        self.previous
    }

    /// The one that is being built.
    pub fn building(&self) -> Option<Generation> {
        self.building
    }

    /// Every number that was ever given.
    pub fn given(&self) -> impl Iterator<Item = Generation> + use<> {
        (FIRST.0..=self.last.0).map(Generation)
    }

    /// The one to be built: that which was begun and not finished, or a new number.
    pub fn begin(&mut self) -> Generation {
        let new = || Generation(self.last.0 + 1);
        let building = self.building.unwrap_or_else(new);
        self.building = Some(building);
        self.last = self.last.max(building);
        building
    }

    /// Makes another one live; what was live is kept as the previous one.
    pub fn switch_to(&mut self, generation: Generation) {
        self.previous = Some(self.live);
        self.live = generation;
        self.building = self.building.filter(|one| *one != generation);
    }

    /// One that is not live is no more: nothing can go back to it or on with it.
    pub fn forget(&mut self, generation: Generation) {
        self.previous = self.previous.filter(|one| *one != generation);
        self.building = self.building.filter(|one| *one != generation);
    }

    /// Writes it, durable when it returns. Whoever writes must be the only one to: of two who write
    /// upon the same reading, nobody knows who wins.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn write(&mut self, store: &dyn TableStore) -> Result<(), StoreError> {
        store.create_tables(&[GenerationRow::DEF], NO_BUILD).await?;
        self.version = Version(self.version.0 + 1);
        let row = GenerationRow {
            projection: CompactString::const_new(ALL_PROJECTIONS),
            live: self.live,
            previous: self.previous.unwrap_or(NO_BUILD),
            building: self.building.unwrap_or(NO_BUILD),
            last: self.last,
        };
        store
            .write(vec![Mutation::put(NO_BUILD, &row, self.version)])
            .await?;
        store.sync().await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use infra_ports::memory::MemoryStore;

    use super::*;

    fn read(store: &MemoryStore) -> Generations {
        Generations::read(store).now_or_never().unwrap().unwrap()
    }

    fn write(store: &MemoryStore, mut generations: Generations) -> Generations {
        let written = generations.write(store).now_or_never().unwrap();
        written.unwrap();
        read(store)
    }

    #[test]
    fn first_generation_is_live_until_another_one_is() {
        let store = MemoryStore::new();
        let mut generations = read(&store);
        assert_eq!((generations.live(), generations.previous()), (FIRST, None));
        assert_eq!(generations.begin(), Generation(2));
        let mut generations = write(&store, generations);
        assert_eq!(generations.live(), FIRST);
        assert_eq!(generations.building(), Some(Generation(2)));
        assert_eq!(generations.begin(), Generation(2), "what was begun");
        generations.switch_to(Generation(2));
        let mut generations = write(&store, generations);
        let now = (generations.live(), generations.previous());
        assert_eq!(now, (Generation(2), Some(FIRST)));
        assert_eq!(generations.building(), None);
        generations.switch_to(FIRST);
        let now = (generations.live(), generations.previous());
        assert_eq!(now, (FIRST, Some(Generation(2))));
        assert_eq!(write(&store, generations), generations_after(generations));
    }

    fn generations_after(written: Generations) -> Generations {
        Generations {
            version: Version(written.version.0 + 1),
            ..written
        }
    }

    #[test]
    fn number_is_never_given_twice_whatever_became_of_its_tables() {
        let store = MemoryStore::new();
        let mut generations = read(&store);
        generations.begin();
        generations.switch_to(Generation(2));
        generations.switch_to(FIRST);
        generations.forget(Generation(2));
        let mut generations = write(&store, generations);
        assert_eq!(generations.previous(), None);
        assert_eq!(generations.begin(), Generation(3));
        generations.forget(Generation(3));
        assert_eq!(generations.begin(), Generation(4));
        let given: Vec<_> = generations.given().collect();
        assert_eq!(given, [1, 2, 3, 4].map(Generation));
    }
}
