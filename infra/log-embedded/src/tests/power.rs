//! The power goes at any moment, in the middle of anything: what was acknowledged stays.

use proptest::prelude::*;

use super::disk::Disk;
use super::*;
use crate::active::ZeroError;
use crate::format::header::Header;
use crate::poison::Poison;
use crate::spare::{begin, make_file};
use crate::storage::write_full;

#[derive(Debug, Clone)]
enum Step {
    Append(bool, Vec<(u32, Vec<usize>)>),
    Sync,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let sizes = prop::collection::vec(0_usize..1200, 0..3);
    let batches = prop::collection::vec((0..PARTITIONS, sizes), 1..4);
    prop_oneof![
        8 => (any::<bool>(), batches).prop_map(|(each, batches)| Step::Append(each, batches)),
        2 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ]
}

/// What was sent to a topic, by batch; and how much of it was durable after each step.
#[derive(Default)]
struct Sent {
    batches: Vec<(u32, Vec<String>)>,
    durable: Vec<usize>,
}

impl Sent {
    fn partition(&self, partition: u32, batches: usize) -> Vec<String> {
        let mine = self
            .batches
            .iter()
            .take(batches)
            .filter(|(p, _)| *p == partition);
        mine.flat_map(|(_, values)| values.clone()).collect()
    }

    /// The number of batches that a log holds, which must be a prefix.
    fn held(&self, log: &EmbeddedLog, topic: Topic) -> usize {
        let found: Vec<Vec<String>> = (0..PARTITIONS)
            .map(|p| values(log, topic, p, Visibility::Durable))
            .collect();
        let fits = |batches: &usize| {
            (0..PARTITIONS)
                .zip(&found)
                .all(|(p, found)| self.partition(p, *batches) == *found)
        };
        let held = (0..=self.batches.len()).rev().find(fits);
        held.unwrap_or_else(|| panic!("{topic} is no prefix of what was sent: {found:?}"))
    }
}

fn open(disk: &Disk, config: &Config) -> EmbeddedLog {
    let log = EmbeddedLog::open_on(config.clone(), Arc::new(disk.clone())).unwrap();
    run(log.create_topics(&[Topic::Chats, Topic::Users])).unwrap();
    log
}

/// Plays the steps on a disk; returns what was sent to chats and users.
fn play(disk: &Disk, config: &Config, steps: &[Step]) -> [Sent; 2] {
    let mut log = open(disk, config);
    let mut sent = [Sent::default(), Sent::default()];
    let mut count = 0;
    for (number, step) in steps.iter().enumerate() {
        let mut synced = sent[1].durable.last().copied().unwrap_or(0);
        match step {
            Step::Append(each, batches) => {
                let (topic, sent) = if *each {
                    (Topic::Chats, &mut sent[0])
                } else {
                    (Topic::Users, &mut sent[1])
                };
                let mut records = Vec::new();
                for (partition, sizes) in batches {
                    let mut named = Vec::new();
                    for size in sizes {
                        count += 1;
                        named.push(format!("{count}.{}", "p".repeat(*size)));
                    }
                    records.push((Partition(*partition), named.iter().map(record).collect()));
                    sent.batches.push((*partition, named));
                }
                run(log.append_all(topic, records)).unwrap();
            }
            Step::Sync => {
                run(log.sync(Topic::Users)).unwrap();
                synced = sent[1].batches.len();
            }
            Step::Reopen => {
                drop(log);
                log = open(disk, config);
                synced = sent[1].batches.len();
            }
        }
        let all = sent[0].batches.len();
        sent[0].durable.push(all);
        sent[1].durable.push(synced);
        disk.acknowledge(number + 1);
    }
    sent
}

fn check(steps: &[Step], config: &Config, crash_at: u64, seeds: [u64; 2]) {
    let disk = Disk::new(crash_at);
    let sent = play(&disk, config, steps);
    let (disk, acknowledged) = disk.crash(seeds[0]);
    let log = open(&disk, config);
    let mut held = [0, 0];
    for ((sent, topic), held) in sent.iter().zip([Topic::Chats, Topic::Users]).zip(&mut held) {
        *held = sent.held(&log, topic);
        let durable = acknowledged
            .checked_sub(1)
            .map_or(0, |last| sent.durable[last]);
        // Batches without records leave no trace.
        let before = (0..PARTITIONS)
            .map(|p| sent.partition(p, durable).len())
            .sum::<usize>();
        let after = (0..PARTITIONS)
            .map(|p| sent.partition(p, *held).len())
            .sum::<usize>();
        assert!(
            after >= before,
            "{topic}: {before} were acknowledged, {after} are there"
        );
    }
    append(&log, Topic::Chats, 0, "after").unwrap();
    drop(log);
    // What was found when opening is durable, whatever the next crash forgets.
    let (disk, _) = disk.crash(seeds[1]);
    let log = open(&disk, config);
    for ((sent, topic), held) in sent.iter().zip([Topic::Chats, Topic::Users]).zip(held) {
        for p in 0..PARTITIONS {
            let mut expected = sent.partition(p, held);
            if topic == Topic::Chats && p == 0 {
                expected.push("after".to_owned());
            }
            assert_eq!(
                values(&log, topic, p, Visibility::Durable),
                expected,
                "{topic}/{p}"
            );
        }
    }
}

