//! A generation that was made and never became live, on ports in memory.

use std::sync::Arc;

use infra_ports::log::NewRecord;
use infra_ports::memory::{Chances, Executor, MemoryLog, MemoryStore, Node};
use infra_ports::{EventLog, Runtime};
use projectors::generations::FIRST;
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::{TOPICS, Topic};

use super::*;

const ONLY: Partition = Partition(0);

/// A platform whose first generation was lost, so that a build ends where the log does.
struct Scene {
    log: MemoryLog,
    ports: Ports,
}

impl Scene {
    async fn begin(runtime: Arc<dyn Runtime>) -> Self {
        let log = new_log().await;
        let ports = Ports {
            log: Arc::new(log.clone()),
            store: Arc::new(MemoryStore::new()),
            runtime,
        };
        let scene = Self { log, ports };
        scene.users_are_told(5).await;
        scene
    }

    /// Records that no build reads: its chat lists go on behind them.
    async fn users_are_told(&self, records: usize) {
        let record = NewRecord {
            key: Vec::new().into(),
            value: b"told".as_slice().into(),
            at: Timestamp(1),
        };
        let appended = self.log.append(Topic::Users, ONLY, vec![record; records]);
        appended.await.unwrap();
        self.log.sync(Topic::Users).await.unwrap();
    }

    /// Makes what is to be the next generation, and is killed before that is live.
    async fn make(&self) -> Generation {
        let made = make(&self.ports, &projectors::Config::default()).await;
        let (generations, next) = made.unwrap();
        assert_eq!(generations.live(), FIRST);
        next
    }

    async fn is_there(&self, generation: Generation) -> bool {
        is_there(&*self.ports.store, generation).await.unwrap()
    }
}

async fn new_log() -> MemoryLog {
    let log = MemoryLog::new(1);
    let topics = TOPICS.map(|spec| spec.topic);
    log.create_topics(&topics).await.unwrap();
    log
}

fn run<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Arc<dyn Runtime>) -> F) {
    let mut executor = Executor::seeded(1, Chances::CALM);
    let runtime: Arc<dyn Runtime> = Arc::new(executor.runtime(Node(1)));
    executor.block_on(Node(1), test(runtime)).unwrap();
}

#[test]
fn one_that_was_adopted_is_gone_on_with_while_the_log_has_what_comes_next() {
    run(|runtime| async move {
        let scene = Scene::begin(runtime).await;
        assert_eq!(scene.make().await, Generation(2));
        scene.users_are_told(5).await;
        let kept_from = Offset(5);
        scene
            .log
            .drop_before(Topic::Users, ONLY, kept_from)
            .unwrap();
        assert_eq!(scene.make().await, Generation(2));
    });
}

#[test]
fn one_that_was_adopted_makes_way_for_another_when_retention_has_dropped_what_comes_next() {
    run(|runtime| async move {
        let scene = Scene::begin(runtime).await;
        assert_eq!(scene.make().await, Generation(2));
        scene.users_are_told(5).await;
        let kept_from = Offset(6);
        scene
            .log
            .drop_before(Topic::Users, ONLY, kept_from)
            .unwrap();
        assert_eq!(scene.make().await, Generation(3));
        assert!(!scene.is_there(Generation(2)).await, "it is dropped");
        assert!(scene.is_there(Generation(3)).await);
        assert_eq!(scene.make().await, Generation(3), "and gone on with");
    });
}

#[test]
fn one_that_was_adopted_makes_way_for_another_when_the_log_has_lost_its_end() {
    run(|runtime| async move {
        let mut scene = Scene::begin(runtime).await;
        assert_eq!(scene.make().await, Generation(2));
        scene.log = new_log().await;
        scene.ports.log = Arc::new(scene.log.clone());
        scene.users_are_told(4).await;
        assert_eq!(scene.make().await, Generation(3));
    });
}

#[test]
fn the_live_one_is_never_given_up() {
    run(|runtime| async move {
        let scene = Scene::begin(runtime).await;
        let next = scene.make().await;
        let store = &*scene.ports.store;
        let mut generations = Generations::read(store).await.unwrap();
        generations.switch_to(next);
        generations.write(store).await.unwrap();
        let given_up = give_up(store, &mut generations, next).await;
        assert!(given_up.unwrap_err().to_string().contains("is live"));
        assert!(scene.is_there(next).await);
        let read = Generations::read(store).await.unwrap();
        assert_eq!((read.live(), read.previous()), (next, Some(FIRST)));
    });
}
