//! Laws of writing: versions, ties, order within a call, partitions whole, many writers.

use std::pin::pin;
use std::task::Poll;

use futures_util::future::join_all;
use schemas::position::Timestamp;

use super::*;

pub(super) async fn run<P: StorePlace>(fresh: &impl AsyncFn() -> P) {
    a_row_comes_back_as_it_went(&fresh().await).await;
    applying_twice_is_applying_once(&fresh().await).await;
    older_never_overwrites_newer(&fresh().await).await;
    a_load_is_many_writes(&fresh().await).await;
    a_deleted_row_stays_deleted(&fresh().await).await;
    any_order_of_writes_ends_the_same(&fresh().await).await;
    mutations_of_a_call_apply_in_their_order(&fresh().await).await;
    a_scan_sees_a_partition_whole(&fresh().await).await;
    concurrent_writers_lose_nothing(&fresh().await).await;
    a_cancelled_write_leaves_partitions_whole(&fresh().await).await;
}

async fn a_row_comes_back_as_it_went(place: &impl StorePlace) {
    let store = opened(place).await;
    let row = hidden("ada", 1, 5);
    assert_eq!(read(&*store, &row).await, None);
    write(&*store, [put(&row, 7)]).await;
    assert_eq!(read(&*store, &row).await, Some((row.clone(), 7)));
    assert_eq!(read(&*store, &hidden("ada", 2, 0)).await, None);
    assert_eq!(read(&*store, &hidden("bob", 1, 0)).await, None);
    write(&*store, []).await;
}

async fn applying_twice_is_applying_once(place: &impl StorePlace) {
    let store = opened(place).await;
    let (kept, gone) = (hidden("ada", 1, 5), hidden("ada", 2, 5));
    let writes = [put(&kept, 3), put(&gone, 3), delete(&gone, 4)];
    for _ in 0..2 {
        write(&*store, writes.clone()).await;
        assert_eq!(read(&*store, &kept).await, Some((kept.clone(), 3)));
        assert_eq!(read(&*store, &gone).await, None);
        assert_eq!(scan(&*store, &kept, whole(9)).await.len(), 1);
    }
}

async fn older_never_overwrites_newer(place: &impl StorePlace) {
    let store = opened(place).await;
    let (old, new) = (hidden("ada", 1, 1), hidden("ada", 1, 2));
    write(&*store, [put(&new, 10)]).await;
    write(&*store, [put(&old, 9)]).await;
    write(&*store, [delete(&old, 9)]).await;
    assert_eq!(read(&*store, &new).await, Some((new.clone(), 10)));
    write(&*store, [put(&old, 11)]).await;
    assert_eq!(read(&*store, &new).await, Some((old, 11)));
}

async fn a_load_is_many_writes(place: &impl StorePlace) {
    let store = opened(place).await;
    let newer = hidden("ada", 3, 9);
    write(&*store, [put(&newer, 50)]).await;
    let rows: Vec<_> = (1..=900).map(|seq| hidden("ada", seq, 1)).collect();
    let mut loaded: Vec<_> = rows.iter().map(|row| put(row, 7)).collect();
    let (twice, gone) = (hidden("ada", 5, 2), hidden("ada", 6, 0));
    loaded.extend([put(&twice, 8), delete(&gone, 7)]);
    for _ in 0..2 {
        store.load(&loaded).await.unwrap();
        assert_eq!(read(&*store, &newer).await, Some((newer.clone(), 50)));
        assert_eq!(read(&*store, &twice).await, Some((twice.clone(), 8)));
        assert_eq!(read(&*store, &gone).await, None);
        assert_eq!(scan(&*store, &newer, whole(2_000)).await.len(), 899);
    }
    store.load(&[]).await.unwrap();
}

async fn a_deleted_row_stays_deleted(place: &impl StorePlace) {
    let store = opened(place).await;
    let row = hidden("ada", 1, 1);
    write(&*store, [put(&row, 5), delete(&row, 6)]).await;
    write(&*store, [put(&row, 5)]).await;
    assert_eq!(
        read(&*store, &row).await,
        None,
        "an older put after a delete"
    );
    write(&*store, [put(&row, 6)]).await;
    assert_eq!(read(&*store, &row).await, None, "a delete wins a tie");
    write(&*store, [put(&row, 7)]).await;
    assert_eq!(read(&*store, &row).await, Some((row.clone(), 7)));
    write(&*store, [delete(&row, 7)]).await;
    assert_eq!(
        read(&*store, &row).await,
        None,
        "a delete wins a tie, whichever came first"
    );
    let never = hidden("bob", 9, 1);
    write(&*store, [delete(&never, 3)]).await;
    write(&*store, [put(&never, 2)]).await;
    assert_eq!(read(&*store, &never).await, None, "a delete before its put");
}

