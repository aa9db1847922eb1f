//! What users are told is on its way while more is folded: a partition keeps its order and holds up no
//! other, and nothing is remembered that is not told.

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
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use infra_ports::groups::ConsumerGroups;
use infra_ports::log::{EventLog, LogError, NewRecord};
use infra_ports::memory::log::{Around, AroundLog};
use infra_ports::memory::{Chances, Executor, MemoryGroups, MemoryLog, MemoryStore, Node};
use infra_ports::{Runtime, watch};
use parking_lot::Mutex;
use projectors::share::group_name;
use projectors::{Config, Health, Projectors, Share};
use schemas::events::{Body, ChatEvent, MessageSent};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Offset, Partition, Seq};
use schemas::topics::Topic;

use world::bench::{Wrong, chats, entries, origin, send};
use world::script::{Scripted, home, user};
use world::{LIVE, PARTITIONS, append, empty_log, ports, rows, settle};

/// A broker of one partition of `users` that answers when it is told to; the others answer at once.
struct Held {
    log: MemoryLog,
    partition: Partition,
    /// What it does: nothing yet, take what comes, or refuse it.
    does: watch::Receiver<Does>,
    seen: Arc<Mutex<Seen>>,
}

/// The appends to it.
#[derive(Debug, Default)]
struct Seen {
    under_way: usize,
    /// How many were under way at once, at most.
    together: usize,
    /// Bytes of the largest.
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Nothing,
    Takes,
    Refuses,
}

#[async_trait]
impl Around for Held {
    fn inner(&self) -> &dyn EventLog {
        &self.log
    }

    async fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<NewRecord>,
    ) -> Result<Offset, LogError> {
        if (topic, partition) == (Topic::Users, self.partition) {
            {
                let mut seen = self.seen.lock();
                seen.under_way += 1;
                seen.together = seen.together.max(seen.under_way);
                let bytes = records.iter().map(NewRecord::size_bytes).sum();
                seen.bytes = seen.bytes.max(bytes);
            }
            let mut does = self.does.clone();
            let does = does.wait_for(|does| *does != Does::Nothing).await;
            self.seen.lock().under_way -= 1;
            if matches!(does, Ok(Does::Refuses)) {
                return Err(LogError::Unavailable("no leader".to_owned()));
            }
        }
        self.log.append(topic, partition, records).await
    }
}

/// A direct chat of two users whose home this is.
fn chat_in(partition: Partition) -> String {
    let at_home = |n: &u64| home(user(*n).as_str()) == partition;
    let mut both = (0..).filter(at_home).map(user);
    let (a, b) = (both.next().unwrap(), both.next().unwrap());
    ChatId::direct(&a, &b).unwrap().to_string()
}

/// Somebody of a direct chat.
fn one_of(chat: &str) -> UserId {
    UserId::new(chat.split('.').nth(1).unwrap()).unwrap()
}

/// A message of 60,000 bytes.
fn large_in(chat: &str, id: u64) -> Scripted {
    chats(&ChatEvent::MessageSent(MessageSent {
        origin: origin(chat, &one_of(chat), id, 1),
        body: Body::text("x".repeat(60_000)),
        reply_to: None,
    }))
}

/// Projectors over a log of which one partition of `users` is held.
struct Scene {
    executor: Executor,
    log: MemoryLog,
    store: MemoryStore,
    projectors: Arc<Projectors>,
    does: watch::Sender<Does>,
    seen: Arc<Mutex<Seen>>,
    held: String,
    other: String,
    sent: u64,
}

impl Scene {
    fn new() -> Self {
        Self::with(MemoryStore::new(), &Share::everything())
    }

