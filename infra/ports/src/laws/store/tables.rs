//! Laws of tables: they are made before they are used, builds do not touch each other, and what is
//! dropped is gone.

use schemas::tables::ChatRow;

use super::*;
use crate::store::StoreError;

pub(super) async fn run<P: StorePlace>(fresh: &impl AsyncFn() -> P) {
    an_unknown_table_is_refused(&fresh().await).await;
    creating_again_keeps_the_rows(&fresh().await).await;
    builds_of_a_table_are_apart(&fresh().await).await;
    a_dropped_build_is_gone(&fresh().await).await;
}

fn is_unknown<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::UnknownTable { .. }))
}

async fn an_unknown_table_is_refused(place: &impl StorePlace) {
    let store = opened(place).await;
    let row = hidden("ada", 1, 1);
    let key = encode_row(&row);
    let elsewhere = Mutation::put(TWO, &row, Version(1));
    // The known table comes first: nothing of the call is written.
    assert!(is_unknown(store.write(vec![put(&row, 1), elsewhere]).await));
    assert_eq!(read(&*store, &row).await, None);
    let (table, partition) = (HiddenRow::DEF, &key.partition);
    assert!(is_unknown(
        store.get(table, TWO, partition, &key.cluster).await
    ));
    assert!(is_unknown(
        store.scan(table, TWO, partition, whole(1)).await
    ));
    assert!(is_unknown(store.scan_table(table, TWO, None, 1).await));
    assert!(is_unknown(
        store.get(ChatRow::DEF, ONE, partition, &[]).await
    ));
}

async fn creating_again_keeps_the_rows(place: &impl StorePlace) {
    let store = opened(place).await;
    let row = hidden("ada", 1, 1);
    write(&*store, [put(&row, 1)]).await;
    store.create_tables(&TABLES, ONE).await.unwrap();
    assert_eq!(read(&*store, &row).await, Some((row, 1)));
}

async fn in_build(store: &dyn TableStore, generation: Generation) -> usize {
    let rows = store
        .scan_table(HiddenRow::DEF, generation, None, 100)
        .await;
    rows.unwrap().len()
}

async fn builds_of_a_table_are_apart(place: &impl StorePlace) {
    let store = opened(place).await;
    store.create_tables(&TABLES, TWO).await.unwrap();
    write(&*store, [put(&hidden("ada", 1, 1), 5)]).await;
    assert_eq!(
        (in_build(&*store, ONE).await, in_build(&*store, TWO).await),
        (1, 0)
    );
    let other = Mutation::put(TWO, &hidden("ada", 1, 2), Version(1));
    write(&*store, [other, delete(&hidden("ada", 1, 1), 6)]).await;
    assert_eq!(
        (in_build(&*store, ONE).await, in_build(&*store, TWO).await),
        (0, 1)
    );
}

async fn a_dropped_build_is_gone(place: &impl StorePlace) {
    let store = opened(place).await;
    store.create_tables(&TABLES, TWO).await.unwrap();
    let row = hidden("ada", 1, 1);
    write(
        &*store,
        [put(&row, 1), Mutation::put(TWO, &row, Version(1))],
    )
    .await;
    for _ in 0..2 {
        store.drop_tables(&TABLES, TWO).await.unwrap();
        assert!(is_unknown(
            store.scan_table(HiddenRow::DEF, TWO, None, 1).await
        ));
    }
    assert_eq!(in_build(&*store, ONE).await, 1);
    store.create_tables(&TABLES, TWO).await.unwrap();
    assert_eq!(
        in_build(&*store, TWO).await,
        0,
        "a build made again begins empty"
    );
    // An old version counts again: nothing is left of the build before.
    write(&*store, [Mutation::put(TWO, &row, Version(1))]).await;
    assert_eq!(in_build(&*store, TWO).await, 1);
}
