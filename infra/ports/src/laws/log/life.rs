//! Opening, closing, crashing: what stays, what a closed log answers.

use super::*;
use crate::log::LogError;

pub(super) async fn run<P: LogPlace>(fresh: &impl AsyncFn() -> P) {
    what_was_durable_is_there_after_a_crash(&fresh().await).await;
    what_was_not_durable_is_kept_as_a_prefix_after_a_crash(&fresh().await).await;
    everything_is_there_after_closing(&fresh().await).await;
    appending_goes_on_after_reopening(&fresh().await).await;
    an_open_log_is_reached_by_the_topics_that_it_has(&fresh().await).await;
    a_closed_log_answers_closed(&fresh().await).await;
    a_waiting_tail_ends_when_the_log_is_closed(&fresh().await).await;
}

async fn what_was_durable_is_there_after_a_crash(place: &impl LogPlace) {
    let log = opened(place).await;
    append(&*log, EACH, 0, &["a", "b"]).await;
    append(&*log, EACH, 2, &["c"]).await;
    append(&*log, SYNCED, 1, &["d"]).await;
    log.sync(SYNCED).await.unwrap();
    drop(log);
    place.crash().await;
    let log = opened(place).await;
    assert_eq!(
        values(&read_all(&*log, EACH, 0, Visibility::Durable).await),
        ["a", "b"]
    );
    assert_eq!(
        values(&read_all(&*log, EACH, 2, Visibility::Durable).await),
        ["c"]
    );
    assert_eq!(
        values(&read_all(&*log, SYNCED, 1, Visibility::Durable).await),
        ["d"]
    );
    let ends = positions(&*log, EACH, 0).await;
    assert_eq!(
        (ends.first, ends.durable_end, ends.end),
        (Offset(0), Offset(2), Offset(2))
    );
}

async fn what_was_not_durable_is_kept_as_a_prefix_after_a_crash(place: &impl LogPlace) {
    let log = opened(place).await;
    append(&*log, SYNCED, 0, &["synced"]).await;
    log.sync(SYNCED).await.unwrap();
    append(&*log, SYNCED, 0, &["a", "b"]).await;
    append(&*log, SYNCED, 0, &["c"]).await;
    drop(log);
    place.crash().await;
    let log = opened(place).await;
    let read = values(&read_all(&*log, SYNCED, 0, Visibility::Durable).await);
    let outcomes: [&[&str]; 3] = [
        &["synced"],
        &["synced", "a", "b"],
        &["synced", "a", "b", "c"],
    ];
    assert!(outcomes.iter().any(|outcome| read == *outcome), "{read:?}");
    let ends = positions(&*log, SYNCED, 0).await;
    assert_eq!(
        ends.end, ends.durable_end,
        "what was found when opening is durable"
    );
    let next = append(&*log, SYNCED, 0, &["next"]).await;
    assert_eq!(next, ends.end, "offsets stay dense");
}

async fn everything_is_there_after_closing(place: &impl LogPlace) {
    let log = opened(place).await;
    append(&*log, EACH, 0, &["a"]).await;
    append(&*log, SYNCED, 0, &["b"]).await;
    log.close().await.unwrap();
    drop(log);
    let log = place.open().await;
    log.create_topics(&[EACH, SYNCED]).await.unwrap();
    assert_eq!(
        values(&read_all(&*log, EACH, 0, Visibility::Durable).await),
        ["a"]
    );
    assert_eq!(
        values(&read_all(&*log, SYNCED, 0, Visibility::Durable).await),
        ["b"]
    );
}

async fn appending_goes_on_after_reopening(place: &impl LogPlace) {
    for round in 0..3_u64 {
        let log = opened(place).await;
        for topic in [EACH, SYNCED] {
            assert_eq!(
                append(&*log, topic, 1, &["a", "b"]).await,
                Offset(round * 2)
            );
        }
        let mut tail = tail_of(&*log, EACH, &[1], Visibility::Durable).await;
        let count = usize::try_from(round).unwrap() * 2 + 2;
        assert_eq!(take(&mut *tail, count, 100).await.len(), count);
        drop(tail);
        log.close().await.unwrap();
    }
}

async fn an_open_log_is_reached_by_the_topics_that_it_has(place: &impl LogPlace) {
    let log = opened(place).await;
    for topic in [EACH, SYNCED] {
        log.reach(topic).await.unwrap();
    }
    let unknown = log.reach(Topic::Receipts).await.unwrap_err();
    assert!(matches!(unknown, LogError::UnknownTopic(Topic::Receipts)));
}

async fn a_closed_log_answers_closed(place: &impl LogPlace) {
    let log = opened(place).await;
    append(&*log, EACH, 0, &["a"]).await;
    let mut tail = tail_of(&*log, EACH, &[0], Visibility::Durable).await;
    log.close().await.unwrap();
    log.close().await.unwrap();
    let p = Partition(0);
    let closed = |error: LogError| matches!(error, LogError::Closed);
    for topic in [EACH, SYNCED] {
        assert!(closed(
            log.append(topic, p, records(["b"])).await.unwrap_err()
        ));
        assert!(closed(
            log.append_all(topic, vec![(p, records(["b"]))])
                .await
                .unwrap_err()
        ));
        assert!(closed(log.sync(topic).await.unwrap_err()));
        assert!(closed(log.reach(topic).await.unwrap_err()));
        assert!(closed(log.positions(topic, p).await.unwrap_err()));
        assert!(closed(
            log.read(topic, p, Offset(0), 1, Visibility::Durable)
                .await
                .unwrap_err()
        ));
        assert!(
            log.tail(topic, vec![(p, Offset(0))], Visibility::Durable)
                .await
                .is_err_and(closed)
        );
    }
    assert!(closed(
        log.create_topics(&[Topic::Receipts]).await.unwrap_err()
    ));
    assert!(closed(tail.next(1).await.unwrap_err()));
}

async fn a_waiting_tail_ends_when_the_log_is_closed(place: &impl LogPlace) {
    let log = opened(place).await;
    let mut tail = tail_of(&*log, SYNCED, &[0, 1], Visibility::Appended).await;
    let mut next = tail.next(10);
    assert!(waits(&mut next).await);
    log.close().await.unwrap();
    assert!(matches!(next.await, Err(LogError::Closed)));
}
