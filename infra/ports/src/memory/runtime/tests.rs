//! The simulated runtime: equal seeds, planted bugs found, killed nodes, timers in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Chances, Choices, Executor, Halt, Kind, Node, Step};
use crate::laws;
use crate::memory::faults::Faults;
use crate::runtime::Runtime;

const NODE: Node = Node(1);
const OTHER: Node = Node(2);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Three tasks that work, sleep and pass points; what they did, in order.
fn busy_run(executor: &mut Executor) -> Vec<(u64, u32)> {
    let done = Arc::new(Mutex::new(Vec::new()));
    for task in 0..3 {
        let (runtime, faults) = (executor.runtime(NODE), executor.faults(NODE));
        let done = Arc::clone(&done);
        let work = async move {
            for _ in 0..10 {
                faults.point("work").await;
                done.lock().push((runtime.random(), task));
                runtime.sleep(millis(runtime.random() % 5)).await;
            }
        };
        executor.runtime(NODE).spawn("work", Box::pin(work));
    }
    let halt = executor.run_until(|| done.lock().len() == 30);
    assert_eq!(halt, Halt::Done);
    std::mem::take(&mut *done.lock())
}

#[test]
fn the_simulated_runtime_keeps_the_laws() {
    for seed in 0..50 {
        let mut executor = Executor::seeded(seed, Chances::SHUFFLED);
        let runtime = Arc::new(executor.runtime(NODE));
        assert_eq!(
            executor.block_on(NODE, laws::runtime::check(runtime)),
            Ok(()),
            "seed {seed}"
        );
        assert_eq!(executor.panics().len(), 2, "the law's own panics are kept");
    }
}

#[test]
fn equal_seeds_make_equal_runs() {
    let run = |seed| {
        let mut executor = Executor::seeded(seed, Chances::SHUFFLED);
        let done = busy_run(&mut executor);
        (done, executor.trace(), executor.steps(), executor.elapsed())
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
        assert_ne!(run(seed), run(seed + 1), "seed {seed}");
    }
}

#[test]
fn a_replayed_run_equals_the_recorded_one() {
    let mut recorded = Executor::seeded(11, Chances::SHUFFLED);
    let done = busy_run(&mut recorded);
    let decided = recorded.choices().made().clone();
    assert!(!decided.is_empty());
    let mut replayed = Executor::with_choices(Choices::replayed(11, decided));
    assert_eq!(busy_run(&mut replayed), done);
    assert_eq!(replayed.trace(), recorded.trace());
}

#[test]
fn leaving_a_decision_out_does_not_shift_the_others() {
    let mut choices = Choices::seeded(
        3,
        Chances {
            effect: 500,
            ..Chances::CALM
        },
    );
    let straight: Vec<u32> = (0..100)
        .map(|_| choices.choose(Kind::Effect, "write", NODE, 5))
        .collect();
    let mut decided = choices.made().clone();
    let (left_out, _) = decided.pop_first().expect("half of them are not 0");
    let mut choices = Choices::replayed(3, decided);
    for (nth, value) in (0..).zip(straight) {
        let expected = if nth == left_out.nth { 0 } else { value };
        assert_eq!(choices.choose(Kind::Effect, "write", NODE, 5), expected);
        choices.choose(Kind::Effect, "elsewhere", NODE, 5);
    }
}

#[test]
fn a_calm_run_decides_nothing_and_lists_what_could_be_decided() {
    let mut executor = Executor::with_choices(Choices::replayed(1, BTreeMap::new()));
    executor.choices().keep_asked();
    busy_run(&mut executor);
    assert!(executor.choices().made().is_empty());
    let crashes = executor
        .choices()
        .asked()
        .iter()
        .filter(|(key, _)| key.kind == Kind::Crash)
        .count();
    assert_eq!(crashes, 30, "one at every point passed");
}

