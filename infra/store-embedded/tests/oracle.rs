//! Random calls, reopenings among them, against a map that is obviously right.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use std::collections::BTreeMap;

use bytes::Bytes;
use infra_ports::{Mutation, ScanRange, TableStore};
use infra_store_embedded::{Config, EmbeddedStore};
use proptest::prelude::*;
use schemas::ids::{ChatId, UserId};
use schemas::position::{Generation, Seq, Timestamp, Version};
use schemas::tables::{HiddenRow, Table, encode_row};
use tempfile::TempDir;

const TABLE: &schemas::tables::TableDef = HiddenRow::DEF;
const BUILDS: [Generation; 2] = [Generation(1), Generation(2)];

#[derive(Debug, Clone)]
struct Write {
    build: usize,
    user: usize,
    seq: u64,
    version: u64,
    deletes: bool,
}

#[derive(Debug, Clone)]
enum Call {
    Write(Vec<Write>),
    Scan {
        build: usize,
        user: usize,
        after: Option<u64>,
        reverse: bool,
        limit: usize,
    },
    /// With so many other rows that it goes past the journal.
    Load(Vec<Write>),
    Get {
        build: usize,
        user: usize,
        seq: u64,
    },
    Table {
        build: usize,
        page: usize,
    },
    Sync,
    Reopen,
    Drop {
        build: usize,
    },
}

fn call() -> impl Strategy<Value = Call> {
    let write = (0..2usize, 0..3usize, 0..8u64, 0..12u64, any::<bool>()).prop_map(
        |(build, user, seq, version, deletes)| Write {
            build,
            user,
            seq,
            version,
            deletes,
        },
    );
    prop_oneof![
        10 => proptest::collection::vec(write.clone(), 0..12).prop_map(Call::Write),
        1 => proptest::collection::vec(write, 0..12).prop_map(Call::Load),
        4 => (0..2usize, 0..3usize, proptest::option::of(0..9u64), any::<bool>(), 0..10usize)
            .prop_map(|(build, user, after, reverse, limit)| Call::Scan {
                build, user, after, reverse, limit
            }),
        4 => (0..2usize, 0..3usize, 0..8u64)
            .prop_map(|(build, user, seq)| Call::Get { build, user, seq }),
        2 => (0..2usize, 1..7usize).prop_map(|(build, page)| Call::Table { build, page }),
        1 => Just(Call::Sync),
        1 => Just(Call::Reopen),
        1 => (0..2usize).prop_map(|build| Call::Drop { build }),
    ]
}

/// By build, partition and cluster: version, and the row unless it is deleted.
type Oracle = BTreeMap<(usize, Vec<u8>, Vec<u8>), (u64, Option<HiddenRow>)>;

/// What a read answers: rows with their versions.
type Rows = Vec<(HiddenRow, u64)>;

fn row(user: usize, seq: u64, at: u64) -> HiddenRow {
    HiddenRow {
        user: UserId::new(["a", "ab", "b"][user]).unwrap(),
        chat: ChatId::new("d.a.b").unwrap(),
        seq: Seq(seq),
        at: Timestamp(i64::try_from(at).unwrap()),
    }
}

/// Rows that a load has beside those it is about.
const OTHERS: u64 = 520;

struct Pair {
    dir: TempDir,
    store: EmbeddedStore,
    oracle: Oracle,
    calls: u64,
}

