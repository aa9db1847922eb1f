//! Tailing: waits without polling, misses nothing, doubles nothing, starts anywhere.

use futures_util::FutureExt;
use futures_util::future::join;

use super::*;

pub(super) async fn run<P: LogPlace>(fresh: &impl AsyncFn() -> P) {
    a_tail_reads_what_stands_there_then_waits_then_wakes(&fresh().await).await;
    a_tail_misses_nothing_while_others_append(&fresh().await).await;
    a_tail_starts_at_any_offset(&fresh().await).await;
    a_tail_reads_only_its_partitions(&fresh().await).await;
    a_dropped_next_skips_nothing(&fresh().await).await;
    a_durable_tail_waits_for_the_sync_and_an_appended_one_does_not(&fresh().await).await;
    a_tail_far_behind_catches_up_without_a_hole(&fresh().await).await;
    a_busy_partition_starves_no_other(&fresh().await).await;
    a_tail_that_is_changed_goes_on_with_what_it_kept(&fresh().await).await;
    a_partition_that_comes_back_is_read_from_where_it_is_told(&fresh().await).await;
    a_partition_that_comes_back_to_where_it_went_has_no_hole(&fresh().await).await;
}

async fn a_tail_reads_what_stands_there_then_waits_then_wakes(place: &impl LogPlace) {
    let log = opened(place).await;
    for topic in [EACH, SYNCED] {
        append(&*log, topic, 0, &["a", "b"]).await;
        log.sync(topic).await.unwrap();
        let mut tail = tail_of(&*log, topic, &[0], Visibility::Durable).await;
        let first = take(&mut *tail, 2, 10).await;
        assert_eq!(first, [(0, 0, "a".to_owned()), (0, 1, "b".to_owned())]);
        let mut next = tail.next(10);
        assert!(waits(&mut next).await, "at the end a tail waits");
        append(&*log, topic, 0, &["c"]).await;
        log.sync(topic).await.unwrap();
        let batches = next.await.unwrap();
        assert_eq!(values(&batches[0].records), ["c"]);
        assert_eq!(batches[0].records[0].offset, Offset(2));
    }
}

async fn a_tail_misses_nothing_while_others_append(place: &impl LogPlace) {
    const RECORDS: usize = 200;
    let log = opened(place).await;
    for (topic, visibility) in [(EACH, Visibility::Durable), (SYNCED, Visibility::Appended)] {
        let mut tail = tail_of(&*log, topic, &[0, 1], visibility).await;
        let appends = async {
            for n in 0..RECORDS {
                let partition = u32::from(n % 3 == 0);
                append(&*log, topic, partition, &[&n.to_string()]).await;
            }
        };
        let (taken, ()) = join(take(&mut *tail, RECORDS, 7), appends).await;
        for partition in 0..2 {
            let mine: Vec<_> = taken.iter().filter(|(p, ..)| *p == partition).collect();
            let expected: Vec<String> = (0..RECORDS)
                .filter(|n| u32::from(n % 3 == 0) == partition)
                .map(|n| n.to_string())
                .collect();
            assert!((0..).zip(&mine).all(|(n, (_, offset, _))| *offset == n));
            assert_eq!(
                mine.iter().map(|(.., v)| v.clone()).collect::<Vec<_>>(),
                expected
            );
        }
    }
}

async fn a_tail_starts_at_any_offset(place: &impl LogPlace) {
    let log = opened(place).await;
    append(&*log, EACH, 0, &["a", "b", "c"]).await;
    append(&*log, EACH, 1, &["x", "y"]).await;
    let from = vec![(Partition(0), Offset(2)), (Partition(1), Offset(2))];
    let mut tail = log.tail(EACH, from, Visibility::Durable).await.unwrap();
    assert_eq!(take(&mut *tail, 1, 10).await, [(0, 2, "c".to_owned())]);
    append(&*log, EACH, 1, &["z"]).await;
    assert_eq!(take(&mut *tail, 1, 10).await, [(1, 2, "z".to_owned())]);
}

async fn a_tail_reads_only_its_partitions(place: &impl LogPlace) {
    let log = opened(place).await;
    let mut tail = tail_of(&*log, EACH, &[2], Visibility::Durable).await;
    append(&*log, EACH, 0, &["not mine"]).await;
    let mut next = tail.next(10);
    assert!(waits(&mut next).await);
    append(&*log, EACH, 1, &["not mine either"]).await;
    append(&*log, EACH, 2, &["mine"]).await;
    let batches = next.await.unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(
        (batches[0].partition, values(&batches[0].records)),
        (Partition(2), vec!["mine".to_owned()])
    );
}