/// Handlers are spawned one per message and overtake each other: is the order kept?
fn overtaking_bug_shows(seed: u64, chances: Chances) -> bool {
    let mut executor = Executor::seeded(seed, chances);
    let handled = Arc::new(Mutex::new(Vec::new()));
    for message in 0..4 {
        let handled = Arc::clone(&handled);
        let handler = async move { handled.lock().push(message) };
        executor.runtime(NODE).spawn("handler", Box::pin(handler));
    }
    assert_eq!(executor.run_until(|| handled.lock().len() == 4), Halt::Done);
    let handled = handled.lock();
    *handled != [0, 1, 2, 3]
}

#[test]
fn seeds_find_handlers_that_overtake_each_other() {
    let found = (0..100)
        .filter(|seed| overtaking_bug_shows(*seed, Chances::SHUFFLED))
        .count();
    assert!(found > 10, "found in {found} of 100 seeds");
    let calm = (0..100)
        .filter(|seed| overtaking_bug_shows(*seed, Chances::CALM))
        .count();
    assert_eq!(calm, 0, "one order only without choices");
}

/// The consumer looks, passes a point, and only then waits to be told: what it is told in between
/// is lost.
fn wakeup_is_lost(seed: u64, chances: Chances) -> bool {
    let mut executor = Executor::seeded(seed, chances);
    let (queue, news) = (Arc::new(Mutex::new(0)), Arc::new(Notify::new()));
    let taken = Arc::new(Mutex::new(false));
    let consumer = {
        let (queue, news, taken) = (Arc::clone(&queue), Arc::clone(&news), Arc::clone(&taken));
        let faults = executor.faults(NODE);
        async move {
            while *queue.lock() == 0 {
                faults.point("looked").await;
                news.notified().await;
            }
            *taken.lock() = true;
        }
    };
    let producer = {
        let (queue, news, runtime) = (
            Arc::clone(&queue),
            Arc::clone(&news),
            executor.runtime(NODE),
        );
        async move {
            runtime.sleep(millis(3)).await;
            *queue.lock() += 1;
            // Tells only those who wait already: the planted bug.
            news.notify_waiters();
        }
    };
    executor.runtime(NODE).spawn("consumer", Box::pin(consumer));
    executor.runtime(NODE).spawn("producer", Box::pin(producer));
    match executor.run_until(|| *taken.lock()) {
        Halt::Done => false,
        Halt::Idle => true,
        other => panic!("seed {seed}: {other:?}"),
    }
}

#[test]
fn delays_find_a_lost_wakeup_and_order_alone_does_not() {
    let order_only = Chances {
        order: 500,
        ..Chances::CALM
    };
    assert_eq!(
        (0..200)
            .filter(|seed| wakeup_is_lost(*seed, order_only))
            .count(),
        0
    );
    let found = (0..200)
        .filter(|seed| wakeup_is_lost(*seed, Chances::SHUFFLED))
        .count();
    assert!(found > 5, "found in {found} of 200 seeds");
}

/// Counts itself while it lives.
struct Alive(Arc<Mutex<i32>>);

impl Alive {
    fn new(count: &Arc<Mutex<i32>>) -> Self {
        *count.lock() += 1;
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
    }
}

#[test]
fn kill_drops_every_task_of_the_node_and_no_other() {
    let mut executor = Executor::seeded(5, Chances::SHUFFLED);
    let alive = Arc::new(Mutex::new(0));
    for node in [NODE, NODE, NODE, OTHER] {
        let (runtime, alive) = (executor.runtime(node), Alive::new(&alive));
        let task = async move {
            let _alive = alive;
            loop {
                runtime.sleep(millis(7)).await;
            }
        };
        executor.runtime(node).spawn("sleeper", Box::pin(task));
    }
    assert_eq!(executor.run_for(millis(50)), Halt::Done);
    let old_boot = executor.runtime(NODE);
    executor.kill(NODE);
    assert_eq!(*alive.lock(), 1);
    assert_eq!((executor.tasks(NODE), executor.tasks(OTHER)), (0, 1));

    let late = Alive::new(&alive);
    let task = async move { drop(late) };
    old_boot.spawn("late", Box::pin(task));
    assert_eq!(
        (*alive.lock(), executor.tasks(NODE)),
        (1, 0),
        "a dead boot spawns nothing"
    );
    assert_eq!(
        executor.block_on(NODE, async { 3 }),
        Ok(3),
        "the next boot does"
    );
}

