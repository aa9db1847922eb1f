//! Appending: dense offsets, order, sizes, empty batches, many at once, cancelled ones.

use futures_util::future::join_all;

use super::*;
use crate::log::{LogError, MAX_RECORD_BYTES};

pub(super) async fn run<P: LogPlace>(fresh: &impl AsyncFn() -> P) {
    offsets_are_dense_from_zero_in_each_partition(&fresh().await).await;
    what_is_read_is_what_was_appended(&fresh().await).await;
    append_all_keeps_its_order_and_answers_each_first_offset(&fresh().await).await;
    an_empty_batch_is_answered_with_the_end(&fresh().await).await;
    a_record_over_the_limit_is_refused_whole(&fresh().await).await;
    an_unknown_topic_or_partition_is_refused(&fresh().await).await;
    concurrent_appends_stand_whole_and_in_call_order(&fresh().await).await;
    a_cancelled_append_is_there_whole_or_not_at_all(&fresh().await).await;
    creating_topics_again_changes_nothing(&fresh().await).await;
}

async fn offsets_are_dense_from_zero_in_each_partition(place: &impl LogPlace) {
    let log = opened(place).await;
    assert_eq!(log.partitions(), LAW_PARTITIONS);
    for topic in [EACH, SYNCED] {
        assert_eq!(append(&*log, topic, 0, &["a"]).await, Offset(0));
        assert_eq!(append(&*log, topic, 0, &["b", "c"]).await, Offset(1));
        assert_eq!(append(&*log, topic, 3, &["other"]).await, Offset(0));
        assert_eq!(append(&*log, topic, 0, &["d"]).await, Offset(3));
        let read = read_all(&*log, topic, 0, Visibility::Appended).await;
        assert_eq!(values(&read), ["a", "b", "c", "d"]);
        assert!((0..).zip(&read).all(|(n, record)| record.offset.0 == n));
    }
}

async fn what_is_read_is_what_was_appended(place: &impl LogPlace) {
    let log = opened(place).await;
    let odd = NewRecord {
        key: Bytes::new(),
        value: Bytes::new(),
        at: Timestamp(-1),
    };
    let zeros = NewRecord {
        key: Bytes::from(vec![0; 300]),
        value: Bytes::from(vec![0; 70_000]),
        at: Timestamp(i64::MAX),
    };
    let largest = NewRecord {
        key: Bytes::from(vec![7; 24]),
        value: Bytes::from(vec![9; MAX_RECORD_BYTES - 24]),
        at: Timestamp(0),
    };
    let sent = vec![odd, zeros, largest, record("plain")];
    for topic in [EACH, SYNCED] {
        log.append(topic, Partition(1), sent.clone()).await.unwrap();
        let read = read_all(&*log, topic, 1, Visibility::Appended).await;
        let back: Vec<NewRecord> = read
            .into_iter()
            .map(|Record { key, value, at, .. }| NewRecord { key, value, at })
            .collect();
        assert!(back == sent, "key, value and time come back as they were");
    }
}

async fn append_all_keeps_its_order_and_answers_each_first_offset(place: &impl LogPlace) {
    let log = opened(place).await;
    for topic in [EACH, SYNCED] {
        append(&*log, topic, 2, &["before"]).await;
        let batches = vec![
            (Partition(2), records(["a", "b"])),
            (Partition(0), records(["x"])),
            (Partition(2), records(["c"])),
            (Partition(1), vec![]),
        ];
        let offsets = log.append_all(topic, batches).await.unwrap();
        assert_eq!(offsets, [Offset(1), Offset(0), Offset(3), Offset(0)]);
        let read = read_all(&*log, topic, 2, Visibility::Appended).await;
        assert_eq!(values(&read), ["before", "a", "b", "c"]);
        assert_eq!(
            values(&read_all(&*log, topic, 0, Visibility::Appended).await),
            ["x"]
        );
    }
    assert_eq!(log.append_all(EACH, vec![]).await.unwrap(), []);
}

async fn an_empty_batch_is_answered_with_the_end(place: &impl LogPlace) {
    let log = opened(place).await;
    for topic in [EACH, SYNCED] {
        assert_eq!(append(&*log, topic, 0, &[]).await, Offset(0));
        append(&*log, topic, 0, &["a", "b"]).await;
        assert_eq!(append(&*log, topic, 0, &[]).await, Offset(2));
        assert_eq!(positions(&*log, topic, 0).await.end, Offset(2));
    }
}

async fn a_record_over_the_limit_is_refused_whole(place: &impl LogPlace) {
    let log = opened(place).await;
    let large = NewRecord {
        key: Bytes::from_static(b"k"),
        value: Bytes::from(vec![1; MAX_RECORD_BYTES]),
        at: Timestamp(0),
    };
    for topic in [EACH, SYNCED] {
        let batch = vec![record("small"), large.clone()];
        let error = log.append(topic, Partition(0), batch).await.unwrap_err();
        assert!(
            matches!(error, LogError::TooLarge { size_bytes } if size_bytes == MAX_RECORD_BYTES + 1)
        );
        assert!(!error.is_retryable());
        assert_eq!(positions(&*log, topic, 0).await.end, Offset(0));
        assert_eq!(append(&*log, topic, 0, &["next"]).await, Offset(0));
    }
}

