//! Laws of reading: key order, prefixes, pages in both directions, whole tables.

use std::collections::BTreeSet;

use schemas::tables::encode_cluster_prefix;

use super::*;

pub(super) async fn run<P: StorePlace>(fresh: &impl AsyncFn() -> P) {
    rows_come_in_key_order(&fresh().await).await;
    pages_join_into_the_whole_both_ways(&fresh().await).await;
    a_prefix_takes_exactly_its_keys(&fresh().await).await;
    a_scan_begins_behind_the_beginning_of_a_key(&fresh().await).await;
    deleted_rows_take_no_room_in_a_page(&fresh().await).await;
    a_table_is_read_whole_each_row_once(&fresh().await).await;
}

async fn rows_come_in_key_order(place: &impl StorePlace) {
    let store = opened(place).await;
    let seqs = [300, 2, 1, 256, 255, 70_000, 1_000];
    write(&*store, seqs.map(|seq| put(&hidden("ada", seq, 0), 1))).await;
    // Neighbours in every store's key order: they belong to other partitions.
    write(
        &*store,
        ["ad", "ada-", "adb"].map(|user| put(&hidden(user, 5, 0), 1)),
    )
    .await;
    let mut sorted = seqs;
    sorted.sort_unstable();
    let seqs_of = |rows: &[StoredRow]| -> Vec<u64> {
        decoded::<HiddenRow>(rows)
            .iter()
            .map(|row| row.seq.0)
            .collect()
    };
    let forward = scan(&*store, &hidden("ada", 0, 0), whole(100)).await;
    assert_eq!(seqs_of(&forward), sorted);
    let reverse = ScanRange {
        reverse: true,
        ..whole(100)
    };
    let mut backward = seqs_of(&scan(&*store, &hidden("ada", 0, 0), reverse).await);
    backward.reverse();
    assert_eq!(backward, sorted);
    assert!(
        scan(&*store, &hidden("zoe", 0, 0), whole(100))
            .await
            .is_empty()
    );
    assert!(
        scan(&*store, &hidden("ada", 0, 0), whole(0))
            .await
            .is_empty()
    );
}

/// Rows of one partition with three clustering columns, in key order.
fn marks() -> Vec<MarkRow> {
    let mut rows = Vec::new();
    for user in ["a", "ada", "adb", "b"] {
        for device in ["laptop", "phone"] {
            for since in [0, 3, 300] {
                rows.push(mark(user, device, since));
            }
        }
    }
    rows
}

async fn with_marks(place: &impl StorePlace) -> Arc<dyn TableStore> {
    let store = opened(place).await;
    write(&*store, marks().iter().rev().map(|row| put(row, 1))).await;
    store
}

/// Reads a scan page by page.
async fn paged(store: &dyn TableStore, range: ScanRange) -> Vec<MarkRow> {
    let (mut rows, mut range) = (Vec::new(), range);
    loop {
        let page = scan(store, &mark("a", "a", 0), range.clone()).await;
        assert!(page.len() <= range.limit);
        let Some(last) = page.last() else {
            return rows;
        };
        range.after = Some(last.cluster.clone());
        rows.extend(decoded::<MarkRow>(&page));
    }
}

async fn pages_join_into_the_whole_both_ways(place: &impl StorePlace) {
    let store = with_marks(place).await;
    for limit in [1, 2, 5, 24, 100] {
        assert_eq!(paged(&*store, whole(limit)).await, marks(), "limit {limit}");
        let reverse = ScanRange {
            reverse: true,
            ..whole(limit)
        };
        let mut backward = paged(&*store, reverse).await;
        backward.reverse();
        assert_eq!(backward, marks(), "limit {limit}, backward");
    }
}

