//! Engines that share partitions in groups: whoever comes, leaves, dies or does not know that it was
//! given up, the rows are those of one engine, and so is what `users` tells.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::wildcard_enum_match_arm,
    clippy::panic,
    reason = "tests may fail loudly"
)]

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use infra_ports::groups::ConsumerGroups;
use infra_ports::memory::{Chances, Node};
use projectors::share::group_name;
use projectors::{Health, PROJECTIONS, origin};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use world::crowd::Crowd;
use world::script::{Scripted, script};
use world::told::told;
use world::{LIVE, PARTITIONS, append, assert_same_rows, now, rows, straight};

fn assert_as_if_one(crowd: &Crowd, script: &[Scripted], about: &str) {
    assert_eq!(crowd.executor.panics(), [], "{about}");
    let (log, store) = straight(script);
    assert_same_rows(&rows(&crowd.store, LIVE), &rows(&store, LIVE), about);
    assert_eq!(told(&crowd.log), told(&log), "{about}");
}

/// The partitions of a projection that an engine has now.
fn has(crowd: &Crowd, at: usize, projection: &str) -> Vec<Partition> {
    let status = crowd.engines[at].as_ref().unwrap().status(projection);
    let progress = status.unwrap().progress();
    let mut has: Vec<_> = progress.iter().map(|one| one.partition).collect();
    has.sort_unstable();
    has
}

#[test]
fn engines_of_a_group_share_the_partitions_as_they_come_and_leave() {
    let script = script(21, 300);
    let mut crowd = Crowd::new(21, Chances::SHUFFLED);
    let parts: Vec<&[Scripted]> = script.chunks(100).collect();
    let first = crowd.boot(true);
    append(&crowd.log, parts[0]);
    crowd.settle();
    let all: Vec<Partition> = (0..PARTITIONS).map(Partition).collect();
    assert_eq!(has(&crowd, first, "chats"), all);
    let second = crowd.boot(true);
    append(&crowd.log, parts[1]);
    crowd.run(Duration::from_secs(1));
    crowd.settle();
    for projection in PROJECTIONS {
        let (one, other) = (
            has(&crowd, first, projection),
            has(&crowd, second, projection),
        );
        assert_eq!(
            (one.len(), other.len()),
            (2, 1),
            "{projection}: {one:?}, {other:?}"
        );
        assert!(!one.contains(&other[0]), "{projection}");
    }
    crowd.dismiss(first);
    append(&crowd.log, parts[2]);
    crowd.settle();
    assert_eq!(has(&crowd, second, "inbox"), all);
    assert_as_if_one(&crowd, &script, "come and left");
}

#[test]
fn a_partition_that_comes_back_is_folded_from_where_others_left_it() {
    for seed in 30..34 {
        let script = script(seed, 240);
        let mut crowd = Crowd::new(seed, Chances::SHUFFLED);
        let mut others = Vec::new();
        crowd.boot(true);
        for (n, part) in script.chunks(40).enumerate() {
            append(&crowd.log, part);
            crowd.run(Duration::from_millis(300));
            crowd.settle();
            if n % 2 == 0 {
                others.extend([crowd.boot(true), crowd.boot(true)]);
            } else {
                others.drain(..).for_each(|other| crowd.dismiss(other));
            }
            crowd.run(Duration::from_millis(300));
        }
        crowd.settle();
        assert_as_if_one(&crowd, &script, &format!("seed {seed}"));
    }
}

#[test]
fn whoever_comes_leaves_dies_or_is_a_zombie_the_rows_are_those_of_one_engine() {
    let mut moves = 0;
    for seed in 0..14 {
        let script = script(seed, 250);
        let chances = if seed % 2 == 0 {
            Chances::SHUFFLED
        } else {
            Chances::ROUGH
        };
        let mut crowd = Crowd::new(seed, chances);
        crowd.live_through(&script);
        crowd.come_to_rest();
        assert_as_if_one(&crowd, &script, &format!("seed {seed}"));
        moves += crowd.moves;
    }
    assert!(moves > 100, "only {moves} moves: this tests nothing");
}

