//! Who may open a log, and what opening costs.

use std::sync::atomic::Ordering;

use super::faulty::{Faulty, Switches};
use super::*;

#[test]
fn a_second_opening_of_one_directory_is_refused_until_the_first_is_closed() {
    let home = Home::new();
    let log = home.open();
    let refusal = home.refusal();
    assert!(matches!(refusal, OpenError::InUse(_)), "{refusal}");
    assert!(
        refusal.to_string().contains("in use by another process"),
        "{refusal}"
    );
    append(&log, Topic::Chats, 0, "undisturbed").unwrap();
    run(log.close()).unwrap();
    let again = home.open();
    assert_eq!(
        values(&again, Topic::Chats, 0, Visibility::Durable),
        ["undisturbed"]
    );
    // Closed, but not dropped: it must not let go of the other's lock.
    drop(log);
    assert!(matches!(home.refusal(), OpenError::InUse(_)));
}

/// Set for the process that the test below starts.
const CHILD: &str = "CURSUS_TEST_LOG_DIRECTORY";

#[test]
fn a_second_process_is_refused() {
    if let Ok(directory) = std::env::var(CHILD) {
        let config = Config {
            directory: directory.into(),
            partitions: PARTITIONS,
            ..Config::default()
        };
        let refusal = EmbeddedLog::open(config).err();
        assert!(matches!(refusal, Some(OpenError::InUse(_))), "{refusal:?}");
        return;
    }
    let home = Home::new();
    let _log = home.open();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "tests::doors::a_second_process_is_refused",
            "--nocapture",
        ])
        .env(CHILD, &home.config.directory)
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stdout)
    );
    assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"));
}

#[test]
fn another_partition_count_is_refused_and_both_are_named() {
    let home = Home::new();
    drop(home.open());
    let other = Config {
        partitions: PARTITIONS * 2,
        ..home.config.clone()
    };
    let refusal = EmbeddedLog::open(other).err().unwrap();
    assert!(
        matches!(
            refusal,
            OpenError::Partitions {
                found: 4,
                configured: 8,
                ..
            }
        ),
        "{refusal}"
    );
    assert!(
        refusal.to_string().contains("4 partitions, not 8"),
        "{refusal}"
    );
    drop(home.open());
}

#[test]
fn a_newer_format_is_refused_and_named() {
    let home = Home::new();
    drop(home.open());
    for file in [
        home.config.directory.join("log"),
        home.segment(Topic::Chats, 0),
    ] {
        let copy = home.copy();
        let file = copy
            .config
            .directory
            .join(file.strip_prefix(&home.config.directory).unwrap());
        spoil(&file, |bytes| {
            bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
            let crc = crc32c::crc32c(&bytes[..16]);
            bytes[16..20].copy_from_slice(&crc.to_le_bytes());
        });
        let refusal = copy.refusal();
        assert!(
            matches!(
                refusal,
                OpenError::Newer {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{refusal}"
        );
    }
}

#[test]
fn a_directory_without_its_root_and_bad_settings_are_refused() {
    let home = Home::new();
    drop(home.open());
    std::fs::remove_file(home.config.directory.join("log")).unwrap();
    assert!(matches!(home.refusal(), OpenError::Damaged { .. }));
    let bad = Home::with(Config {
        index_every_bytes: 0,
        ..Config::default()
    });
    assert!(matches!(bad.refusal(), OpenError::Config(_)));
    assert!(!bad.root().join("log").exists());
}

#[test]
fn opening_a_long_log_reads_only_its_last_segment() {
    const RECORDS: u64 = 200_000;
    let home = Home::with(Config {
        segment_bytes: 1 << 20,
        ..Config::default()
    });
    let log = home.open();
    for _ in 0..RECORDS / 1000 {
        let batches = (0..PARTITIONS)
            .map(|p| {
                (
                    Partition(p),
                    (0..250).map(|n| record(format!("{n:060}"))).collect(),
                )
            })
            .collect();
        run(log.append_all(Topic::Users, batches)).unwrap();
    }
    run(log.close()).unwrap();
    drop(log);
    let switches = Switches::new();
    let log = home.open_on(Arc::new(Faulty(Arc::clone(&switches))));
    let read = switches.read.load(Ordering::Relaxed);
    let report = log
        .recovery()
        .topics
        .iter()
        .find(|r| r.topic == Topic::Users)
        .unwrap();
    assert!(report.segments >= 15, "{report:?}");
    // The last segment twice (frames, and what follows them), a head for each of the others.
    let allowed = 3 * (1 << 20) + report.segments as u64 * 200;
    assert!(read <= allowed, "{read} bytes read, {allowed} allowed");
    let ends = run(log.positions(Topic::Users, Partition(1))).unwrap();
    assert_eq!(ends.end.0, RECORDS / 4);
    let middle = run(log.read(
        Topic::Users,
        Partition(1),
        Offset(RECORDS / 8),
        1,
        Visibility::Durable,
    ));
    assert_eq!(middle.unwrap()[0].offset, Offset(RECORDS / 8));
}

#[test]
fn retention_drops_whole_old_segments_of_topics_that_are_not_kept_for_ever() {
    let home = Home::with(Config {
        segment_bytes: 4096,
        ..Config::default()
    });
    let log = home.open();
    let day = 24 * 60 * 60 * 1000;
    for topic in [Topic::Chats, Topic::Users] {
        for n in 0..100 {
            let at = Timestamp(if n < 60 { 0 } else { 20 * day });
            let old = NewRecord {
                at,
                ..record("r".repeat(100))
            };
            run(log.append(topic, Partition(n % 2), vec![old])).unwrap();
        }
    }
    assert_eq!(
        log.enforce_retention(Timestamp(7 * day)).unwrap(),
        0,
        "not older than 7 days"
    );
    let dropped = log.enforce_retention(Timestamp(7 * day + 1)).unwrap();
    assert!(dropped >= 1);
    let first = |log: &EmbeddedLog, topic| run(log.positions(topic, Partition(0))).unwrap().first.0;
    assert_eq!(first(&log, Topic::Chats), 0, "chats are kept for ever");
    let kept_from = first(&log, Topic::Users);
    assert!(kept_from > 0 && kept_from <= 30, "no young record went");
    assert!(!home.segment(Topic::Users, 0).exists());
    assert_eq!(log.enforce_retention(Timestamp(7 * day + 1)).unwrap(), 0);
    run(log.close()).unwrap();
    assert!(matches!(
        log.enforce_retention(Timestamp(0)),
        Err(LogError::Closed)
    ));
    drop(log);
    assert_eq!(first(&home.open(), Topic::Users), kept_from);
}
