//! Workers behind a router with hot standbys: whoever is killed, and whenever, everybody hears everything and
//! nobody resumes.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt;
use infra_ports::EventLog;
use infra_ports::link::{Link, SubscriberId};
use infra_ports::log::Visibility;
use infra_ports::memory::{Chances, Halt};
use schemas::avro::LogEvent;
use schemas::events::UserEvent;
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use super::partitions::{NODE, Scene, USERS, home, user};

const ALL: [&str; 3] = ["a", "b", "c"];
/// Long enough for standbys to be hot.
const HOT_MS: u64 = 2_000;

/// Everybody is subscribed.
fn scene(seed: u64, workers: &[&str]) -> Scene {
    let mut scene = Scene::with(seed, Chances::SHUFFLED, true);
    scene.know(workers);
    scene.subscribe(0..USERS);
    settle(&mut scene, workers);
    scene
}

/// Every partition has its standby, and what moved at the start has been left long since.
fn settle(scene: &mut Scene, workers: &[&str]) {
    scene.wait(HOT_MS);
    (0..2).for_each(|_| scene.know(workers));
}

/// Where somebody is.
fn homes() -> BTreeSet<Partition> {
    (0..USERS).map(home).collect()
}

/// Lets so many steps be taken, in the middle of whatever is under way.
fn step(scene: &mut Scene, mut steps: u64) {
    let halt = scene.executor.run_until(|| {
        steps = steps.saturating_sub(1);
        steps == 0
    });
    assert!(matches!(halt, Halt::Done | Halt::Idle), "{halt:?}");
}

/// What a user is told from an offset of their partition on.
fn due(scene: &mut Scene, n: u64, from: Offset) -> BTreeSet<u64> {
    let log = scene.log.clone();
    let read = async move {
        let visibility = Visibility::Appended;
        log.read(Topic::Users, home(n), from, 1_000, visibility)
            .await
    };
    let records = scene.executor.block_on(NODE, read).unwrap().unwrap();
    let told = |record: &infra_ports::log::Record| match UserEvent::decode(&record.value).unwrap() {
        UserEvent::MarkTold(told) if told.recipients == [user(n)] => Some(told.seq.0),
        _ => None,
    };
    records.iter().filter_map(told).collect()
}

/// What a user heard.
fn heard(by: &BTreeMap<SubscriberId, Vec<u64>>, n: u64) -> BTreeSet<u64> {
    let heard = by.get(&SubscriberId(n)).into_iter().flatten();
    heard.copied().collect()
}

/// Every user heard every number, and nobody has to resume. A standby that comes may tell what is new before the
/// owner has told what is older, as in a move: sessions see the gap, so order is theirs to keep.
fn check_nothing_missed(scene: &Scene, seed: u64) {
    let by = scene.heard.by.lock();
    for n in 0..USERS {
        let all: BTreeSet<u64> = (1..=scene.told).collect();
        assert_eq!(heard(&by, n), all, "seed {seed}: u{n}");
    }
    assert_eq!(*scene.heard.detached.lock(), [], "seed {seed}");
}

#[test]
fn two_workers_read_each_partition_and_one_of_them_may_be_killed_at_any_step() {
    for seed in 0..60 {
        let mut scene = scene(seed, &ALL);
        let reads = scene.reads();
        for partition in homes() {
            let readers = reads.iter().filter(|reads| reads.contains(&partition));
            assert_eq!(readers.count(), 2, "seed {seed}: {partition}");
        }
        for _ in 0..3 {
            scene.tell_all();
            step(&mut scene, 1 + seed * 7 % 90);
        }
        let killed = ALL[usize::try_from(seed % 3).unwrap()];
        scene.kill(killed);
        for _ in 0..3 {
            scene.tell_all();
            step(&mut scene, seed % 17);
        }
        scene.wait(HOT_MS);
        check_nothing_missed(&scene, seed);
        // The two that are left stand by for each other.
        let left: Vec<&str> = ALL.into_iter().filter(|name| *name != killed).collect();
        scene.tell_all();
        step(&mut scene, seed % 40);
        scene.kill(left[usize::try_from(seed % 2).unwrap()]);
        scene.tell_all();
        scene.wait(HOT_MS);
        check_nothing_missed(&scene, seed);
        assert_eq!(scene.executor.panics(), []);
    }
}

#[test]
fn without_a_standby_those_of_a_killed_worker_resume() {
    let mut scene = Scene::with(3, Chances::SHUFFLED, false);
    scene.know(&ALL);
    scene.subscribe(0..USERS);
    scene.wait(HOT_MS);
    scene.kill("a");
    assert!(!scene.heard.detached.lock().is_empty());
}

#[test]
fn whoever_was_answered_misses_nothing_whichever_worker_is_killed_meanwhile() {
    let (mut answered, mut unanswered) = (0, 0);
    for seed in 0..60 {
        let mut scene = Scene::with(seed, Chances::SHUFFLED, true);
        scene.know(&ALL);
        scene.subscribe(USERS / 2..USERS);
        settle(&mut scene, &ALL);
        scene.tell_all();
        let mut answers = Vec::new();
        for n in 0..USERS / 2 {
            answers.push(Box::pin(scene.router.subscribe(&user(n), SubscriberId(n))));
            step(&mut scene, 1 + seed % 5);
        }
        scene.tell_all();
        step(&mut scene, seed % 23);
        scene.kill(ALL[usize::try_from(seed % 3).unwrap()]);
        scene.tell_all();
        scene.wait(HOT_MS);
        let detached = scene.heard.detached.lock().clone();
        assert_eq!(detached, [], "seed {seed}");
        for (n, answer) in (0..).zip(answers) {
            let Some(Ok(told)) = answer.now_or_never() else {
                unanswered += 1;
                continue;
            };
            answered += 1;
            let due = due(&mut scene, n, told.from);
            let heard = heard(&scene.heard.by.lock(), n);
            assert!(
                due.is_subset(&heard),
                "seed {seed}: u{n} is due {due:?}, heard {heard:?}"
            );
        }
    }
    assert!(answered > 100, "{answered} and {unanswered}");
}

#[test]
fn standbys_follow_workers_that_come_and_go_and_everybody_hears_everything() {
    for seed in 0..20 {
        let mut scene = scene(seed, &["a"]);
        scene.come_and_go(&[
            (&["a", "b"], 20),
            (&["a", "b", "c"], 300),
            (&["b", "c"], 5),
            (&["c"], 900),
            (&["a", "c"], 1_500),
            (&["a", "b", "c"], 40),
        ]);
        scene.wait(5_000);
        check_nothing_missed(&scene, seed);
        let reads = scene.reads();
        let all: usize = reads.iter().map(BTreeSet::len).sum();
        assert_eq!(all, 2 * homes().len(), "seed {seed}: each twice, {reads:?}");
    }
}