async fn any_order_of_writes_ends_the_same(place: &impl StorePlace) {
    let store = opened(place).await;
    // Each user is a partition that gets the same four writes in another order.
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]];
    for (user, order) in ["a", "b", "c", "d"].into_iter().zip(orders) {
        let row = |at| hidden(user, 1, at);
        let writes = [
            put(&row(1), 1),
            delete(&row(2), 2),
            put(&row(3), 3),
            put(&row(4), 4),
        ];
        for place in order {
            write(&*store, [writes[place].clone()]).await;
        }
        assert_eq!(
            read(&*store, &row(0)).await,
            Some((row(4), 4)),
            "order {order:?}"
        );
    }
}

async fn mutations_of_a_call_apply_in_their_order(place: &impl StorePlace) {
    let store = opened(place).await;
    let row = |at| hidden("ada", 1, at);
    write(&*store, [put(&row(1), 1), put(&row(2), 2), put(&row(0), 1)]).await;
    assert_eq!(read(&*store, &row(0)).await, Some((row(2), 2)));
    write(&*store, [delete(&row(0), 3), put(&row(4), 4)]).await;
    assert_eq!(read(&*store, &row(0)).await, Some((row(4), 4)));
    write(&*store, [put(&row(5), 5), delete(&row(0), 6)]).await;
    assert_eq!(read(&*store, &row(0)).await, None);
}

/// Rows of one partition, all of one write.
fn batch(user: &str, version: u64) -> Vec<Mutation> {
    let at = i64::try_from(version).unwrap();
    (1..=20)
        .map(|seq| put(&hidden(user, seq, at), version))
        .collect()
}

/// All rows of the partition are of one write, or there is none.
fn assert_whole(rows: &[StoredRow]) {
    let Some(first) = rows.first() else {
        return;
    };
    assert_eq!(rows.len(), 20, "all rows of a write, or none");
    assert!(
        rows.iter().all(|row| row.version == first.version),
        "rows of two writes"
    );
}

async fn a_scan_sees_a_partition_whole(place: &impl StorePlace) {
    let store = opened(place).await;
    let writer = async {
        for version in 1..=50 {
            write(&*store, batch("ada", version)).await;
        }
    };
    let reader = async {
        for _ in 0..50 {
            assert_whole(&scan(&*store, &hidden("ada", 1, 0), whole(100)).await);
        }
    };
    futures_util::future::join(writer, reader).await;
    assert_whole(&scan(&*store, &hidden("ada", 1, 0), whole(100)).await);
}

async fn concurrent_writers_lose_nothing(place: &impl StorePlace) {
    let store = opened(place).await;
    // Eight writers of one row and of a row of their own each; versions differ.
    let writers = (0..8u64).map(|writer| {
        let store = &store;
        async move {
            for round in 0..25u64 {
                let version = round * 8 + writer + 1;
                let at = i64::try_from(version).unwrap();
                let own = hidden("ada", 100 + writer, at);
                write(
                    &**store,
                    [put(&hidden("ada", 1, at), version), put(&own, version)],
                )
                .await;
            }
        }
    });
    join_all(writers).await;
    let (row, version) = read(&*store, &hidden("ada", 1, 0)).await.unwrap();
    assert_eq!((row.at, version), (Timestamp(200), 200));
    for writer in 0..8u64 {
        let (_, version) = read(&*store, &hidden("ada", 100 + writer, 0))
            .await
            .unwrap();
        assert_eq!(version, 24 * 8 + writer + 1);
    }
}

async fn a_cancelled_write_leaves_partitions_whole(place: &impl StorePlace) {
    let store = opened(place).await;
    for polls in 0..6 {
        let users = ["ada", "bob", "eve"];
        let version = polls + 1;
        let mutations = users.iter().flat_map(|user| batch(user, version)).collect();
        {
            let mut write = pin!(store.write(mutations));
            for _ in 0..polls {
                let ended = std::future::poll_fn(|context| {
                    Poll::Ready(write.as_mut().poll(context).is_ready())
                });
                if ended.await {
                    break;
                }
            }
        }
        // A write after it: what the cancelled one does late must not tear it.
        write(&*store, batch("ada", version)).await;
        for user in users {
            assert_whole(&scan(&*store, &hidden(user, 1, 0), whole(100)).await);
        }
    }
}
