//! Tables made and dropped over reopenings, as it goes wrong in fjall alone: the shortest sequences.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

use std::collections::BTreeMap;

use infra_ports::{Mutation, TableStore};
use infra_store_embedded::{Config, EmbeddedStore};
use proptest::prelude::*;
use schemas::ids::{ChatId, UserId};
use schemas::position::{Generation, Seq, Timestamp, Version};
use schemas::tables::{HiddenRow, Table};
use tempfile::TempDir;

const ONE: Generation = Generation(1);
const TWO: Generation = Generation(2);

struct Place {
    dir: TempDir,
    store: EmbeddedStore,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        Self { dir, store }
    }

    async fn create(&self, build: Generation) {
        let tables = [HiddenRow::DEF];
        self.store.create_tables(&tables, build).await.unwrap();
    }

    async fn drop(&self, build: Generation) {
        let tables = [HiddenRow::DEF];
        self.store.drop_tables(&tables, build).await.unwrap();
    }

    async fn put(&self, build: Generation) {
        let row = HiddenRow {
            user: UserId::new("a").unwrap(),
            chat: ChatId::new("d.a.b").unwrap(),
            seq: Seq(1),
            at: Timestamp(1),
        };
        let put = Mutation::put(build, &row, Version(1));
        self.store.write(vec![put]).await.unwrap();
    }

    /// How many rows the table has; none when there is no table.
    async fn rows(&self, build: Generation) -> Option<usize> {
        let rows = self.store.scan_table(HiddenRow::DEF, build, None, 10);
        rows.await.ok().map(|rows| rows.len())
    }

    async fn reopen(&mut self) {
        self.store.close().await.unwrap();
        self.store = open(&self.dir);
    }
}

fn open(dir: &TempDir) -> EmbeddedStore {
    let config = Config {
        path: dir.path().to_owned(),
        min_free_bytes: 0,
        ..Config::default()
    };
    EmbeddedStore::open(&config).unwrap()
}

#[tokio::test]
async fn rows_of_a_table_dropped_after_a_reopening_do_not_come_back_in_its_successor() {
    let mut place = Place::new();
    place.create(ONE).await;
    place.drop(ONE).await;
    place.create(ONE).await;
    place.reopen().await;
    place.put(ONE).await;
    place.drop(ONE).await;
    place.create(ONE).await;
    place.reopen().await;
    assert_eq!(place.rows(ONE).await, Some(0));
}

#[tokio::test]
async fn a_table_made_after_another_was_dropped_and_a_reopening_keeps_its_rows() {
    let mut place = Place::new();
    place.reopen().await;
    place.create(TWO).await;
    place.drop(TWO).await;
    place.reopen().await;
    place.create(ONE).await;
    place.put(ONE).await;
    place.reopen().await;
    assert_eq!(
        (place.rows(ONE).await, place.rows(TWO).await),
        (Some(1), None)
    );
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Create(Generation),
    Put(Generation),
    Drop(Generation),
    Reopen,
}

fn call() -> impl Strategy<Value = Call> {
    let build = (1..4u32).prop_map(Generation);
    prop_oneof![
        build.clone().prop_map(Call::Create),
        build.clone().prop_map(Call::Put),
        build.prop_map(Call::Drop),
        Just(Call::Reopen),
    ]
}

async fn tables_are_those_that_were_made(calls: Vec<Call>) {
    let mut place = Place::new();
    let mut wanted: BTreeMap<Generation, usize> = BTreeMap::new();
    for call in calls {
        match call {
            Call::Create(build) => {
                place.create(build).await;
                wanted.entry(build).or_insert(0);
            }
            Call::Put(build) => {
                if let Some(rows) = wanted.get_mut(&build) {
                    place.put(build).await;
                    *rows = 1;
                }
            }
            Call::Drop(build) => {
                place.drop(build).await;
                wanted.remove(&build);
            }
            Call::Reopen => place.reopen().await,
        }
        for build in (1..4).map(Generation) {
            assert_eq!(place.rows(build).await, wanted.get(&build).copied());
        }
    }
}

/// Few cases, as they write to a disk, unless the environment asks for more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig {
        cases: if asked { default.cases } else { 16 },
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_sequence_of_making_dropping_and_reopening_holds(
        calls in proptest::collection::vec(call(), 8..26)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(tables_are_those_that_were_made(calls));
    }
}
