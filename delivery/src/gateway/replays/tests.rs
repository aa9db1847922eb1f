//! Who waits for a partition of `users`, with reads that the test counts, holds back and breaks.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use infra_ports::BoxFuture;
use infra_ports::log::NewRecord;
use infra_ports::memory::{Chances, Executor, Halt, MemoryLog};
use parking_lot::Mutex;
use schemas::position::Timestamp;
use schemas::topics::TOPICS;

use super::*;
use crate::testing::{NODE, Reads, chat, message, told, user};

type Answer = Arc<Mutex<Option<Result<Heads, LogError>>>>;

const HERE: Partition = Partition(0);

/// One who waits, polled by the test itself.
struct ByHand(BoxFuture<'static, Result<Heads, LogError>>);

impl ByHand {
    fn poll(&mut self) -> Poll<Result<Heads, LogError>> {
        self.0
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    }
}

/// A log with one partition, and readers of it.
struct Scene {
    executor: Executor,
    log: MemoryLog,
    reads: Arc<Reads>,
    replays: Arc<Replays>,
    /// Of each record its recipient.
    written: Vec<&'static str>,
}

impl Scene {
    fn new(executor: Executor, reads: Arc<Reads>) -> Self {
        let log = MemoryLog::new(1);
        let read = Arc::new(log.reopen(Arc::clone(&reads) as _));
        let replays = Replays::new(read, Arc::new(executor.runtime(NODE)));
        let mut scene = Self {
            executor,
            log,
            reads,
            replays,
            written: Vec::new(),
        };
        let log = scene.log.clone();
        let create = async move { log.create_topics(&TOPICS.map(|spec| spec.topic)).await };
        scene.executor.block_on(NODE, create).unwrap().unwrap();
        scene
    }

    fn held_back() -> Self {
        Self::new(Executor::seeded(1, Chances::CALM), Reads::held_back())
    }

    /// Record n of the partition tells its recipient of entry n + 1 of their chat.
    fn write(&mut self, recipients: impl Iterator<Item = &'static str>) {
        let mut records = Vec::new();
        for name in recipients {
            self.written.push(name);
            let event = message(&chat(&format!("d.{name}.zoe")), "zoe", "hello");
            let told = told(self.written.len() as u64, &event, &[name]);
            records.push(NewRecord {
                key: bytes::Bytes::new(),
                value: told.encode().unwrap(),
                at: Timestamp(0),
            });
        }
        let log = self.log.clone();
        let append = async move {
            log.append(Topic::Users, HERE, records).await?;
            log.sync(Topic::Users).await
        };
        self.executor.block_on(NODE, append).unwrap().unwrap();
    }

    /// Somebody begins to wait.
    fn ask(&mut self, name: &'static str, from: u64, to: u64) -> Answer {
        let answer = Answer::default();
        let (replays, place) = (Arc::clone(&self.replays), Arc::clone(&answer));
        let ask = async move {
            let lacking = (Offset(from), Offset(to));
            let heads = replays.heads(&user(name), HERE, lacking).await;
            *place.lock() = Some(heads);
        };
        let runtime = self.executor.runtime(NODE);
        runtime.spawn("asks", Box::pin(ask));
        self.settle();
        answer
    }

    /// Somebody who begins to wait when the test polls, and leaves when it drops them.
    fn asks_by_hand(&self, name: &'static str, from: u64, to: u64) -> ByHand {
        let replays = Arc::clone(&self.replays);
        ByHand(Box::pin(async move {
            let lacking = (Offset(from), Offset(to));
            replays.heads(&user(name), HERE, lacking).await
        }))
    }

    fn settle(&mut self) {
        self.wait(Duration::from_millis(10));
    }

    fn wait(&mut self, time: Duration) {
        assert_eq!(self.executor.run_for(time), Halt::Done);
        assert!(self.executor.panics().is_empty());
    }

    /// Lets so many reads through and waits until nothing more happens.
    fn let_through(&mut self, reads: usize) {
        self.reads.let_through(reads);
        self.settle();
    }

    /// The newest entry of those told to somebody in a stretch; 0 when there is none.
    fn newest(&self, name: &str, from: u64, to: u64) -> u64 {
        let stretch = self.written.iter().zip(1..).skip(from as usize);
        let theirs = stretch.filter(|(who, seq)| **who == name && *seq <= to);
        theirs.map(|(_, seq)| seq).last().unwrap_or(0)
    }
}

fn seq_of(answer: &Answer, name: &str) -> Option<u64> {
    let answer = answer.lock();
    let heads = answer.as_ref()?.as_ref().unwrap();
    let head = heads.get(&chat(&format!("d.{name}.zoe")));
    Some(head.map_or(0, |head| head.seq.0))
}

fn has_failed(answer: &Answer) -> bool {
    matches!(*answer.lock(), Some(Err(_)))
}

/// Names in turn.
fn names(count: usize) -> impl Iterator<Item = &'static str> {
    ["ada", "bob", "cyd"].into_iter().cycle().take(count)
}

