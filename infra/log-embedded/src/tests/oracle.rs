//! Any mixture of appends, syncs, closings and crashes against a list in memory.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// Batches of records of these sizes, by partition.
    Append(bool, Vec<(u32, Vec<usize>)>),
    Sync,
    Close,
    /// A crash; the unsynced end loses the sectors whose bit is set, or what follows a byte.
    Crash {
        sectors: u64,
        cut: Option<u16>,
    },
    /// A crash that loses nothing.
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let sizes = prop::collection::vec(0_usize..900, 0..4);
    let batches = prop::collection::vec((0..PARTITIONS, sizes), 1..4);
    prop_oneof![
        10 => (any::<bool>(), batches).prop_map(|(each, batches)| Step::Append(each, batches)),
        3 => Just(Step::Sync),
        1 => Just(Step::Close),
        3 => (any::<u64>(), prop::option::of(any::<u16>()))
            .prop_map(|(sectors, cut)| Step::Crash { sectors, cut }),
        1 => Just(Step::Kill),
    ]
}

/// What was appended to a topic, by batch in the order of the chain.
#[derive(Default)]
struct Model {
    batches: Vec<(u32, Vec<String>)>,
    /// Batches that no crash takes back.
    synced: usize,
}

impl Model {
    fn partition(&self, partition: u32, batches: usize) -> Vec<String> {
        let mine = self
            .batches
            .iter()
            .take(batches)
            .filter(|(p, _)| *p == partition);
        mine.flat_map(|(_, values)| values.clone()).collect()
    }

    /// After a crash the log holds a prefix of the batches, at least those that were synced.
    fn settle(&mut self, log: &EmbeddedLog, topic: Topic) {
        let found: Vec<Vec<String>> = (0..PARTITIONS)
            .map(|p| values(log, topic, p, Visibility::Durable))
            .collect();
        let fits = |batches: &usize| {
            (0..PARTITIONS)
                .zip(&found)
                .all(|(p, found)| self.partition(p, *batches) == *found)
        };
        let kept = (self.synced..=self.batches.len()).rev().find(fits);
        let kept = kept.unwrap_or_else(|| panic!("{topic}: {found:?} is no prefix"));
        self.batches.truncate(kept);
        self.synced = kept;
    }

    fn check(&self, log: &EmbeddedLog, topic: Topic) {
        let all = self.batches.len();
        for p in 0..PARTITIONS {
            assert_eq!(
                values(log, topic, p, Visibility::Appended),
                self.partition(p, all)
            );
        }
        let from = (0..PARTITIONS).map(|p| (Partition(p), Offset(0))).collect();
        let mut tail = run(log.tail(topic, from, Visibility::Appended)).unwrap();
        let mut left: usize = self.batches.iter().map(|(_, values)| values.len()).sum();
        while left > 0 {
            for batch in run(tail.next(5)).unwrap() {
                let expected = self.partition(batch.partition.0, all);
                for record in &batch.records {
                    assert_eq!(record.value, expected[record.offset.0 as usize].as_bytes());
                }
                left -= batch.records.len();
            }
        }
    }
}

/// Loses some of what was not synced of the active segment of a topic.
fn lose(path: &Path, (durable, end): (u64, u64), sectors: u64, cut: Option<u16>) {
    spoil(path, |bytes| {
        for sector in durable / 512..=end / 512 {
            if sectors >> (sector % 64) & 1 == 1 {
                let from = (sector * 512).max(durable) as usize;
                let to = ((sector + 1) * 512).min(end).min(bytes.len() as u64) as usize;
                if from < to {
                    bytes[from..to].fill(0);
                }
            }
        }
        if let Some(cut) = cut {
            let place = durable + u64::from(cut) % (end - durable + 1);
            bytes[place as usize..].fill(0);
        }
    });
}

fn active_path(log: &EmbeddedLog, topic: Topic) -> PathBuf {
    log.topic(topic)
        .unwrap()
        .writer
        .lock()
        .active
        .segment
        .path
        .clone()
}

fn play(steps: Vec<Step>, config: Config) {
    let home = Home::with(config);
    let mut log = home.open();
    let (mut each, mut synced) = (Model::default(), Model::default());
    let mut count = 0;
    for step in steps {
        match step {
            Step::Append(is_each, batches) => {
                let (topic, model) = if is_each {
                    (Topic::Chats, &mut each)
                } else {
                    (Topic::Users, &mut synced)
                };
                let mut sent = Vec::new();
                for (partition, sizes) in batches {
                    let named = sizes.iter().map(|size| {
                        count += 1;
                        format!("{count}.{}", "p".repeat(*size))
                    });
                    let named: Vec<String> = named.collect();
                    let records = named.iter().map(record).collect();
                    sent.push((Partition(partition), records));
                    model.batches.push((partition, named));
                }
                run(log.append_all(topic, sent)).unwrap();
                each.synced = each.batches.len();
            }
            Step::Sync => {
                run(log.sync(Topic::Users)).unwrap();
                synced.synced = synced.batches.len();
            }
            Step::Close | Step::Kill | Step::Crash { .. } => {
                let path = active_path(&log, Topic::Users);
                let unsynced = ends(&log, Topic::Users);
                if matches!(step, Step::Close) {
                    run(log.close()).unwrap();
                    synced.synced = synced.batches.len();
                }
                drop(log);
                if let Step::Crash { sectors, cut } = step {
                    lose(&path, unsynced, sectors, cut);
                }
                log = home.open();
                each.settle(&log, Topic::Chats);
                synced.settle(&log, Topic::Users);
            }
        }
    }
    each.check(&log, Topic::Chats);
    synced.check(&log, Topic::Users);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_log_holds_what_it_acknowledged(
        steps in prop::collection::vec(step(), 1..40),
        segment_bytes in prop_oneof![Just(4096_u64), Just(16384)],
        memory_bytes in prop_oneof![Just(0_u64), Just(3000), Just(1 << 20)],
        zero_ahead_bytes in prop_oneof![Just(0_u64), Just(2048)],
        index_every_bytes in prop_oneof![Just(1_u64), Just(256), Just(4096)],
    ) {
        play(steps, Config {
            segment_bytes,
            memory_bytes,
            zero_ahead_bytes,
            index_every_bytes,
            ..Config::default()
        });
    }
}