    fn with(store: MemoryStore, share: &Share) -> Self {
        let log = empty_log();
        let (does, doing) = watch::channel(Does::Nothing);
        let seen = Arc::default();
        let held = Held {
            log: log.clone(),
            partition: Partition(0),
            does: doing,
            seen: Arc::clone(&seen),
        };
        let mut executor = Executor::seeded(0, Chances::CALM);
        executor.set_step_budget(20_000_000);
        let mut ports = ports(&log, &store, executor.runtime(Node(1)));
        ports.log = Arc::new(AroundLog(held));
        let projectors = projectors::start(&ports, &Config::default(), LIVE, share);
        Self {
            executor,
            log,
            store,
            projectors: Arc::new(projectors),
            does,
            seen,
            held: chat_in(Partition(0)),
            other: chat_in(Partition(1)),
            sent: 0,
        }
    }

    /// Says something in both chats, in batches that are not read together.
    fn say(&mut self, times: u64) {
        for _ in 0..times {
            for chat in [self.held.clone(), self.other.clone()] {
                let said = send(&chat, &one_of(&chat), self.sent);
                append(&self.log, &[said]);
                self.sent += 1;
            }
            self.run(Duration::from_millis(100));
        }
    }

    fn run(&mut self, time: Duration) {
        let _halt = self.executor.run_for(time);
    }

    /// What stands in `users` of a chat, in its order.
    fn told(&self, chat: &str) -> Vec<Seq> {
        let all = entries(&self.log).into_iter();
        let of = all.filter(|(_, told)| told.chat.as_str() == chat);
        of.map(|(_, told)| told.seq).collect()
    }

    fn applied(&self, chat: &str) -> Option<Offset> {
        let chats = self.projectors.status("chats").unwrap();
        chats.applied(home(chat))
    }

    fn health(&self) -> Health {
        self.projectors.status("chats").unwrap().health()
    }

    /// Rows of messages, in any chat.
    fn messages(&self) -> usize {
        let all = rows(&self.store, LIVE).into_iter();
        all.filter(|(table, ..)| *table == "messages").count()
    }
}

fn seqs(range: std::ops::RangeInclusive<u64>) -> Vec<Seq> {
    range.map(Seq).collect()
}

#[test]
fn a_partition_that_does_not_answer_holds_up_no_other_and_nothing_untold_is_remembered() {
    let mut scene = Scene::new();
    scene.say(5);
    assert_eq!(scene.told(&scene.other), seqs(1..=5), "others are told");
    assert_eq!(scene.told(&scene.held), []);
    scene.run(Duration::from_secs(30));
    assert_eq!(scene.messages(), 0, "rows before what they tell is there");
    assert_eq!(scene.applied(&scene.held), Some(Offset(0)));
    assert_eq!(scene.applied(&scene.other), Some(Offset(0)));
    assert_eq!(scene.seen.lock().under_way, 1);

    scene.does.send_replace(Does::Takes);
    settle(&mut scene.executor, &scene.log, &scene.projectors);
    assert_eq!(scene.told(&scene.held), seqs(1..=5), "once, in order");
    assert_eq!(scene.told(&scene.other), seqs(1..=5));
    assert_eq!(scene.messages(), 10);
}

#[test]
fn what_is_refused_is_told_before_what_follows_it() {
    let mut scene = Scene::new();
    scene.does.send_replace(Does::Refuses);
    scene.say(5);
    let health = scene.health();
    assert!(matches!(health, Health::Retrying { .. }), "{health:?}");
    assert_eq!(scene.told(&scene.other), seqs(1..=5), "others are told");
    scene.does.send_replace(Does::Takes);
    scene.say(3);
    settle(&mut scene.executor, &scene.log, &scene.projectors);
    assert_eq!(scene.told(&scene.held), seqs(1..=8), "once, in order");
    assert_eq!(scene.seen.lock().together, 1, "one append at a time");
    let health = scene.health();
    assert!(matches!(health, Health::CaughtUp), "{health:?}");
}