#[test]
fn a_chunk_is_read_once_for_all_who_wait_and_each_gets_what_is_theirs() {
    let mut scene = Scene::held_back();
    scene.write(names(2_400));
    let ada = scene.ask("ada", 0, 2_400);
    let bob = scene.ask("bob", 500, 2_400);
    let cyd = scene.ask("cyd", 1_500, 1_600);
    let eve = scene.ask("eve", 0, 2_400);
    let twice = scene.ask("ada", 2_399, 2_400);
    scene.let_through(10);
    assert_eq!(scene.reads.count(), 3, "2,400 records in chunks");
    assert_eq!(seq_of(&ada, "ada"), Some(scene.newest("ada", 0, 2_400)));
    assert_eq!(seq_of(&bob, "bob"), Some(scene.newest("bob", 500, 2_400)));
    assert_eq!(seq_of(&cyd, "cyd"), Some(scene.newest("cyd", 1_500, 1_600)));
    assert_eq!(seq_of(&eve, "eve"), Some(0));
    assert_eq!(seq_of(&twice, "ada"), Some(0), "only what it lacks");
    assert_eq!(scene.executor.tasks(NODE), 0, "nobody waits any more");
}

#[test]
fn who_comes_late_gets_what_was_read_already_in_another_pass() {
    let mut scene = Scene::held_back();
    scene.write(names(3_000));
    let first = scene.ask("ada", 0, 3_000);
    scene.let_through(1);
    let late = scene.ask("bob", 10, 1_000);
    let joins = scene.ask("cyd", 1_999, 3_000);
    scene.let_through(2);
    assert_eq!(seq_of(&first, "ada"), Some(2_998), "it was not held up");
    assert_eq!(seq_of(&joins, "cyd"), Some(3_000));
    assert_eq!(seq_of(&late, "bob"), None);
    scene.let_through(1);
    assert_eq!(seq_of(&late, "bob"), Some(scene.newest("bob", 10, 1_000)));
    assert_eq!(scene.reads.count(), 4);
    assert_eq!(scene.executor.tasks(NODE), 0);
}

#[test]
fn a_read_that_fails_is_told_to_all_and_the_next_who_asks_is_read_for() {
    let mut scene = Scene::held_back();
    scene.write(names(30));
    scene.reads.fail(true);
    let (one, other) = (scene.ask("ada", 0, 30), scene.ask("bob", 3, 30));
    scene.let_through(1);
    assert!(has_failed(&one) && has_failed(&other));
    assert_eq!(scene.executor.tasks(NODE), 0);
    scene.reads.fail(false);
    let again = scene.ask("ada", 0, 30);
    scene.let_through(1);
    assert_eq!(seq_of(&again, "ada"), Some(28));
}

