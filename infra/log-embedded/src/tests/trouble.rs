//! A disk that fails or is full, while the log is open.

use std::sync::atomic::Ordering;

use super::faulty::{Faulty, Switches};
use super::*;

fn troubled(home: &Home) -> (EmbeddedLog, Arc<Switches>) {
    let switches = Switches::new();
    (
        home.open_on(Arc::new(Faulty(Arc::clone(&switches)))),
        switches,
    )
}

#[test]
fn a_failed_fsync_poisons_the_log_and_reads_go_on() {
    for topic in [Topic::Chats, Topic::Users] {
        let home = Home::new();
        let (log, switches) = troubled(&home);
        append(&log, Topic::Chats, 0, "kept").unwrap();
        append(&log, Topic::Users, 0, "kept").unwrap();
        run(log.sync(Topic::Users)).unwrap();
        switches.sync_fails.store(true, Ordering::Relaxed);
        let failed = append(&log, topic, 0, "lost").map(drop);
        let failed = failed.and_then(|()| run(log.sync(topic)));
        assert!(matches!(failed, Err(LogError::Poisoned(_))), "{failed:?}");
        switches.sync_fails.store(false, Ordering::Relaxed);
        for other in [Topic::Chats, Topic::Users] {
            let again = append(&log, other, 0, "lost too");
            assert!(
                matches!(again, Err(LogError::Poisoned(_))),
                "no more is acknowledged"
            );
            assert!(matches!(run(log.sync(other)), Err(LogError::Poisoned(_))));
            assert_eq!(values(&log, other, 0, Visibility::Durable), ["kept"]);
        }
        assert!(matches!(run(log.close()), Err(LogError::Poisoned(_))));
        drop(log);
        let log = home.open();
        assert_eq!(
            values(&log, Topic::Chats, 0, Visibility::Durable)[0],
            "kept"
        );
        append(&log, topic, 0, "after opening again").unwrap();
    }
}

#[test]
fn a_failed_write_poisons_the_log() {
    for topic in [Topic::Chats, Topic::Users] {
        let home = Home::new();
        let (log, switches) = troubled(&home);
        append(&log, topic, 0, "kept").unwrap();
        run(log.sync(topic)).unwrap();
        switches.write_fails.store(true, Ordering::Relaxed);
        assert!(matches!(
            append(&log, topic, 0, "lost"),
            Err(LogError::Poisoned(_))
        ));
        switches.write_fails.store(false, Ordering::Relaxed);
        assert!(matches!(
            append(&log, topic, 0, "lost"),
            Err(LogError::Poisoned(_))
        ));
        assert_eq!(values(&log, topic, 0, Visibility::Appended), ["kept"]);
        drop(log);
        assert_eq!(
            values(&home.open(), topic, 0, Visibility::Durable),
            ["kept"]
        );
    }
}

#[test]
fn a_full_disk_refuses_appends_leaves_no_trace_and_takes_them_again_when_there_is_room() {
    for (topic, zero_ahead_bytes) in [
        (Topic::Chats, 0),
        (Topic::Users, 0),
        (Topic::Chats, 4096),
        (Topic::Users, 4096),
    ] {
        let home = Home::with(Config {
            segment_bytes: 8192,
            zero_ahead_bytes,
            ..Config::default()
        });
        let (log, switches) = troubled(&home);
        let mut sent = Vec::new();
        for room in [0, 1, 40, 41, 100, 500, 1000, 3000, 5000] {
            switches.room.store(room, Ordering::Relaxed);
            let refused = loop {
                let value = format!("{}.{}", sent.len(), "v".repeat(150));
                match append(&log, topic, 0, &value) {
                    Ok(offset) => {
                        assert_eq!(offset, sent.len() as u64);
                        sent.push(value);
                    }
                    Err(error) => break error,
                }
            };
            assert!(
                matches!(refused, LogError::Full(_)) && refused.is_retryable(),
                "{refused}"
            );
            assert_eq!(values(&log, topic, 0, Visibility::Appended), sent);
            switches.room.store(u64::MAX, Ordering::Relaxed);
            let value = format!("room again {}", sent.len());
            append(&log, topic, 0, &value).unwrap();
            sent.push(value);
            run(log.sync(topic)).unwrap();
            assert_eq!(values(&log, topic, 0, Visibility::Durable), sent);
        }
        switches.room.store(10, Ordering::Relaxed);
        assert!(append(&log, topic, 0, &"w".repeat(20_000)).is_err());
        drop(log);
        let log = home.open();
        assert!(
            log.recovery()
                .topics
                .iter()
                .all(|report| report.cut.is_none())
        );
        assert_eq!(values(&log, topic, 0, Visibility::Durable), sent);
    }
}