#[test]
fn what_is_folded_is_told_while_a_store_is_away() {
    let is_away = Arc::new(AtomicBool::new(false));
    let looks = Arc::clone(&is_away);
    let away = Wrong(move |site: &'static str| {
        site.starts_with("store.") && looks.load(Ordering::Relaxed)
    });
    let store = MemoryStore::with_faults(Arc::new(away));
    // In a group it does not set out from nothing: what it does not know it has to look for.
    let groups = Arc::new(MemoryGroups::new(PARTITIONS)) as Arc<dyn ConsumerGroups>;
    let mut scene = Scene::with(store, &Share::of(groups));
    scene.run(Duration::from_secs(1));
    scene.say(2);
    // The second one waits behind the first, and then the state of another chat is wanted.
    is_away.store(true, Ordering::Relaxed);
    let chat = chat_in(Partition(2));
    append(&scene.log, &[send(&chat, &one_of(&chat), 100)]);
    scene.run(Duration::from_secs(1));
    scene.does.send_replace(Does::Takes);
    scene.run(Duration::from_secs(1));
    assert_eq!(scene.told(&scene.held), seqs(1..=2), "the store is away");
    assert_eq!(scene.told(&chat), []);
    is_away.store(false, Ordering::Relaxed);
    settle(&mut scene.executor, &scene.log, &scene.projectors);
    assert_eq!(scene.told(&chat), seqs(1..=1));
    assert_eq!(scene.messages(), 5);
}

#[test]
fn partitions_that_are_lost_meanwhile_are_given_up_at_once() {
    let groups = Arc::new(MemoryGroups::new(PARTITIONS));
    let share = Share::of(Arc::clone(&groups) as Arc<dyn ConsumerGroups>);
    let mut scene = Scene::with(MemoryStore::new(), &share);
    scene.run(Duration::from_secs(1));
    scene.say(3);
    groups.cut_off(&group_name("chats", LIVE), Topic::Chats);
    scene.run(Duration::from_secs(5));
    scene.say(2);
    let told = scene.told(&scene.other);
    assert_eq!(told.last(), Some(&Seq(5)), "it is back in its group");
    assert_eq!(scene.messages(), 0, "nothing of before it was lost");
    scene.does.send_replace(Does::Takes);
    settle(&mut scene.executor, &scene.log, &scene.projectors);
    // Again from the first, behind what was on its way.
    let again = [seqs(1..=3), seqs(1..=5)].concat();
    assert_eq!(scene.told(&scene.held), again);
    assert_eq!(scene.messages(), 10);
}

#[test]
fn an_end_waits_until_all_that_is_folded_is_told_and_remembered() {
    let mut scene = Scene::new();
    scene.say(5);
    let projectors = Arc::clone(&scene.projectors);
    let (done, is_done) = watch::channel(None);
    let stop = async move {
        done.send_replace(Some(projectors.stop().await));
    };
    scene
        .executor
        .runtime(Node(5))
        .spawn("stop", Box::pin(stop));
    scene.run(Duration::from_secs(5));
    assert!(is_done.get().is_none(), "it ended before all was told");
    scene.does.send_replace(Does::Takes);
    scene.run(Duration::from_secs(5));
    assert!(matches!(is_done.get(), Some(Ok(()))));
    assert_eq!(scene.told(&scene.held), seqs(1..=5));
    assert_eq!(scene.messages(), 10);
}

#[test]
fn while_much_is_on_its_way_nothing_more_is_folded() {
    let mut scene = Scene::new();
    for together in 0..4 {
        for id in 0..250 {
            append(&scene.log, &[large_in(&scene.held, 250 * together + id)]);
        }
        scene.run(Duration::from_secs(1));
    }
    scene.does.send_replace(Does::Takes);
    settle(&mut scene.executor, &scene.log, &scene.projectors);
    assert_eq!(scene.told(&scene.held), seqs(1..=1_000));
    // What is folded in one go is up to 16 MiB, and up to as much may be on its way before it.
    let most = scene.seen.lock().bytes;
    assert!((8 << 20..32 << 20).contains(&most), "{most} bytes at once");
}
