//! The laws of the runtime port.
//!
//! Each law is one behaviour and panics when it is broken; [`check`] runs them all. They wait on
//! conditions only, so that they hold in real and in virtual time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::runtime::Runtime;

/// Runs every law on a runtime, from a task of that runtime.
///
/// # Panics
/// When a law is broken.
pub async fn check(runtime: Arc<dyn Runtime>) {
    spawned_tasks_run_by_themselves(&runtime).await;
    dedicated_tasks_run_by_themselves(&runtime).await;
    dedicated_tasks_can_sleep(&runtime).await;
    a_panic_takes_only_its_own_task_down(&runtime).await;
    a_sleep_is_never_shorter_than_asked(&runtime).await;
    sleeps_end_in_the_order_of_their_times(&runtime).await;
    a_dropped_sleep_disturbs_nobody(&runtime).await;
    elapsed_never_goes_back(&runtime).await;
    the_wall_clock_shows_a_time_of_our_days(&runtime);
    random_numbers_differ(&runtime);
}

async fn spawned_tasks_run_by_themselves(runtime: &Arc<dyn Runtime>) {
    let (tell, told) = oneshot::channel();
    let inner = Arc::clone(runtime);
    let outer = async move {
        let innermost = async move {
            let _ = tell.send(7);
        };
        inner.spawn("law-inner", Box::pin(innermost));
    };
    runtime.spawn("law-outer", Box::pin(outer));
    assert_eq!(
        told.await,
        Ok(7),
        "a task spawned by a spawned task must run"
    );
}

async fn dedicated_tasks_run_by_themselves(runtime: &Arc<dyn Runtime>) {
    let (tell, told) = oneshot::channel();
    let task = async move {
        let _ = tell.send(7);
    };
    runtime.spawn_dedicated("law-dedicated", Box::pin(task));
    assert_eq!(told.await, Ok(7), "a dedicated task must run");
}

async fn dedicated_tasks_can_sleep(runtime: &Arc<dyn Runtime>) {
    let (tell, told) = oneshot::channel();
    let inner = Arc::clone(runtime);
    let task = async move {
        inner.sleep(Duration::from_millis(2)).await;
        let _ = tell.send(());
    };
    runtime.spawn_dedicated("law-dedicated", Box::pin(task));
    assert_eq!(told.await, Ok(()), "timers must work in a dedicated task");
}

async fn a_panic_takes_only_its_own_task_down(runtime: &Arc<dyn Runtime>) {
    let (dying, died) = oneshot::channel::<()>();
    let panics = async move {
        let _dropped_by_the_panic = dying;
        std::panic::resume_unwind(Box::new("a law panics on purpose"));
    };
    runtime.spawn("law-panics", Box::pin(panics));
    assert!(died.await.is_err(), "a panic must drop the task");
    let (dying, died) = oneshot::channel::<()>();
    let panics = async move {
        let _dropped_by_the_panic = dying;
        std::panic::resume_unwind(Box::new("a law panics on purpose"));
    };
    runtime.spawn_dedicated("law-panics", Box::pin(panics));
    assert!(died.await.is_err(), "a panic must drop the dedicated task");
    spawned_tasks_run_by_themselves(runtime).await;
}

async fn a_sleep_is_never_shorter_than_asked(runtime: &Arc<dyn Runtime>) {
    for asked in [0, 1, 5].map(Duration::from_millis) {
        let before = runtime.elapsed();
        runtime.sleep(asked).await;
        let slept = runtime.elapsed().saturating_sub(before);
        assert!(slept >= asked, "asked for {asked:?}, slept {slept:?}");
    }
}

async fn sleeps_end_in_the_order_of_their_times(runtime: &Arc<dyn Runtime>) {
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut ends = Vec::new();
    for millis in [120, 10, 60] {
        let (inner, order) = (Arc::clone(runtime), Arc::clone(&order));
        let (tell, told) = oneshot::channel();
        let task = async move {
            inner.sleep(Duration::from_millis(millis)).await;
            order.lock().push(millis);
            let _ = tell.send(());
        };
        runtime.spawn("law-sleeps", Box::pin(task));
        ends.push(told);
    }
    for told in ends {
        assert_eq!(told.await, Ok(()), "a sleep must end");
    }
    assert_eq!(*order.lock(), [10, 60, 120]);
}

async fn a_dropped_sleep_disturbs_nobody(runtime: &Arc<dyn Runtime>) {
    let long = runtime.sleep(Duration::from_secs(3600));
    let short = runtime.sleep(Duration::from_millis(1));
    match select(long, short).await {
        Either::Left(_) => panic!("an hour must be longer than a millisecond"),
        Either::Right(((), long)) => drop(long),
    }
    runtime.sleep(Duration::from_millis(1)).await;
}

async fn elapsed_never_goes_back(runtime: &Arc<dyn Runtime>) {
    let mut last = runtime.elapsed();
    for _ in 0..100 {
        runtime.sleep(Duration::ZERO).await;
        let now = runtime.elapsed();
        assert!(now >= last, "{now:?} after {last:?}");
        last = now;
    }
}

fn the_wall_clock_shows_a_time_of_our_days(runtime: &Arc<dyn Runtime>) {
    const YEAR_2020_MS: i64 = 1_577_836_800_000;
    const YEAR_2200_MS: i64 = 7_258_118_400_000;
    let now = runtime.now().0;
    assert!(
        (YEAR_2020_MS..YEAR_2200_MS).contains(&now),
        "{now} ms since 1970"
    );
}

fn random_numbers_differ(runtime: &Arc<dyn Runtime>) {
    let mut drawn: Vec<u64> = (0..64).map(|_| runtime.random()).collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 64, "64 numbers of 64 bits must differ");
}
