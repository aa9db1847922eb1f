//! The tokio runtime keeps the laws of the port, names its threads and shuts down in time.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may fail loudly"
)]

use std::sync::Arc;
use std::time::Duration;

use infra_ports::runtime::Runtime;
use infra_runtime_tokio::TokioRuntime;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

fn runtime() -> TokioRuntime {
    TokioRuntime::new(Handle::current())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_laws_on_two_workers() {
    infra_ports::laws::runtime::check(Arc::new(runtime())).await;
}

#[tokio::test]
async fn keeps_the_laws_on_one_thread() {
    infra_ports::laws::runtime::check(Arc::new(runtime())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_dedicated_task_has_a_thread_of_its_name() {
    let runtime = runtime();
    let (tell, told) = oneshot::channel();
    let task = async move {
        tell.send(std::thread::current().name().map(str::to_owned))
            .unwrap();
    };
    runtime.spawn_dedicated("committer", Box::pin(task));
    assert_eq!(told.await.unwrap().as_deref(), Some("committer"));
}

#[tokio::test]
async fn tasks_of_a_lane_share_a_thread_and_the_next_ones_after_their_end_too() {
    let runtime = runtime().sharing(&["fold", "deliver"]);
    let mut threads = std::collections::BTreeSet::new();
    for round in 0..2 {
        let (ping, pinged) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let fold = async move {
            ping.send(std::thread::current().id()).unwrap();
        };
        let deliver = async move {
            let theirs = pinged.await.unwrap();
            let name = std::thread::current().name().map(str::to_owned);
            tell.send((theirs, std::thread::current().id(), name))
                .unwrap();
        };
        runtime.spawn_dedicated("deliver", Box::pin(deliver));
        runtime.spawn_dedicated("fold", Box::pin(fold));
        let (theirs, own, name) = told.await.unwrap();
        assert_eq!(theirs, own, "round {round}");
        assert_eq!(name.as_deref(), Some("fold"));
        threads.insert(format!("{own:?}"));
        assert!(runtime.shutdown(Duration::from_secs(10)).await.is_empty());
    }
    assert!(!threads.is_empty());
}

#[tokio::test]
async fn a_panic_ends_its_task_and_not_its_lane() {
    let runtime = runtime().sharing(&["fold", "deliver"]);
    let (go, gone) = oneshot::channel::<()>();
    let (tell, told) = oneshot::channel();
    let deliver = async move {
        gone.await.unwrap_err();
        tell.send(()).unwrap();
    };
    runtime.spawn_dedicated("deliver", Box::pin(deliver));
    let fold = async move {
        let _go = go;
        panic!("as the test wants it");
    };
    runtime.spawn_dedicated("fold", Box::pin(fold));
    told.await.unwrap();
}

#[tokio::test]
async fn a_dedicated_task_that_blocks_does_not_hold_the_others_up() {
    let runtime = runtime();
    let (release, released) = std::sync::mpsc::sync_channel::<()>(1);
    let task = async move { released.recv().unwrap() };
    runtime.spawn_dedicated("blocks", Box::pin(task));
    let (tell, told) = oneshot::channel();
    runtime.spawn("other", Box::pin(async move { tell.send(()).unwrap() }));
    told.await.unwrap();
    release.send(()).unwrap();
    assert!(runtime.shutdown(Duration::from_secs(10)).await.is_empty());
}

#[tokio::test]
async fn shutdown_waits_for_dedicated_tasks_that_end() {
    let runtime = runtime();
    let (release, released) = oneshot::channel::<()>();
    let (tell, mut told) = oneshot::channel();
    let task = async move {
        released.await.unwrap();
        tell.send(()).unwrap();
    };
    runtime.spawn_dedicated("worker", Box::pin(task));
    let shutdown = runtime.shutdown(Duration::from_secs(10));
    release.send(()).unwrap();
    assert!(shutdown.await.is_empty());
    assert_eq!(told.try_recv(), Ok(()), "it has ended, not been dropped");
}

#[tokio::test]
async fn shutdown_names_and_drops_what_does_not_end() {
    let runtime = runtime();
    let (dying, died) = oneshot::channel::<()>();
    let task = async move {
        let _dying = dying;
        std::future::pending::<()>().await;
    };
    runtime.spawn_dedicated("stubborn", Box::pin(task));
    assert_eq!(
        runtime.shutdown(Duration::from_millis(5)).await,
        ["stubborn"]
    );
    assert!(died.await.is_err(), "dropped at its await");
    assert!(runtime.shutdown(Duration::from_secs(10)).await.is_empty());
}

#[tokio::test]
async fn a_panicking_dedicated_task_has_left() {
    let runtime = runtime();
    let task = async { std::panic::resume_unwind(Box::new("on purpose")) };
    runtime.spawn_dedicated("panics", Box::pin(task));
    assert!(runtime.shutdown(Duration::from_secs(10)).await.is_empty());
}