async fn a_prefix_takes_exactly_its_keys(place: &impl StorePlace) {
    let store = with_marks(place).await;
    for of in marks() {
        for columns in 0..=3 {
            let prefix = encode_cluster_prefix::<MarkRow>(&of.key(), columns);
            let wanted: Vec<MarkRow> = marks()
                .into_iter()
                .filter(|row| columns < 1 || row.user == of.user)
                .filter(|row| columns < 2 || row.device == of.device)
                .filter(|row| columns < 3 || row.since == of.since)
                .collect();
            for (limit, reverse) in [(2, false), (2, true), (100, false), (100, true)] {
                let prefix = prefix.clone().into();
                let range = ScanRange {
                    prefix,
                    after: None,
                    reverse,
                    limit,
                };
                let mut found = paged(&*store, range).await;
                if reverse {
                    found.reverse();
                }
                assert_eq!(found, wanted, "{columns} columns, reverse {reverse}");
            }
        }
    }
}

async fn a_scan_begins_behind_the_beginning_of_a_key(place: &impl StorePlace) {
    let store = with_marks(place).await;
    let key = mark("ada", "phone", 0).key();
    for columns in 1..=2 {
        let after = Some(Bytes::from(encode_cluster_prefix::<MarkRow>(&key, columns)));
        // Every key that begins so comes after its beginning.
        let before = |row: &MarkRow| {
            let user = row.user.cmp(&key.user);
            let place = if columns == 1 {
                user
            } else {
                user.then(row.device.cmp(&key.device))
            };
            place.is_lt()
        };
        let (below, above): (Vec<_>, Vec<_>) = marks().into_iter().partition(before);
        let forward = ScanRange {
            after: after.clone(),
            ..whole(100)
        };
        let found = scan(&*store, &mark("a", "a", 0), forward).await;
        assert_eq!(decoded::<MarkRow>(&found), above, "{columns} columns");
        let backward = ScanRange {
            after,
            reverse: true,
            ..whole(100)
        };
        let mut found = scan(&*store, &mark("a", "a", 0), backward).await;
        found.reverse();
        assert_eq!(
            decoded::<MarkRow>(&found),
            below,
            "{columns} columns, backward"
        );
    }
}

async fn deleted_rows_take_no_room_in_a_page(place: &impl StorePlace) {
    let store = opened(place).await;
    write(&*store, (1..=40).map(|seq| put(&hidden("ada", seq, 0), 1))).await;
    write(
        &*store,
        (1..=40)
            .filter(|s| s % 4 != 0)
            .map(|s| delete(&hidden("ada", s, 0), 2)),
    )
    .await;
    for (reverse, wanted) in [(false, [4, 8, 12]), (true, [40, 36, 32])] {
        let range = ScanRange {
            reverse,
            ..whole(3)
        };
        let rows = decoded::<HiddenRow>(&scan(&*store, &hidden("ada", 0, 0), range).await);
        assert_eq!(rows.iter().map(|row| row.seq.0).collect::<Vec<_>>(), wanted);
    }
    assert_eq!(pages(&*store, HiddenRow::DEF, 3).await.len(), 10);
}

async fn a_table_is_read_whole_each_row_once(place: &impl StorePlace) {
    let store = with_marks(place).await;
    let mut wanted = BTreeSet::new();
    for user in ["ada", "bob", "eve", "a", "z"] {
        for seq in 1..=7 {
            let row = hidden(user, seq, 1);
            write(&*store, [put(&row, seq)]).await;
            wanted.insert((row.user, row.seq.0, seq));
        }
    }
    for limit in [1, 3, 7, 100] {
        let rows = pages(&*store, HiddenRow::DEF, limit).await;
        let found: BTreeSet<_> = rows
            .iter()
            .map(|row| (row.decode::<HiddenRow>().unwrap(), row.version.0))
            .map(|(row, version)| (row.user, row.seq.0, version))
            .collect();
        assert_eq!(rows.len(), wanted.len(), "each row once, limit {limit}");
        assert_eq!(found, wanted, "limit {limit}");
    }
    assert_eq!(pages(&*store, MarkRow::DEF, 5).await.len(), marks().len());
}
