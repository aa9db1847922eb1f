//! A process and a pointer that moves, on ports in memory.

use compact_str::CompactString;
use infra_ports::log::NewRecord;
use infra_ports::memory::{Chances, Executor, MemoryLog, MemoryStore, Node};
use infra_ports::{EventLog, Mutation};
use parking_lot::Mutex;
use projectors::engine::checkpoints::NO_BUILD;
use projectors::{Ports, Share};
use schemas::position::{Timestamp, Version};
use schemas::tables::{CheckpointRow, Table};
use schemas::topics::{TOPICS, Topic};

use super::*;

const ONE: Generation = FIRST;
const TWO: Generation = Generation(2);
const SECOND: Duration = Duration::from_secs(1);

/// A process that follows, what it reads, and the store that it does so in.
struct Scene {
    runtime: Arc<dyn Runtime>,
    log: MemoryLog,
    store: MemoryStore,
    live: LiveGeneration,
    applied: Arc<AppliedByAll>,
    folding: Arc<Folding>,
    end: watch::Sender<bool>,
}

impl Scene {
    /// Of a process with these projections.
    async fn begin(runtime: Arc<dyn Runtime>, projections: &[&'static str]) -> Self {
        let (log, store) = (MemoryLog::new(1), MemoryStore::new());
        log.create_topics(&TOPICS.map(|spec| spec.topic))
            .await
            .unwrap();
        let common: &'static [_] = &[CheckpointRow::DEF];
        store.create_tables(common, NO_BUILD).await.unwrap();
        let ports = Ports {
            log: Arc::new(log.clone()),
            store: Arc::new(store.clone()),
            runtime: Arc::clone(&runtime),
        };
        let view = View {
            log: Arc::clone(&ports.log),
            store: Arc::clone(&ports.store),
            runtime: Arc::clone(&runtime),
            has_all: false,
        };
        let names = projections.to_vec();
        let folding = Folding::new(
            ports,
            projectors::Config::default(),
            Share::everything(),
            names,
        );
        let scene = Self {
            log,
            store,
            live: LiveGeneration::unknown(),
            applied: Arc::new(AppliedByAll::of_nobody(Arc::clone(&runtime))),
            folding: Arc::new(folding.unwrap()),
            end: watch::Sender::new(false),
            runtime,
        };
        let follower = Follower {
            view,
            live: scene.live.clone(),
            applied: Arc::clone(&scene.applied),
            folding: Arc::clone(&scene.folding),
        };
        let follow = follower.follow_until(scene.end.subscribe());
        scene.runtime.spawn("generations", Box::pin(follow));
        scene
    }

    /// Of a process that only reads, and whose tables are at 7 of a log that goes further.
    async fn begin_at_7(runtime: Arc<dyn Runtime>) -> Self {
        Self::begin_at_7_of(12, runtime).await
    }

    /// The same, where so many records are in the log.
    async fn begin_at_7_of(records: usize, runtime: Arc<dyn Runtime>) -> Self {
        let scene = Self::begin(runtime, &[]).await;
        scene.until(|| scene.live.get() == Some(ONE)).await;
        let record = NewRecord {
            key: Vec::new().into(),
            value: b"nobody folds it".as_slice().into(),
            at: Timestamp(1),
        };
        let (log, topic) = (&scene.log, Topic::Users);
        let appended = log.append(topic, Partition(0), vec![record; records]);
        appended.await.unwrap();
        log.sync(topic).await.unwrap();
        scene.checkpoint(ONE, 7).await;
        scene
    }

    async fn checkpoint(&self, generation: Generation, offset: u64) {
        let row = CheckpointRow {
            projection: CompactString::const_new("inbox"),
            generation,
            topic: CompactString::const_new("users"),
            partition: Partition(0),
            offset: Offset(offset),
        };
        let row = Mutation::put(NO_BUILD, &row, Version(offset));
        self.store.write(vec![row]).await.unwrap();
    }

    async fn point_at(&self, generation: Generation) {
        let mut generations = Generations::read(&self.store).await.unwrap();
        generations.switch_to(generation);
        generations.write(&self.store).await.unwrap();
    }

    async fn until(&self, what: impl Fn() -> bool) {
        while !what() {
            self.runtime.sleep(Duration::from_millis(10)).await;
        }
    }

    async fn is_in_the_tables(&self, offset: u64) -> bool {
        let (place, offset) = (Partition(0), Offset(offset));
        self.applied
            .wait_applied("inbox", place, offset, SECOND)
            .await
    }
}

fn run<F: Future<Output = ()> + Send + 'static>(test: impl FnOnce(Arc<dyn Runtime>) -> F) {
    let mut executor = Executor::seeded(1, Chances::CALM);
    let runtime: Arc<dyn Runtime> = Arc::new(executor.runtime(Node(1)));
    executor.block_on(Node(1), test(runtime)).unwrap();
}