#[test]
fn a_log_that_ends_before_what_was_told_is_an_error_and_no_end() {
    let mut scene = Scene::held_back();
    scene.write(names(30));
    let ada = scene.ask("ada", 0, 31);
    scene.let_through(5);
    assert!(has_failed(&ada));
    assert_eq!(scene.reads.count(), 2);
}

#[test]
fn what_retention_took_is_passed_over() {
    let mut scene = Scene::held_back();
    scene.write(names(30));
    let ada = scene.ask("ada", 0, 30);
    let bob = scene.ask("bob", 0, 20);
    scene
        .log
        .drop_before(Topic::Users, HERE, Offset(25))
        .unwrap();
    scene.let_through(5);
    assert_eq!(seq_of(&ada, "ada"), Some(28));
    assert_eq!(seq_of(&bob, "bob"), Some(0));
}

#[test]
fn nothing_is_read_for_those_who_left() {
    let mut scene = Scene::held_back();
    scene.write(names(30));
    let mut asks = scene.asks_by_hand("ada", 0, 30);
    assert!(asks.poll().is_pending());
    scene.settle();
    assert_eq!((scene.reads.count(), scene.executor.tasks(NODE)), (1, 1));
    drop(asks);
    scene.settle();
    assert_eq!(scene.executor.tasks(NODE), 0, "the read was given up");
    let bob = scene.ask("bob", 0, 30);
    scene.let_through(2);
    assert_eq!(seq_of(&bob, "bob"), Some(29));
}

#[test]
fn who_leaves_after_their_answer_leaves_the_place_of_who_came_since() {
    let mut scene = Scene::held_back();
    scene.write(names(30));
    let mut asks = scene.asks_by_hand("ada", 0, 30);
    assert!(asks.poll().is_pending());
    scene.let_through(1);
    assert_eq!(scene.executor.tasks(NODE), 0, "it is answered");
    let bob = scene.ask("bob", 0, 30);
    drop(asks);
    scene.let_through(1);
    assert_eq!(seq_of(&bob, "bob"), Some(29));
}

#[test]
fn a_reader_that_is_lost_leaves_nobody_waiting() {
    let mut scene = Scene::held_back();
    scene.write(names(30));
    let mut asks = scene.asks_by_hand("ada", 0, 30);
    assert!(asks.poll().is_pending());
    scene.settle();
    scene.executor.kill(NODE);
    assert!(matches!(asks.poll(), Poll::Ready(Err(_))));
}

#[test]
fn whoever_comes_whenever_and_whatever_the_log_does_everybody_gets_all_of_theirs() {
    for seed in 0..10 {
        let mut executor = Executor::seeded(seed, Chances::SHUFFLED);
        let faults = Reads::of_log(Arc::new(executor.faults(NODE)));
        executor.set_step_budget(10_000_000);
        let mut scene = Scene::new(executor, faults);
        let mut answers = Vec::new();
        let mut dice = seed;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) % sides
        };
        for _ in 0..30 {
            scene.write(names(roll(200) as usize + 3));
            let end = scene.written.len() as u64;
            let name = ["ada", "bob", "cyd"][roll(3) as usize];
            let from = roll(end);
            let to = from + roll(end - from) + 1;
            scene.reads.fail(roll(8) == 0);
            answers.push((name, from, to, scene.ask(name, from, to)));
        }
        scene.reads.fail(false);
        scene.wait(Duration::from_secs(5));
        let mut failed = 0;
        for (name, from, to, answer) in &answers {
            if has_failed(answer) {
                failed += 1;
                continue;
            }
            let seq = seq_of(answer, name).expect("everybody is answered");
            assert_eq!(seq, scene.newest(name, *from, *to), "seed {seed}");
        }
        assert!(failed < answers.len(), "seed {seed}");
        assert_eq!(scene.executor.tasks(NODE), 0, "seed {seed}");
    }
}