async fn an_unknown_topic_or_partition_is_refused(place: &impl LogPlace) {
    let log = opened(place).await;
    let unknown = Topic::DeadLetters;
    let topic_error = |error: LogError| matches!(error, LogError::UnknownTopic(t) if t == unknown);
    assert!(topic_error(
        log.append(unknown, Partition(0), records(["a"]))
            .await
            .unwrap_err()
    ));
    assert!(topic_error(log.sync(unknown).await.unwrap_err()));
    assert!(topic_error(
        log.positions(unknown, Partition(0)).await.unwrap_err()
    ));
    let read = log
        .read(unknown, Partition(0), Offset(0), 1, Visibility::Durable)
        .await;
    assert!(topic_error(read.unwrap_err()));
    let tail = log
        .tail(
            unknown,
            vec![(Partition(0), Offset(0))],
            Visibility::Durable,
        )
        .await;
    assert!(tail.is_err_and(topic_error));

    let p = Partition(LAW_PARTITIONS);
    let partition_error =
        |error: LogError| matches!(error, LogError::UnknownPartition(_, other) if other == p);
    for topic in [EACH, SYNCED] {
        assert!(partition_error(
            log.append(topic, p, records(["a"])).await.unwrap_err()
        ));
        let both = vec![(Partition(0), records(["a"])), (p, records(["b"]))];
        assert!(partition_error(
            log.append_all(topic, both).await.unwrap_err()
        ));
        assert!(partition_error(log.positions(topic, p).await.unwrap_err()));
        let some = log.positions_of(topic, &[Partition(0), p]).await;
        assert!(some.is_err_and(partition_error));
        let read = log.read(topic, p, Offset(0), 1, Visibility::Durable).await;
        assert!(partition_error(read.unwrap_err()));
        let from = vec![(Partition(0), Offset(0)), (p, Offset(0))];
        let tail = log.tail(topic, from, Visibility::Durable).await;
        assert!(tail.is_err_and(partition_error));
        assert_eq!(
            positions(&*log, topic, 0).await.end,
            Offset(0),
            "nothing was written"
        );
    }
}

async fn concurrent_appends_stand_whole_and_in_call_order(place: &impl LogPlace) {
    let log = opened(place).await;
    for topic in [EACH, SYNCED] {
        let names: Vec<String> = (0..60).map(|n| format!("{n}.")).collect();
        let appends = names.iter().zip(0_u32..).map(|(name, n)| {
            log.append(topic, Partition(n % 2), numbered(name, 1 + name.len() % 3))
        });
        for offset in join_all(appends).await {
            offset.unwrap();
        }
        for partition in 0..2 {
            let mut expected = Vec::new();
            for (name, _) in names
                .iter()
                .zip(0_u32..)
                .filter(|(_, n)| n % 2 == partition)
            {
                expected.extend((0..1 + name.len() % 3).map(|k| format!("{name}{k}")));
            }
            let read = read_all(&*log, topic, partition, Visibility::Appended).await;
            assert_eq!(values(&read), expected);
        }
    }
}

async fn a_cancelled_append_is_there_whole_or_not_at_all(place: &impl LogPlace) {
    let log = opened(place).await;
    for topic in [EACH, SYNCED] {
        for n in 0..30 {
            let mut cancelled = log.append(topic, Partition(0), numbered(&format!("{n}."), 3));
            let _waits = waits(&mut cancelled).await;
            drop(cancelled);
        }
        append(&*log, topic, 0, &["last"]).await;
        log.sync(topic).await.unwrap();
        let read = values(&read_all(&*log, topic, 0, Visibility::Durable).await);
        assert_eq!(read.last().unwrap(), "last");
        let (triples, _) = read.split_at(read.len() - 1);
        assert_eq!(triples.len() % 3, 0, "no batch is there in part");
        let mut before = None;
        for triple in triples.chunks(3) {
            let number: u32 = triple[0].split('.').next().unwrap().parse().unwrap();
            assert_eq!(
                triple,
                [
                    format!("{number}.0"),
                    format!("{number}.1"),
                    format!("{number}.2")
                ]
            );
            assert!(
                before < Some(number),
                "in the order in which they were called"
            );
            before = Some(number);
        }
    }
}

async fn creating_topics_again_changes_nothing(place: &impl LogPlace) {
    let log = opened(place).await;
    append(&*log, EACH, 0, &["a"]).await;
    log.create_topics(&[EACH, SYNCED, Topic::Receipts])
        .await
        .unwrap();
    assert_eq!(
        values(&read_all(&*log, EACH, 0, Visibility::Durable).await),
        ["a"]
    );
    assert_eq!(append(&*log, Topic::Receipts, 0, &["r"]).await, Offset(0));
}
