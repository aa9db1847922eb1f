//! Laws of opening and closing: what survives, and what a closed store answers.

use super::*;
use crate::store::StoreError;

pub(super) async fn run<P: StorePlace>(fresh: &impl AsyncFn() -> P) {
    a_closed_store_comes_back_whole(&fresh().await).await;
    what_was_synced_survives_a_crash(&fresh().await).await;
    a_crash_loses_only_the_newest_writes(&fresh().await).await;
    versions_and_deletes_survive(&fresh().await).await;
    dropped_builds_stay_dropped(&fresh().await).await;
    a_closed_store_refuses_everything(&fresh().await).await;
}

async fn a_closed_store_comes_back_whole(place: &impl StorePlace) {
    let store = opened(place).await;
    write(
        &*store,
        (1..=30).map(|seq| put(&hidden("ada", seq, 1), seq)),
    )
    .await;
    write(&*store, [put(&mark("ada", "phone", 0), 9)]).await;
    store.close().await.unwrap();
    drop(store);
    let store = place.open().await;
    assert_eq!(
        scan(&*store, &hidden("ada", 0, 0), whole(100)).await.len(),
        30
    );
    let row = mark("ada", "phone", 0);
    assert_eq!(read(&*store, &row).await, Some((row, 9)));
}

async fn what_was_synced_survives_a_crash(place: &impl StorePlace) {
    let store = opened(place).await;
    write(
        &*store,
        (1..=30).map(|seq| put(&hidden("ada", seq, 1), seq)),
    )
    .await;
    store.sync().await.unwrap();
    write(&*store, [put(&hidden("ada", 31, 1), 31)]).await;
    drop(store);
    place.crash().await;
    let store = place.open().await;
    let rows = scan(&*store, &hidden("ada", 0, 0), whole(100)).await;
    assert!(rows.len() >= 30, "{} of 30 synced rows", rows.len());
}

async fn a_crash_loses_only_the_newest_writes(place: &impl StorePlace) {
    let store = opened(place).await;
    // One call each, over several partitions and tables: rows are numbered by their version.
    for number in 1..=40u64 {
        let user = ["ada", "bob", "eve"][usize::try_from(number % 3).unwrap()];
        if number % 2 == 0 {
            write(&*store, [put(&hidden(user, number, 1), number)]).await;
        } else {
            write(&*store, [put(&mark(user, "phone", number), number)]).await;
        }
    }
    drop(store);
    place.crash().await;
    let store = place.open().await;
    let mut found: Vec<u64> = Vec::new();
    for table in TABLES {
        found.extend(
            pages(&*store, table, 7)
                .await
                .iter()
                .map(|row| row.version.0),
        );
    }
    found.sort_unstable();
    let kept: Vec<u64> = (1..=40).take(found.len()).collect();
    assert_eq!(found, kept, "the oldest writes are kept, without a hole");
}

async fn versions_and_deletes_survive(place: &impl StorePlace) {
    let store = opened(place).await;
    let (kept, gone) = (hidden("ada", 1, 1), hidden("ada", 2, 1));
    write(&*store, [put(&kept, 8), put(&gone, 8), delete(&gone, 9)]).await;
    store.close().await.unwrap();
    drop(store);
    let store = place.open().await;
    write(&*store, [put(&hidden("ada", 1, 7), 7), put(&gone, 9)]).await;
    assert_eq!(read(&*store, &kept).await, Some((kept.clone(), 8)));
    assert_eq!(read(&*store, &gone).await, None);
}

async fn dropped_builds_stay_dropped(place: &impl StorePlace) {
    let store = opened(place).await;
    store.create_tables(&TABLES, TWO).await.unwrap();
    write(
        &*store,
        [Mutation::put(TWO, &hidden("ada", 1, 1), Version(1))],
    )
    .await;
    store.drop_tables(&TABLES, TWO).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = place.open().await;
    let answer = store.scan_table(HiddenRow::DEF, TWO, None, 1).await;
    assert!(
        matches!(answer, Err(StoreError::UnknownTable { .. })),
        "{answer:?}"
    );
    assert!(pages(&*store, HiddenRow::DEF, 5).await.is_empty());
}

async fn a_closed_store_refuses_everything(place: &impl StorePlace) {
    let store = opened(place).await;
    let row = hidden("ada", 1, 1);
    let key = encode_row(&row);
    write(&*store, [put(&row, 1)]).await;
    store.close().await.unwrap();
    store.close().await.unwrap();
    let (table, partition) = (HiddenRow::DEF, &key.partition);
    let answers = [
        store.write(vec![put(&row, 2)]).await.err(),
        store.get(table, ONE, partition, &key.cluster).await.err(),
        store.scan(table, ONE, partition, whole(1)).await.err(),
        store.scan_table(table, ONE, None, 1).await.err(),
        store.create_tables(&TABLES, TWO).await.err(),
        store.drop_tables(&TABLES, ONE).await.err(),
        store.sync().await.err(),
    ];
    for (place, answer) in answers.into_iter().enumerate() {
        assert!(
            matches!(answer, Some(StoreError::Closed)),
            "call {place}: {answer:?}"
        );
    }
}