#[test]
fn a_batch_that_does_not_fit_refuses_only_itself() {
    let home = Home::with(Config {
        zero_ahead_bytes: 0,
        ..Config::default()
    });
    let (log, switches) = troubled(&home);
    append(&log, Topic::Users, 0, "before").unwrap();
    switches.room.store(300, Ordering::Relaxed);
    let batches = vec![
        (Partition(0), vec![record("small")]),
        (Partition(1), vec![record("l".repeat(500))]),
    ];
    let refused = run(log.append_all(Topic::Users, batches));
    assert!(
        matches!(refused, Err(LogError::Full(_))),
        "one write: none of it is there"
    );
    assert_eq!(
        values(&log, Topic::Users, 0, Visibility::Appended),
        ["before"]
    );
    assert_eq!(
        values(&log, Topic::Users, 1, Visibility::Appended),
        Vec::<String>::new()
    );
    switches.room.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(append(&log, Topic::Users, 1, "after").unwrap(), 0);
}

#[test]
fn short_reads_and_writes_change_nothing() {
    let home = Home::with(Config {
        segment_bytes: 4096,
        memory_bytes: 0,
        ..Config::default()
    });
    let (log, switches) = troubled(&home);
    switches.most.store(13, Ordering::Relaxed);
    let sent: Vec<String> = (0..60).map(|n| format!("{n}.{}", "s".repeat(n))).collect();
    for value in &sent {
        append(&log, Topic::Chats, 3, value).unwrap();
    }
    assert_eq!(values(&log, Topic::Chats, 3, Visibility::Durable), sent);
    drop(log);
    assert_eq!(
        values(&home.open(), Topic::Chats, 3, Visibility::Durable),
        sent
    );
}

#[test]
fn more_than_may_wait_is_refused_and_nothing_of_it_is_written() {
    let home = Home::with(Config {
        queue_bytes: 1000,
        ..Config::default()
    });
    let log = home.open();
    let value = "q".repeat(300);
    let answers = run(futures_util::future::join_all((0..50).map(|_| {
        log.append(Topic::Chats, Partition(0), vec![record(value.clone())])
    })));
    let written = answers.iter().filter(|answer| answer.is_ok()).count();
    let full = answers
        .iter()
        .filter(|a| matches!(a, Err(LogError::Full(_))))
        .count();
    assert!(
        written >= 1 && full >= 1 && written + full == 50,
        "{written} and {full}"
    );
    assert_eq!(
        values(&log, Topic::Chats, 0, Visibility::Durable).len(),
        written
    );
}

#[test]
fn a_failed_fsync_of_the_zeros_ahead_poisons_too() {
    let home = Home::with(Config {
        zero_ahead_bytes: 2048,
        ..Config::default()
    });
    let (log, switches) = troubled(&home);
    // Nothing but the keeper syncs here: what it swallowed may have been a record's failure.
    switches.sync_fails.store(true, Ordering::Relaxed);
    append(&log, Topic::Users, 0, "asks for zeros").unwrap();
    run(async {
        while log
            .topic(Topic::Users)
            .unwrap()
            .shared
            .poison
            .check()
            .is_ok()
        {
            tokio::task::yield_now().await;
        }
    });
    let refused = append(&log, Topic::Chats, 0, "too late");
    assert!(matches!(refused, Err(LogError::Poisoned(_))), "{refused:?}");
}

#[test]
fn a_segment_that_could_not_be_begun_does_not_end_the_one_before() {
    let home = Home::with(Config {
        segment_bytes: 4096,
        zero_ahead_bytes: 0,
        ..Config::default()
    });
    let (log, switches) = troubled(&home);
    let large = "l".repeat(3500);
    append(&log, Topic::Chats, 0, &large).unwrap();
    switches.sync_is_full.store(true, Ordering::Relaxed);
    // The head of the next segment gets there, but not for sure.
    let refused = append(&log, Topic::Chats, 0, &large);
    assert!(matches!(refused, Err(LogError::Full(_))), "{refused:?}");
    assert_eq!(append(&log, Topic::Chats, 0, "small").unwrap(), 1);
    drop(log);
    let log = home.open();
    let expected = [large.clone(), "small".to_owned()];
    assert_eq!(values(&log, Topic::Chats, 0, Visibility::Durable), expected);
    assert_eq!(append(&log, Topic::Chats, 0, &large).unwrap(), 2);
}