#[test]
fn what_a_failed_fsync_left_on_clean_pages_is_written_again_when_opening() {
    let config = Config {
        directory: "/disk/log".into(),
        partitions: PARTITIONS,
        zero_ahead_bytes: 0,
        ..Config::default()
    };
    let disk = Disk::new(u64::MAX);
    let log = open(&disk, &config);
    append(&log, Topic::Chats, 0, "kept").unwrap();
    disk.fail_sync();
    let uncertain = append(&log, Topic::Chats, 0, "uncertain");
    assert!(matches!(uncertain, Err(LogError::Poisoned(_))));
    drop(log);
    let log = open(&disk, &config);
    let found = values(&log, Topic::Chats, 0, Visibility::Durable);
    assert_eq!(found, ["kept", "uncertain"], "it is on its pages");
    drop(log);
    let log = open(&disk.forget(), &config);
    let held = values(&log, Topic::Chats, 0, Visibility::Durable);
    assert_eq!(held, found, "what was readable as durable stays");
}

#[test]
fn what_befell_a_record_is_told_to_its_committer_whoever_synced_before() {
    let disk = Disk::new(u64::MAX);
    let directory = std::path::Path::new("/disk/log");
    let header = Header {
        topic: Topic::Chats,
        number: 0,
        salt: 0,
        base: vec![0],
    };
    let made = make_file(&disk, directory, 0, 0).unwrap();
    let active = begin(directory, made, header).unwrap();
    active.take(1_000);
    write_full(&*active.file, b"a record", 900).unwrap();
    disk.fail_sync();
    let zeroed = active.zero_ahead(4_096, u64::MAX);
    assert!(matches!(zeroed, Err(ZeroError::Sync(_))));
    // Not poisoned yet: the keeper has its answer and is about to say so.
    let synced = active.sync(&Poison::default());
    assert!(matches!(synced, Err(LogError::Poisoned(_))), "{synced:?}");
}

#[test]
fn a_head_that_a_failed_fsync_left_on_clean_pages_is_written_again_when_opening() {
    let config = Config {
        directory: "/disk/log".into(),
        // Its head takes more than the sector that the first frame dirties.
        partitions: 128,
        segment_bytes: 4096,
        zero_ahead_bytes: 0,
        ..Config::default()
    };
    let disk = Disk::new(u64::MAX);
    let log = open(&disk, &config);
    let large = "l".repeat(2_500);
    append(&log, Topic::Chats, 0, &large).unwrap();
    disk.fail_sync();
    let rolled = append(&log, Topic::Chats, 0, &large);
    assert!(matches!(rolled, Err(LogError::Poisoned(_))), "{rolled:?}");
    drop(log);
    let log = open(&disk, &config);
    append(&log, Topic::Chats, 0, "after").unwrap();
    drop(log);
    let log = open(&disk.forget(), &config);
    let held = values(&log, Topic::Chats, 0, Visibility::Durable);
    assert_eq!(held, [&large, "after"]);
}

#[test]
fn what_a_full_disk_refused_is_not_there_after_a_power_cut() {
    for zero_ahead_bytes in [0, 4096] {
        let config = Config {
            directory: "/disk/log".into(),
            partitions: PARTITIONS,
            zero_ahead_bytes,
            ..Config::default()
        };
        let disk = Disk::new(u64::MAX);
        let log = open(&disk, &config);
        append(&log, Topic::Chats, 0, "kept").unwrap();
        disk.leave_room(300);
        let batches = vec![
            (Partition(0), vec![record("small")]),
            (Partition(1), vec![record("l".repeat(500))]),
        ];
        let refused = run(log.append_all(Topic::Chats, batches));
        assert!(matches!(refused, Err(LogError::Full(_))), "{refused:?}");
        let log = open(&disk.forget(), &config);
        let found = values(&log, Topic::Chats, 0, Visibility::Durable);
        assert_eq!(found, ["kept"], "{zero_ahead_bytes}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whenever_the_power_goes_what_was_acknowledged_stays(
        steps in prop::collection::vec(step(), 1..30),
        crash_at in 0_u64..600,
        seeds in any::<[u64; 2]>(),
        segment_bytes in prop_oneof![Just(4096_u64), Just(16384)],
        zero_ahead_bytes in prop_oneof![Just(0_u64), Just(1024)],
        checkpoint_every_bytes in prop_oneof![Just(0_u64), Just(700), Just(5000)],
    ) {
        let config = Config {
            directory: "/disk/log".into(),
            partitions: PARTITIONS,
            segment_bytes,
            zero_ahead_bytes,
            checkpoint_every_bytes,
            memory_bytes: 2000,
            ..Config::default()
        };
        check(&steps, &config, crash_at, seeds);
    }
}

/// Large records, so that zeros are asked for again and again, each time over several pieces.
fn long_step() -> impl Strategy<Value = Step> {
    let sizes = prop::collection::vec(0_usize..60_000, 1..4);
    let batches = prop::collection::vec((0..PARTITIONS, sizes), 1..4);
    prop_oneof![
        8 => batches.prop_map(|batches| Step::Append(true, batches)),
        1 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5, ..ProptestConfig::default() })]

    /// Some pieces of zeros are there, one is torn, the rest are not: frames stand before, in and
    /// behind what was to be zeroed.
    #[test]
    fn zeros_over_several_pieces_may_tear_wherever_the_power_goes(
        steps in prop::collection::vec(long_step(), 3..10),
        crash_at in 0_u64..120,
        seeds in any::<[u64; 2]>(),
    ) {
        let config = Config {
            directory: "/disk/log".into(),
            partitions: PARTITIONS,
            segment_bytes: 1 << 20,
            zero_ahead_bytes: 600 << 10,
            checkpoint_every_bytes: 100 << 10,
            memory_bytes: 2000,
            ..Config::default()
        };
        check(&steps, &config, crash_at, seeds);
    }
}