#[test]
fn readers_move_once_the_other_generation_has_all_that_theirs_had() {
    run(|runtime| async move {
        let scene = Scene::begin_at_7(runtime).await;
        assert!(scene.is_in_the_tables(7).await);
        scene.checkpoint(TWO, 5).await;
        scene.point_at(TWO).await;
        scene.runtime.sleep(3 * SECOND).await;
        assert_eq!(scene.live.get(), Some(ONE), "2 lacks what was promised");
        assert!(scene.is_in_the_tables(5).await);
        assert!(!scene.is_in_the_tables(6).await, "one of them lacks it");
        // What the old one gets now was promised by nobody.
        scene.checkpoint(ONE, 9).await;
        scene.checkpoint(TWO, 7).await;
        scene.until(|| scene.live.get() == Some(TWO)).await;
        assert!(scene.is_in_the_tables(7).await);
        assert!(
            !scene.is_in_the_tables(8).await,
            "the old one counts no more"
        );
        scene.end.send_replace(true);
    });
}

#[test]
fn who_began_to_wait_before_readers_moved_is_answered_for_what_they_read_then() {
    run(|runtime| async move {
        let scene = Scene::begin_at_7(runtime).await;
        scene.checkpoint(TWO, 7).await;
        let applied = Arc::clone(&scene.applied);
        let answer = Arc::new(Mutex::new(None));
        let answered = Arc::clone(&answer);
        let waits = async move {
            let (place, offset) = (Partition(0), Offset(9));
            let waits = applied.wait_applied("inbox", place, offset, 60 * SECOND);
            let applied = waits.await;
            *answered.lock() = Some(applied);
        };
        scene.runtime.spawn("waits", Box::pin(waits));
        scene.point_at(TWO).await;
        scene.until(|| scene.live.get() == Some(TWO)).await;
        scene.checkpoint(ONE, 9).await;
        scene.runtime.sleep(3 * SECOND).await;
        assert_eq!(*answer.lock(), None, "what is read now lacks it");
        scene.checkpoint(TWO, 9).await;
        scene.until(|| answer.lock().is_some()).await;
        assert_eq!(*answer.lock(), Some(true));
        scene.end.send_replace(true);
    });
}

#[test]
fn readers_move_to_tables_that_have_no_checkpoint_of_a_partition_without_records() {
    run(|runtime| async move {
        let scene = Scene::begin(runtime, &[]).await;
        scene.until(|| scene.live.get() == Some(ONE)).await;
        scene.checkpoint(ONE, 0).await;
        scene.point_at(TWO).await;
        scene.runtime.sleep(3 * SECOND).await;
        assert_eq!(scene.live.get(), Some(TWO));
        scene.end.send_replace(true);
    });
}

#[test]
fn readers_move_to_tables_of_a_log_that_has_lost_what_theirs_had_from_its_end() {
    run(|runtime| async move {
        let scene = Scene::begin_at_7_of(5, runtime).await;
        scene.checkpoint(TWO, 4).await;
        scene.point_at(TWO).await;
        scene.runtime.sleep(3 * SECOND).await;
        assert_eq!(scene.live.get(), Some(ONE), "2 lacks what is in the log");
        scene.checkpoint(TWO, 5).await;
        scene.runtime.sleep(3 * SECOND).await;
        assert_eq!(scene.live.get(), Some(TWO), "it has all there is");
        scene.end.send_replace(true);
    });
}

#[test]
fn readers_stay_when_the_pointer_moves_back_before_they_could_follow() {
    run(|runtime| async move {
        let scene = Scene::begin_at_7(runtime).await;
        scene.point_at(TWO).await;
        scene.runtime.sleep(3 * SECOND).await;
        assert!(!scene.is_in_the_tables(7).await, "2 has nothing");
        scene.point_at(ONE).await;
        scene.runtime.sleep(3 * SECOND).await;
        assert_eq!(scene.live.get(), Some(ONE));
        assert!(scene.is_in_the_tables(7).await);
        scene.end.send_replace(true);
    });
}

#[test]
fn both_are_folded_until_readers_have_moved_and_then_the_new_one_only() {
    run(|runtime| async move {
        let scene = Scene::begin(runtime, &["inbox"]).await;
        let folded = || scene.folding.folded();
        scene.until(|| folded() == [ONE]).await;
        scene.point_at(TWO).await;
        scene.until(|| folded() == [ONE, TWO]).await;
        scene.until(|| scene.live.get() == Some(TWO)).await;
        assert_eq!(folded(), [ONE, TWO], "others may not have moved");
        scene.until(|| folded() == [TWO]).await;
        assert!(scene.folding.statuses().iter().all(Status::is_ready));
        scene.end.send_replace(true);
        scene.folding.end().await.unwrap();
        assert!(scene.folding.begin(ONE).is_empty(), "all is over");
    });
}
