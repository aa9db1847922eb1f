//! The store in memory keeps the laws, and tears and forgets only when told.

use futures_util::FutureExt;
use schemas::ids::{ChatId, UserId};
use schemas::position::{Seq, Timestamp, Version};
use schemas::tables::{HiddenRow, Table, encode_row};

use super::*;
use crate::laws::store::StorePlace;
use crate::runtime::BoxFuture;

const ONE: Generation = Generation(1);

/// A choice for one site, and points that end at once or never.
struct Told {
    site: &'static str,
    choice: u32,
    stops_at: &'static str,
}

impl Faults for Told {
    fn point(&self, site: &'static str) -> BoxFuture<'static, ()> {
        if site == self.stops_at {
            Box::pin(std::future::pending())
        } else {
            Box::pin(std::future::ready(()))
        }
    }

    fn choose(&self, site: &'static str, options: u32) -> u32 {
        if site == self.site {
            self.choice.min(options - 1)
        } else {
            0
        }
    }
}

fn told(site: &'static str, choice: u32) -> Arc<Told> {
    Arc::new(Told {
        site,
        choice,
        stops_at: "",
    })
}

struct Place {
    store: Mutex<MemoryStore>,
    faults: Arc<Told>,
}

#[async_trait]
impl StorePlace for Place {
    async fn open(&self) -> Arc<dyn TableStore> {
        let mut store = self.store.lock();
        *store = store.reopen(self.faults.clone());
        Arc::new(store.clone())
    }

    async fn crash(&self) {
        self.store.lock().crash();
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing here waits")
}

#[test]
fn keeps_the_laws_whatever_a_crash_takes() {
    for lost in [0, 1, 7, u32::MAX] {
        now(crate::laws::store::run(async || Place {
            store: Mutex::new(MemoryStore::new()),
            faults: told("store.crash.lost", lost),
        }));
    }
}

fn row(user: &str) -> HiddenRow {
    let (user, chat) = (UserId::new(user).unwrap(), ChatId::new("d.a.b").unwrap());
    HiddenRow {
        user,
        chat,
        seq: Seq(1),
        at: Timestamp(1),
    }
}

fn store(faults: Arc<dyn Faults>) -> MemoryStore {
    let store = MemoryStore::with_faults(faults);
    now(store.create_tables(&[HiddenRow::DEF], ONE)).unwrap();
    store
}

fn three() -> Vec<Mutation> {
    ["a", "b", "c"]
        .map(|user| Mutation::put(ONE, &row(user), Version(1)))
        .into()
}

fn kept(store: &MemoryStore) -> Vec<bool> {
    let has = |user: &&str| {
        let key = encode_row(&row(user));
        now(store.get(HiddenRow::DEF, ONE, &key.partition, &key.cluster))
            .unwrap()
            .is_some()
    };
    ["a", "b", "c"].iter().map(has).collect()
}

#[test]
fn a_write_is_torn_between_partitions_when_told() {
    let torn = store(told("store.write.torn", 2));
    let answer = now(torn.write(three()));
    assert!(answer.is_err_and(|e| e.is_retryable()));
    assert_eq!(kept(&torn), [true, true, false]);
    let turned = store(told("store.write.first", 1));
    now(turned.write(three())).unwrap();
    assert_eq!(kept(&turned), [true, true, true]);
}

#[test]
fn a_write_dropped_between_partitions_leaves_the_rest_unwritten() {
    let faults = Told {
        site: "store.write.first",
        choice: 2,
        stops_at: "store.write.between",
    };
    let store = store(Arc::new(faults));
    assert!(store.write(three()).now_or_never().is_none());
    assert_eq!(kept(&store), [false, false, true]);
}

#[test]
fn a_failed_write_may_have_happened() {
    for (choice, written) in [(1, false), (2, true)] {
        let store = store(told("store.write", choice));
        assert!(now(store.write(three())).is_err());
        assert_eq!(kept(&store), [written; 3]);
    }
}

#[test]
fn a_crash_takes_as_many_unsynced_writes_as_told() {
    for lost in 0..=3 {
        let before = store(told("store.crash.lost", lost));
        for mutation in three() {
            now(before.write(vec![mutation])).unwrap();
        }
        before.crash();
        assert!(matches!(now(before.sync()), Err(StoreError::Closed)));
        let after = before.reopen(Arc::new(NoFaults));
        assert_eq!(kept(&after), [lost < 3, lost < 2, lost < 1]);
    }
}

#[test]
fn a_zombie_beside_a_living_store_writes_to_the_same_tables() {
    let zombie = store(Arc::new(NoFaults));
    let live = zombie.reopen(Arc::new(NoFaults));
    now(zombie.write(three())).unwrap();
    assert_eq!(kept(&live), [true; 3]);
    now(live.close()).unwrap();
    now(zombie.write(three())).unwrap();
}