#[test]
fn partitions_come_and_go_without_another_tail() {
    let script = script(17, 120);
    let mut crowd = Crowd::new(17, Chances::SHUFFLED);
    let tails = Arc::<AtomicUsize>::default();
    crowd.tails = Some(Arc::clone(&tails));
    let first = crowd.boot(true);
    let parts: Vec<&[Scripted]> = script.chunks(40).collect();
    append(&crowd.log, parts[0]);
    crowd.settle();
    let second = crowd.boot(true);
    crowd.run(Duration::from_secs(1));
    assert_eq!(
        has(&crowd, second, "chats").len(),
        1,
        "one was taken and given"
    );
    append(&crowd.log, parts[1]);
    crowd.settle();
    crowd.dismiss(second);
    append(&crowd.log, parts[2]);
    crowd.settle();
    assert_eq!(has(&crowd, first, "chats").len(), 3, "and came back");
    assert_as_if_one(&crowd, &script, "with one tail each");
    let each = 2 * PROJECTIONS.len();
    assert_eq!(
        tails.load(Ordering::Relaxed),
        each,
        "one an engine and projection"
    );
}

#[test]
fn states_that_are_not_dropped_when_a_partition_is_taken_are_found() {
    let found = (0..100).any(|seed| {
        let script = script(seed, 250);
        let mut crowd = Crowd::new(seed, Chances::SHUFFLED);
        crowd.is_stale = true;
        crowd.live_through(&script);
        crowd.calm_down();
        // What is at hand need not be of one moment: then it is known for that, and never taken.
        !crowd.settles() || rows(&crowd.store, LIVE) != rows(&straight(&script).1, LIVE)
    });
    assert!(found, "rebalances of chance do not find it");
}

#[test]
fn a_projection_that_is_given_nothing_is_well_and_knows_of_no_partition() {
    let mut crowd = Crowd::new(5, Chances::CALM);
    for _ in 0..PARTITIONS {
        crowd.boot(true);
    }
    crowd.run(Duration::from_secs(2));
    let late = crowd.boot(true);
    crowd.run(Duration::from_secs(2));
    let status = crowd.engines[late].as_ref().unwrap().status("chats");
    let status = status.unwrap();
    assert!(matches!(status.health(), Health::CatchingUp));
    crowd.run(Duration::from_secs(10));
    assert!(
        matches!(status.health(), Health::CaughtUp),
        "others have all"
    );
    assert_eq!(status.applied(Partition(0)), None);
    assert_eq!(status.lag_records(), 0);
    let waiting = status.clone();
    let waited = crowd.executor.block_on(Node(99), async move {
        waiting.wait_applied(Partition(0), Offset(1)).await
    });
    assert!(!waited.unwrap(), "it is not known here");
}

#[test]
fn who_waits_for_a_partition_that_is_taken_is_told() {
    let mut crowd = Crowd::new(6, Chances::CALM);
    let first = crowd.boot(true);
    crowd.run(Duration::from_secs(1));
    let status = crowd.engines[first].as_ref().unwrap().status("chats");
    let status = status.unwrap();
    crowd.boot(true);
    let waited = crowd.executor.block_on(Node(99), async move {
        for partition in (0..PARTITIONS).map(Partition) {
            if status.applied(partition).is_none() {
                return true;
            }
        }
        let last = Partition(PARTITIONS - 1);
        status.wait_applied(last, Offset(1_000)).await
    });
    assert!(!waited.unwrap(), "taken while it was waited for");
}

#[test]
fn the_group_is_told_how_far_the_checkpoints_are_also_at_the_end() {
    let mut crowd = Crowd::new(8, Chances::CALM);
    let engine = crowd.boot(true);
    append(&crowd.log, &script(8, 60));
    crowd.settle();
    crowd.run(Duration::from_secs(2));
    assert_committed(&crowd);
    append(&crowd.log, &script(9, 60));
    crowd.settle();
    crowd.dismiss(engine);
    crowd.run(Duration::from_millis(200));
    assert_committed(&crowd);
}

/// Lag tools see no record that waits.
fn assert_committed(crowd: &Crowd) {
    for projection in PROJECTIONS {
        let topic: Topic = origin(projection).unwrap();
        let member = now(crowd.groups.join(&group_name(projection, LIVE), topic)).unwrap();
        for partition in (0..PARTITIONS).map(Partition) {
            use infra_ports::EventLog;
            let end = now(crowd.log.positions(topic, partition)).unwrap().end;
            let committed = now(member.committed(partition)).unwrap();
            assert_eq!(
                committed.unwrap_or_default(),
                end,
                "{projection} {partition}"
            );
        }
    }
}