#[test]
fn a_crash_at_a_point_drops_the_node_at_once() {
    let crashes = Chances {
        crash: 1000,
        ..Chances::CALM
    };
    let mut executor = Executor::seeded(1, crashes);
    let passed = Arc::new(Mutex::new(0));
    for node in [NODE, OTHER] {
        let faults = executor.faults(NODE);
        let passed = Arc::clone(&passed);
        let task = async move {
            if node == NODE {
                faults.point("append").await;
            }
            *passed.lock() += 1;
        };
        executor.runtime(node).spawn("appender", Box::pin(task));
    }
    assert_eq!(executor.run_until(|| false), Halt::Crashed(NODE, "append"));
    assert_eq!(executor.tasks(NODE), 0);
    assert_eq!(executor.run_until(|| false), Halt::Idle);
    assert_eq!(
        *passed.lock(),
        1,
        "the other node goes on, the crashed one never passed"
    );
    executor.choices().set_calm(true);
    let faults = executor.faults(NODE);
    assert_eq!(
        executor.block_on(NODE, async move { faults.point("append").await }),
        Ok(())
    );
}

#[test]
fn time_goes_to_the_next_timer_only_when_nothing_is_ready() {
    let mut executor = Executor::seeded(0, Chances::CALM);
    let runtime = executor.runtime(NODE);
    executor
        .runtime(NODE)
        .spawn("sleeper", runtime.sleep(Duration::from_secs(86_400)));
    assert_eq!(executor.step(), Step::Polled);
    assert!(executor.elapsed() < millis(1));
    assert_eq!(executor.step(), Step::TimePassed);
    assert!(executor.elapsed() >= Duration::from_secs(86_400));
    assert_eq!(executor.step(), Step::Polled);
    assert_eq!(executor.step(), Step::Idle);
}

#[test]
fn a_spinning_task_spends_the_budget_but_does_not_stop_time() {
    let mut executor = Executor::seeded(0, Chances::CALM);
    executor.set_step_budget(10_000);
    let spin = async {
        loop {
            super::faults::YieldOnce(false).await;
        }
    };
    executor.runtime(NODE).spawn("spin", Box::pin(spin));
    let sleep = executor.runtime(OTHER).sleep(millis(2));
    assert_eq!(executor.block_on(OTHER, sleep), Ok(()));
    assert_eq!(executor.run_until(|| false), Halt::BudgetSpent);
}

#[test]
fn a_jump_of_the_wall_clock_leaves_other_nodes_and_elapsed_alone() {
    let executor = Executor::seeded(0, Chances::CALM);
    let (runtime, other) = (executor.runtime(NODE), executor.runtime(OTHER));
    let (before, others) = (runtime.now(), other.now());
    executor.jump_wall_clock(NODE, -3_600_000);
    assert_eq!(runtime.now().0, before.0 - 3_600_000);
    assert_eq!(other.now(), others);
    assert_eq!(runtime.elapsed(), Duration::ZERO);
}

#[test]
fn random_numbers_depend_on_the_seed_and_the_node() {
    let draw = |seed, node| Executor::seeded(seed, Chances::CALM).runtime(node).random();
    assert_eq!(draw(1, NODE), draw(1, NODE));
    assert_ne!(draw(1, NODE), draw(2, NODE));
    assert_ne!(draw(1, NODE), draw(1, OTHER));
}
