//! Reading: windows, visibility, positions, what is no longer kept.

use super::*;
use crate::log::LogError;

pub(super) async fn run<P: LogPlace>(fresh: &impl AsyncFn() -> P) {
    reading_starts_anywhere_and_stops_at_the_limit(&fresh().await).await;
    a_long_log_is_read_piece_by_piece_without_a_hole(&fresh().await).await;
    what_is_appended_to_a_synced_topic_is_durable_after_a_sync(&fresh().await).await;
    what_is_appended_with_each_append_is_durable_at_once(&fresh().await).await;
    what_retention_dropped_is_out_of_range(&fresh().await).await;
}

async fn reading_starts_anywhere_and_stops_at_the_limit(place: &impl LogPlace) {
    let log = opened(place).await;
    append(&*log, EACH, 0, &["a", "b", "c", "d", "e"]).await;
    append(&*log, EACH, 1, &["other"]).await;
    let windows: [(u64, usize, &[&str]); 6] = [
        (0, 2, &["a", "b"]),
        (2, 2, &["c", "d"]),
        (3, 100, &["d", "e"]),
        (5, 10, &[]),
        (99, 10, &[]),
        (0, 0, &[]),
    ];
    for (from, max, expected) in windows {
        let read = log
            .read(EACH, Partition(0), Offset(from), max, Visibility::Durable)
            .await;
        let read = read.unwrap();
        assert_eq!(values(&read), expected);
        assert!((from..).zip(&read).all(|(n, record)| record.offset.0 == n));
    }
}

async fn a_long_log_is_read_piece_by_piece_without_a_hole(place: &impl LogPlace) {
    const ROUNDS: u64 = 300;
    let log = opened(place).await;
    for n in 0..ROUNDS {
        let batches = (0..LAW_PARTITIONS)
            .map(|p| {
                (
                    Partition(p),
                    numbered(&format!("{p}.{n}.{}", "x".repeat(200)), 2),
                )
            })
            .collect();
        log.append_all(SYNCED, batches).await.unwrap();
    }
    log.sync(SYNCED).await.unwrap();
    for p in 0..LAW_PARTITIONS {
        let mut next = 0;
        while next < ROUNDS * 2 {
            let read = log
                .read(SYNCED, Partition(p), Offset(next), 37, Visibility::Durable)
                .await;
            let read = read.unwrap();
            assert!(!read.is_empty() && read.len() <= 37);
            for (record, value) in read.iter().zip(values(&read)) {
                assert_eq!(record.offset.0, next);
                assert!(value.starts_with(&format!("{p}.{}.", next / 2)));
                next += 1;
            }
        }
    }
}

async fn what_is_appended_to_a_synced_topic_is_durable_after_a_sync(place: &impl LogPlace) {
    let log = opened(place).await;
    append(&*log, SYNCED, 0, &["a", "b"]).await;
    append(&*log, SYNCED, 1, &["x"]).await;
    let ends = positions(&*log, SYNCED, 0).await;
    assert_eq!((ends.first, ends.end), (Offset(0), Offset(2)));
    assert!(ends.durable_end <= ends.end);
    let appended = read_all(&*log, SYNCED, 0, Visibility::Appended).await;
    assert_eq!(values(&appended), ["a", "b"]);
    let durable = read_all(&*log, SYNCED, 0, Visibility::Durable).await;
    let below_durable_end: Vec<Record> = appended
        .into_iter()
        .filter(|record| record.offset < ends.durable_end)
        .collect();
    assert_eq!(
        durable, below_durable_end,
        "nothing beyond the durable end is visible as durable"
    );
    log.sync(SYNCED).await.unwrap();
    let ends = positions(&*log, SYNCED, 0).await;
    assert_eq!((ends.durable_end, ends.end), (Offset(2), Offset(2)));
    assert_eq!(positions(&*log, SYNCED, 1).await.durable_end, Offset(1));
    assert_eq!(
        values(&read_all(&*log, SYNCED, 0, Visibility::Durable).await),
        ["a", "b"]
    );
}

async fn what_is_appended_with_each_append_is_durable_at_once(place: &impl LogPlace) {
    let log = opened(place).await;
    let empty = positions(&*log, EACH, 0).await;
    assert_eq!(
        (empty.first, empty.durable_end, empty.end),
        (Offset(0), Offset(0), Offset(0))
    );
    append(&*log, EACH, 0, &["a", "b"]).await;
    let ends = positions(&*log, EACH, 0).await;
    assert_eq!(
        (ends.first, ends.durable_end, ends.end),
        (Offset(0), Offset(2), Offset(2))
    );
    assert_eq!(
        values(&read_all(&*log, EACH, 0, Visibility::Durable).await),
        ["a", "b"]
    );
    log.sync(EACH).await.unwrap();
}

async fn what_retention_dropped_is_out_of_range(place: &impl LogPlace) {
    const RECORDS: u64 = 400;
    let log = opened(place).await;
    for n in 0..RECORDS {
        let value = format!("{n}.{}", "x".repeat(200));
        let batches = (0..LAW_PARTITIONS)
            .map(|p| (Partition(p), vec![record(&value)]))
            .collect();
        log.append_all(SYNCED, batches).await.unwrap();
    }
    append(&*log, SYNCED, 1, &["one more"]).await;
    log.sync(SYNCED).await.unwrap();
    place.expire().await;
    let some = [2, 0, 1].map(Partition);
    let ends = log.positions_of(SYNCED, &some).await.unwrap();
    for (partition, ends) in some.iter().zip(&ends) {
        assert_eq!(*ends, positions(&*log, SYNCED, partition.0).await);
    }
    assert_eq!(log.positions_of(SYNCED, &[]).await.unwrap(), []);
    for p in 0..LAW_PARTITIONS {
        let ends = positions(&*log, SYNCED, p).await;
        assert!(
            ends.first > Offset(0) && ends.first < Offset(RECORDS),
            "some went, some stay"
        );
        assert_eq!(ends.end, Offset(RECORDS + u64::from(p == 1)));
        let below = Offset(ends.first.0 - 1);
        let read = log
            .read(SYNCED, Partition(p), below, 1, Visibility::Durable)
            .await;
        assert!(
            matches!(read, Err(LogError::OutOfRange { asked, first, .. })
            if asked == below && first == ends.first)
        );
        let kept = log
            .read(SYNCED, Partition(p), ends.first, 1, Visibility::Durable)
            .await;
        assert!(values(&kept.unwrap())[0].starts_with(&format!("{}.", ends.first)));
    }
    let mut tail = tail_of(&*log, SYNCED, &[0], Visibility::Durable).await;
    assert!(matches!(
        tail.next(10).await,
        Err(LogError::OutOfRange { .. })
    ));
}