async fn a_dropped_next_skips_nothing(place: &impl LogPlace) {
    let log = opened(place).await;
    let mut tail = tail_of(&*log, EACH, &[0, 1], Visibility::Durable).await;
    let mut taken = Vec::new();
    for n in 0..50 {
        let mut next = tail.next(10);
        // Dropped while it waits, with its answer already on its way.
        assert!(waits(&mut next).await, "everything was taken");
        append(&*log, EACH, n % 2, &[&n.to_string()]).await;
        drop(next);
        // Polled once: dropped if it waits.
        for batch in tail
            .next(10)
            .now_or_never()
            .transpose()
            .unwrap()
            .unwrap_or_default()
        {
            let partition = batch.partition.0;
            taken.extend(
                batch
                    .records
                    .iter()
                    .map(|record| (partition, record.offset.0)),
            );
        }
        let missing = usize::try_from(n).unwrap() + 1 - taken.len();
        let rest = take(&mut *tail, missing, 10).await;
        taken.extend(
            rest.into_iter()
                .map(|(partition, offset, _)| (partition, offset)),
        );
    }
    assert_eq!(taken.len(), 50);
    for partition in 0..2 {
        let mine = taken.iter().filter(|(p, _)| *p == partition);
        assert!((0..).zip(mine).all(|(n, (_, offset))| *offset == n));
    }
}

async fn a_durable_tail_waits_for_the_sync_and_an_appended_one_does_not(place: &impl LogPlace) {
    let log = opened(place).await;
    let mut durable = tail_of(&*log, SYNCED, &[0], Visibility::Durable).await;
    let mut appended = tail_of(&*log, SYNCED, &[0], Visibility::Appended).await;
    append(&*log, SYNCED, 0, &["a"]).await;
    assert_eq!(take(&mut *appended, 1, 10).await, [(0, 0, "a".to_owned())]);
    let mut next = durable.next(10);
    if positions(&*log, SYNCED, 0).await.durable_end == Offset(0) {
        assert!(
            waits(&mut next).await,
            "what is not durable is not visible as durable"
        );
    }
    log.sync(SYNCED).await.unwrap();
    assert_eq!(values(&next.await.unwrap()[0].records), ["a"]);
}

async fn a_tail_far_behind_catches_up_without_a_hole(place: &impl LogPlace) {
    const ROUNDS: usize = 250;
    let log = opened(place).await;
    for n in 0..ROUNDS {
        let batches = (0..LAW_PARTITIONS)
            .map(|p| {
                (
                    Partition(p),
                    numbered(&format!("{n}.{}", "y".repeat(150)), 2),
                )
            })
            .collect();
        log.append_all(SYNCED, batches).await.unwrap();
    }
    let mut tail = tail_of(&*log, SYNCED, &[0, 1, 2, 3], Visibility::Appended).await;
    let expected = ROUNDS * 2 * usize::try_from(LAW_PARTITIONS).unwrap();
    let taken = take(&mut *tail, expected, 33).await;
    assert_eq!(taken.len(), expected);
    for p in 0..LAW_PARTITIONS {
        let mine = taken.iter().filter(|(q, ..)| *q == p);
        assert!((0_u64..).zip(mine).all(|(n, (_, offset, value))| {
            *offset == n && value.starts_with(&format!("{}.", n / 2))
        }));
    }
    let mut next = tail.next(10);
    assert!(waits(&mut next).await);
    append(&*log, SYNCED, 1, &["new"]).await;
    assert_eq!(values(&next.await.unwrap()[0].records), ["new"]);
}

async fn a_busy_partition_starves_no_other(place: &impl LogPlace) {
    let log = opened(place).await;
    let mut tail = tail_of(&*log, EACH, &[0, 1], Visibility::Durable).await;
    log.append(EACH, Partition(0), numbered("busy", 100))
        .await
        .unwrap();
    append(&*log, EACH, 1, &["quiet"]).await;
    let mut calls = 0;
    let mut quiet = false;
    while !quiet {
        // What is handed over is appended again: the busy partition never runs dry.
        let batches = tail.next(10).await.unwrap();
        quiet = batches.iter().any(|batch| batch.partition == Partition(1));
        log.append(EACH, Partition(0), numbered("busy", 10))
            .await
            .unwrap();
        calls += 1;
        assert!(calls < 50, "the quiet partition gets its turn");
    }
}