#[test]
fn a_segment_whose_last_write_failed_is_not_left_behind() {
    let home = Home::with(Config {
        segment_bytes: 4096,
        zero_ahead_bytes: 0,
        ..Config::default()
    });
    let (log, switches) = troubled(&home);
    append(&log, Topic::Chats, 0, "kept").unwrap();
    switches.until_broken.store(600, Ordering::Relaxed);
    let batches = [1_000, 3_500].map(|size| (Partition(0), vec![record("r".repeat(size))]));
    let failed = run(log.append_all(Topic::Chats, batches.to_vec()));
    assert!(matches!(failed, Err(LogError::Poisoned(_))), "{failed:?}");
    assert!(!home.segment(Topic::Chats, 1).exists());
    drop(log);
    let log = home.open();
    assert_eq!(append(&log, Topic::Chats, 0, "next").unwrap(), 1);
    assert_eq!(
        values(&log, Topic::Chats, 0, Visibility::Durable),
        ["kept", "next"]
    );
}

#[test]
fn a_roll_without_a_file_to_be_had_takes_the_spare_or_refuses_and_goes_on_later() {
    let home = Home::with(Config {
        segment_bytes: 4096,
        zero_ahead_bytes: 1024,
        ..Config::default()
    });
    let (log, switches) = troubled(&home);
    let value = "v".repeat(1_500);
    let roll = || append(&log, Topic::Chats, 0, &value);
    roll().unwrap();
    roll().unwrap();
    run(async {
        while !home.segment(Topic::Chats, 1).exists() {
            tokio::task::yield_now().await;
        }
    });
    switches.open_fails.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        roll().expect("in the spare");
    }
    let refused = roll();
    assert!(
        matches!(refused, Err(LogError::Unavailable(_))),
        "{refused:?}"
    );
    switches.open_fails.store(false, Ordering::Relaxed);
    assert_eq!(roll().unwrap(), 4);
}

#[test]
fn a_disk_that_is_full_for_zeros_too_refuses_and_is_not_poisoned() {
    let home = Home::with(Config {
        zero_ahead_bytes: 4096,
        ..Config::default()
    });
    let (log, switches) = troubled(&home);
    append(&log, Topic::Chats, 0, "kept").unwrap();
    switches.zeros_need_room.store(true, Ordering::Relaxed);
    switches.room.store(0, Ordering::Relaxed);
    let refused = append(&log, Topic::Chats, 0, "no room");
    assert!(matches!(refused, Err(LogError::Full(_))), "{refused:?}");
    switches.room.store(u64::MAX, Ordering::Relaxed);
    assert_eq!(append(&log, Topic::Chats, 0, "room again").unwrap(), 1);
}

#[test]
fn segments_that_could_not_be_removed_are_removed_later_and_leave_a_chain() {
    let home = Home::with(Config {
        segment_bytes: 4096,
        ..Config::default()
    });
    let (log, switches) = troubled(&home);
    let day = 24 * 60 * 60 * 1000;
    for n in 0..200 {
        let at = Timestamp(n / 50 * 10 * day);
        let record = NewRecord {
            at,
            ..record("r".repeat(100))
        };
        run(log.append(Topic::Users, Partition(0), vec![record])).unwrap();
    }
    switches.remove_fails.store(true, Ordering::Relaxed);
    let failed = log.enforce_retention(Timestamp(18 * day));
    assert!(
        matches!(failed, Err(LogError::Unavailable(_))),
        "{failed:?}"
    );
    switches.remove_fails.store(false, Ordering::Relaxed);
    let dropped = log.enforce_retention(Timestamp(28 * day)).unwrap();
    assert!(dropped >= 4, "those of both times: {dropped}");
    assert!(!home.segment(Topic::Users, 0).exists());
    run(log.sync(Topic::Users)).unwrap();
    let kept = run(log.positions(Topic::Users, Partition(0))).unwrap();
    drop(log);
    let found = run(home.open().positions(Topic::Users, Partition(0))).unwrap();
    assert_eq!((found.first, found.end), (kept.first, kept.end));
}
