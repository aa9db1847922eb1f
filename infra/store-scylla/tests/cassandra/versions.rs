//! Versions are write timestamps: whoever writes late, twice or in another order changes nothing.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use infra_ports::TableStore;
use infra_ports::memory::MemoryStore;
use infra_ports::store::{Mutation, StoreError};
use schemas::position::Version;
use schemas::tables::{Digest, MarkRow, Table};

use super::{ONE, SERVERS, all, fresh, mark, marks, put, with};

#[tokio::test]
async fn of_writers_out_of_order_the_newest_row_stands_whole() {
    let servers = SERVERS.read().await;
    let config = fresh(&servers);
    let stores = [
        with(&config, &[MarkRow::DEF]).await,
        with(&config, &[MarkRow::DEF]).await,
    ];
    let mut newest = BTreeMap::new();
    let mut writes = Vec::new();
    for version in 1..=400 {
        let since = version % 7;
        writes.push(put(&mark("a", since, version), version));
        newest.insert(since, version);
    }
    fastrand::Rng::with_seed(7).shuffle(&mut writes);
    let (mine, theirs) = writes.split_at(200);
    let all_of = |store: usize, writes: &[Mutation]| {
        let sent = writes.chunks(5).map(<[Mutation]>::to_vec);
        join_all(sent.map(|few| stores[store].write(few)).collect::<Vec<_>>())
    };
    let (mine, theirs) = futures_util::join!(all_of(0, mine), all_of(1, theirs));
    assert!(mine.iter().chain(&theirs).all(Result::is_ok));
    let found = marks(&stores[0]).await;
    let found: BTreeMap<_, _> = found.iter().map(|(row, of)| (row.since.0, *of)).collect();
    assert_eq!(found, newest);
}

/// What a projector writes of a partition, in the order of its origin.
fn history() -> Vec<Mutation> {
    let mut random = fastrand::Rng::with_seed(11);
    let write = |version| {
        let row = mark(
            ["a", "b", "c"][random.usize(..3)],
            random.u64(..20),
            version,
        );
        if random.u8(..5) == 0 {
            Mutation::delete::<MarkRow>(ONE, &row.key(), Version(version))
        } else {
            put(&row, version)
        }
    };
    (1..=600).map(write).collect()
}

async fn digest(store: &dyn TableStore) -> Digest {
    let mut digest = Digest::default();
    for row in all(store, MarkRow::DEF).await {
        digest.add(&row.partition, &row.cluster, &row.values);
    }
    digest
}

#[tokio::test]
async fn a_zombie_projector_changes_nothing() {
    let servers = SERVERS.read().await;
    let config = fresh(&servers);
    let live = with(&config, &[MarkRow::DEF]).await;
    let zombie = with(&config, &[MarkRow::DEF]).await;
    let alone = MemoryStore::new();
    alone.create_tables(&[MarkRow::DEF], ONE).await.unwrap();
    alone.write(history()).await.unwrap();
    // The zombie cuts its work elsewhere and is behind all the time.
    let works = async {
        for few in history().chunks(23) {
            live.write(few.to_vec()).await.unwrap();
        }
    };
    let lags = async {
        for few in history()[..450].chunks(7) {
            zombie.write(few.to_vec()).await.unwrap();
        }
    };
    futures_util::join!(works, lags);
    assert_eq!(digest(&live).await, digest(&alone).await);
    zombie.write(history()[100..300].to_vec()).await.unwrap();
    assert_eq!(digest(&live).await, digest(&alone).await);
}

#[tokio::test]
async fn what_the_server_refuses_is_not_worth_a_retry() {
    let servers = SERVERS.read().await;
    let store = with(&fresh(&servers), &[MarkRow::DEF]).await;
    let mut write = put(&mark("a", 1, 1), 1);
    let endless = [vec![b'x'; 70_000], vec![0, 1]].concat();
    write.partition = endless.into();
    let refused = store.write(vec![write.clone()]).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Refused { table: "marks", .. }),
        "{refused}"
    );
    write.partition = b"no key".as_slice().into();
    let refused = store.write(vec![write]).await.unwrap_err();
    assert!(!refused.is_retryable(), "{refused}");
    store.write(vec![put(&mark("a", 1, 1), 1)]).await.unwrap();
}