async fn a_tail_that_is_changed_goes_on_with_what_it_kept(place: &impl LogPlace) {
    const RECORDS: usize = 300;
    let log = opened(place).await;
    for p in 0..LAW_PARTITIONS {
        log.append(SYNCED, Partition(p), numbered("old", RECORDS))
            .await
            .unwrap();
    }
    // It begins with none at all.
    let mut tail = tail_of(&*log, SYNCED, &[], Visibility::Appended).await;
    assert!(waits(&mut tail.next(10)).await, "it has nothing to read");
    let begin = |p| (Partition(p), Offset(0));
    tail.change(&[begin(0), begin(1)], &[]).unwrap();
    let mut taken = take(&mut *tail, 20, 10).await;
    // 1 goes with records of it read ahead, 2 comes; 0 has no hole and nothing twice.
    tail.change(&[(Partition(2), Offset(290))], &[Partition(1)])
        .unwrap();
    let of = |taken: &[(u32, u64, String)], p| taken.iter().filter(|(q, ..)| *q == p).count();
    let from_one = of(&taken, 1);
    let missing = RECORDS - of(&taken, 0) + 10;
    taken.extend(take(&mut *tail, missing, 33).await);
    assert_eq!((of(&taken, 1), of(&taken, 2)), (from_one, 10));
    let mine = taken.iter().filter(|(p, ..)| *p == 0);
    assert!((0..).zip(mine).all(|(n, (_, offset, _))| *offset == n));
    let mine = taken.iter().filter(|(p, ..)| *p == 2);
    assert!((290..).zip(mine).all(|(n, (_, offset, _))| *offset == n));
    let mut next = tail.next(10);
    assert!(waits(&mut next).await);
    append(&*log, SYNCED, 1, &["no longer mine"]).await;
    append(&*log, SYNCED, 2, &["new"]).await;
    assert_eq!(values(&next.await.unwrap()[0].records), ["new"]);
    let unknown = tail.change(&[begin(LAW_PARTITIONS)], &[]).unwrap_err();
    assert!(matches!(unknown, LogError::UnknownPartition(..)));
}

async fn a_partition_that_comes_back_is_read_from_where_it_is_told(place: &impl LogPlace) {
    let log = opened(place).await;
    let (first, other) = (Partition(0), Partition(1));
    let mut tail = tail_of(&*log, SYNCED, &[0], Visibility::Appended).await;
    for round in 0..20 {
        log.append(SYNCED, first, numbered("away", 40))
            .await
            .unwrap();
        log.append(SYNCED, first, numbered("back", 10))
            .await
            .unwrap();
        take(&mut *tail, 1, 1).await;
        tail.change(&[(other, Offset(0))], &[first]).unwrap();
        // At once back, as some of what was read before may still be on its way.
        let from = Offset(round * 50 + 40);
        tail.change(&[(first, from)], &[other]).unwrap();
        let taken = take(&mut *tail, 10, 3).await;
        let offsets: Vec<u64> = taken.into_iter().map(|(_, offset, _)| offset).collect();
        assert_eq!(offsets, (from.0..from.0 + 10).collect::<Vec<_>>());
    }
}

async fn a_partition_that_comes_back_to_where_it_went_has_no_hole(place: &impl LogPlace) {
    // More than a log reads ahead at once.
    const RECORDS: usize = 5_000;
    let log = opened(place).await;
    let first = Partition(0);
    log.append(SYNCED, first, numbered("many", RECORDS))
        .await
        .unwrap();
    let mut tail = tail_of(&*log, SYNCED, &[0], Visibility::Appended).await;
    let mut taken = Vec::new();
    while taken.len() < RECORDS {
        // Some of what was read ahead waits, and some is on its way.
        let missing = RECORDS - taken.len();
        taken.extend(take(&mut *tail, missing.min(700), 700).await);
        tail.change(&[], &[first]).unwrap();
        let from = Offset(u64::try_from(taken.len()).unwrap());
        tail.change(&[(first, from)], &[]).unwrap();
    }
    assert!((0..).zip(&taken).all(|(n, (_, offset, _))| *offset == n));
    assert_eq!(taken.len(), RECORDS);
}
