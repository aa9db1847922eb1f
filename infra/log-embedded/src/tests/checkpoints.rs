//! Checkpoints of the active segment: an opening reads only what came after, and trusts none that
//! does not fit.

use super::*;

const EVERY: u64 = 100 << 10;

fn home() -> Home {
    Home::with(Config {
        checkpoint_every_bytes: EVERY,
        ..Config::default()
    })
}

fn checkpoint(home: &Home) -> PathBuf {
    home.topic_directory(Topic::Chats).join("active.checkpoint")
}

/// Appends one after the other, in turn to all partitions; what each of them holds then.
fn fill(log: &EmbeddedLog, from: usize, to: usize) {
    for n in from..to {
        let partition = n as u32 % PARTITIONS;
        append(log, Topic::Chats, partition, &value(n)).unwrap();
    }
}

fn value(n: usize) -> String {
    format!("{n}.{}", "v".repeat(900 + n % 200))
}

fn assert_holds(log: &EmbeddedLog, count: usize) {
    for partition in 0..PARTITIONS {
        let expected: Vec<String> = (0..count)
            .filter(|n| *n as u32 % PARTITIONS == partition)
            .map(value)
            .collect();
        let found = values(log, Topic::Chats, partition, Visibility::Durable);
        assert!(found == expected, "{partition}: {}", found.len());
    }
}

fn scanned(log: &EmbeddedLog) -> u64 {
    let topics = &log.recovery().topics;
    let of_chats = topics.iter().find(|report| report.topic == Topic::Chats);
    of_chats.unwrap().records_scanned
}

/// A log that was closed, with a checkpoint after its first 100 to 110 records.
fn with_checkpoint(count: usize) -> Home {
    let home = home();
    let log = home.open();
    fill(&log, 0, count);
    // What the keeper was asked for is done by then.
    run(log.close()).unwrap();
    assert!(checkpoint(&home).exists());
    home
}

#[test]
fn an_opening_reads_what_came_after_the_last_checkpoint() {
    let home = with_checkpoint(150);
    let log = home.open();
    assert!((30..60).contains(&scanned(&log)), "{}", scanned(&log));
    assert_holds(&log, 150);
    fill(&log, 150, 400);
    run(log.close()).unwrap();
    let log = home.open();
    assert!(scanned(&log) < 110, "another one was written");
    assert_holds(&log, 400);
    drop(log);
    fs::remove_file(checkpoint(&home)).unwrap();
    let log = home.open();
    assert_eq!(scanned(&log), 400);
    assert_holds(&log, 400);
}

#[test]
fn what_is_made_of_a_checkpoint_is_what_is_made_of_the_segment() {
    let home = with_checkpoint(190);
    let without = home.copy();
    fs::remove_file(checkpoint(&without)).unwrap();
    let recovered = |home: &Home| {
        let directory = home.topic_directory(Topic::Chats);
        let found = crate::recovery::recover(&*quick(), &home.config, &directory, Topic::Chats);
        let found = found.unwrap_or_else(|error| panic!("{error}"));
        (found.index, found.position, found.ends, found.summing)
    };
    let (quickly, slowly) = (recovered(&home), recovered(&without));
    assert!(quickly == slowly);
}

#[test]
fn a_segment_that_was_begun_after_it_is_read_whole() {
    let home = Home::with(Config {
        checkpoint_every_bytes: EVERY,
        segment_bytes: 150 << 10,
        ..Config::default()
    });
    let log = home.open();
    fill(&log, 0, 200);
    run(log.close()).unwrap();
    let log = home.open();
    assert!(scanned(&log) > 30, "{}", scanned(&log));
    assert_holds(&log, 200);
}

#[test]
fn one_that_is_damaged_or_not_of_this_log_is_as_if_it_were_not_there() {
    let home = with_checkpoint(150);
    let other = with_checkpoint(150);
    let whole = fs::read(checkpoint(&home)).unwrap();
    let shorter = whole[..whole.len() - 1].to_vec();
    let mut flipped = whole.clone();
    flipped[20] ^= 1;
    for bytes in [
        Vec::new(),
        shorter,
        flipped,
        fs::read(checkpoint(&other)).unwrap(),
    ] {
        let copy = home.copy();
        fs::write(checkpoint(&copy), bytes).unwrap();
        let log = copy.open();
        assert_eq!(scanned(&log), 150);
        assert_holds(&log, 150);
    }
    let mut config = home.config.clone();
    config.index_every_bytes = 512;
    let copy = home.copy();
    let log = Home {
        config: Config {
            directory: copy.config.directory.clone(),
            ..config
        },
        ..copy
    };
    assert_eq!(scanned(&log.open()), 150, "its index would be another");
}

/// A copy of the segment made before the checkpoint, put back beside it.
#[test]
fn an_older_copy_of_the_segment_is_opened_as_it_is() {
    let home = home();
    let log = home.open();
    fill(&log, 0, 60);
    drop(log);
    let older = home.copy();
    let log = home.open();
    fill(&log, 60, 150);
    run(log.close()).unwrap();
    fs::copy(checkpoint(&home), checkpoint(&older)).unwrap();
    let log = older.open();
    assert_eq!(scanned(&log), 60);
    assert_holds(&log, 60);
}

#[test]
fn damage_before_it_is_found_by_who_reads_there() {
    let home = with_checkpoint(150);
    spoil(&home.segment(Topic::Chats, 0), |bytes| bytes[3000] ^= 1);
    let log = home.open();
    let read = |offset: u64| {
        let of_first = (Topic::Chats, Partition(0));
        run(log.read(
            of_first.0,
            of_first.1,
            Offset(offset),
            1,
            Visibility::Durable,
        ))
    };
    let found: Vec<bool> = (0..3).map(|offset| read(offset).is_ok()).collect();
    assert!(found.contains(&false), "{found:?}");
    assert!(read(30).is_ok(), "all others are there");
}

#[test]
fn none_is_written_where_none_is_wanted() {
    let home = Home::with(Config {
        checkpoint_every_bytes: 0,
        ..Config::default()
    });
    let log = home.open();
    fill(&log, 0, 150);
    run(log.close()).unwrap();
    assert!(!checkpoint(&home).exists());
}