impl Pair {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Self::open(&dir).await;
        Self {
            dir,
            store,
            oracle: Oracle::new(),
            calls: 0,
        }
    }

    async fn open(dir: &TempDir) -> EmbeddedStore {
        let path = dir.path().to_owned();
        // Small enough that rows are written out and compacted within a case.
        let config = Config {
            path,
            memtable_bytes: 512,
            min_free_bytes: 0,
            ..Config::default()
        };
        let store = EmbeddedStore::open(&config).unwrap();
        for build in BUILDS {
            store.create_tables(&[TABLE], build).await.unwrap();
        }
        store
    }

    async fn run(&mut self, call: Call) {
        self.calls += 1;
        match call {
            Call::Write(writes) => {
                let mutations = self.mutations(&writes);
                self.store.write(mutations).await.unwrap();
            }
            Call::Load(mut writes) => {
                let others = (0..2).flat_map(|build| (0..OTHERS).map(move |nth| (build, nth)));
                writes.extend(others.map(|(build, nth)| Write {
                    build,
                    user: 2,
                    seq: 1_000 + nth,
                    version: 1,
                    deletes: false,
                }));
                let mutations = self.mutations(&writes);
                self.store.load(&mutations).await.unwrap();
            }
            Call::Scan {
                build,
                user,
                after,
                reverse,
                limit,
            } => {
                self.scan(build, user, after, reverse, limit).await;
            }
            Call::Get { build, user, seq } => self.get(build, user, seq).await,
            Call::Table { build, page } => self.table(build, page).await,
            Call::Sync => self.store.sync().await.unwrap(),
            Call::Reopen => {
                self.store.close().await.unwrap();
                self.store = Self::open(&self.dir).await;
            }
            Call::Drop { build } => {
                self.store
                    .drop_tables(&[TABLE], BUILDS[build])
                    .await
                    .unwrap();
                self.store
                    .create_tables(&[TABLE], BUILDS[build])
                    .await
                    .unwrap();
                self.oracle.retain(|(of, _, _), _| *of != build);
            }
        }
    }

    /// What they are to the store; notes what it should hold then.
    fn mutations(&mut self, writes: &[Write]) -> Vec<Mutation> {
        let mut mutations = Vec::new();
        for write in writes {
            // Two puts of one version must be the same: nothing of the call number in them.
            let row = row(write.user, write.seq, write.version);
            let (build, version) = (BUILDS[write.build], Version(write.version));
            mutations.push(if write.deletes {
                Mutation::delete::<HiddenRow>(build, &row.key(), version)
            } else {
                Mutation::put(build, &row, version)
            });
            let key = encode_row(&row);
            let place = (write.build, key.partition, key.cluster);
            let stands = self.oracle.get(&place).is_some_and(|(version, row)| {
                *version > write.version
                    || (*version == write.version && row.is_none() && !write.deletes)
            });
            if !stands {
                self.oracle
                    .insert(place, (write.version, (!write.deletes).then_some(row)));
            }
        }
        mutations
    }

    fn live(&self, build: usize) -> Rows {
        let of = self.oracle.iter().filter(|((b, _, _), _)| *b == build);
        of.filter_map(|(_, (version, row))| Some((row.clone()?, *version)))
            .collect()
    }

    async fn scan(
        &self,
        build: usize,
        user: usize,
        after: Option<u64>,
        reverse: bool,
        limit: usize,
    ) {
        let key = |seq| encode_row(&row(user, seq, 0));
        let range = ScanRange {
            prefix: Bytes::new(),
            after: after.map(|seq| key(seq).cluster.into()),
            reverse,
            limit,
        };
        let found = self
            .store
            .scan(TABLE, BUILDS[build], &key(0).partition, range)
            .await
            .unwrap();
        let found: Rows = found
            .iter()
            .map(|r| (r.decode().unwrap(), r.version.0))
            .collect();
        let user = row(user, 0, 0).user;
        let mut wanted = self.live(build);
        wanted.retain(|(row, _)| {
            row.user == user
                && after.is_none_or(|a| {
                    if reverse {
                        row.seq.0 < a
                    } else {
                        row.seq.0 > a
                    }
                })
        });
        if reverse {
            wanted.reverse();
        }
        wanted.truncate(limit);
        assert_eq!(found, wanted);
    }

    async fn get(&self, build: usize, user: usize, seq: u64) {
        let key = encode_row(&row(user, seq, 0));
        let found = self
            .store
            .get(TABLE, BUILDS[build], &key.partition, &key.cluster)
            .await;
        let found = found
            .unwrap()
            .map(|r| (r.decode::<HiddenRow>().unwrap(), r.version.0));
        let wanted = self.oracle.get(&(build, key.partition, key.cluster));
        let wanted = wanted.and_then(|(version, row)| Some((row.clone()?, *version)));
        assert_eq!(found, wanted);
    }

    async fn table(&self, build: usize, page: usize) {
        let (mut found, mut after): (Rows, _) = (Vec::new(), None);
        loop {
            let rows = self
                .store
                .scan_table(TABLE, BUILDS[build], after, page)
                .await
                .unwrap();
            let Some(last) = rows.last() else {
                break;
            };
            after = Some((last.partition.clone(), last.cluster.clone()));
            found.extend(
                rows.iter()
                    .map(|r| (r.decode::<HiddenRow>().unwrap(), r.version.0)),
            );
        }
        assert_eq!(found, self.live(build));
    }
}

/// Few cases, as they write to a disk, unless the environment asks for more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig {
        cases: if asked { default.cases } else { 48 },
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn answers_are_those_of_a_map(calls in proptest::collection::vec(call(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut pair = Pair::new().await;
            for call in calls {
                pair.run(call).await;
            }
            for build in [0, 1] {
                pair.table(build, 3).await;
            }
        });
    }
}
