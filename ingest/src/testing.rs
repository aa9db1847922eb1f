//! What the tests of this crate share: people, a clock that is moved by hand, a log to read back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use infra_ports::log::Record;
use infra_ports::memory::{Faults, MemoryLog};
use infra_ports::runtime::BoxFuture;
use infra_ports::{EventLog, Runtime, Visibility};
use schemas::errors::Refusal;
use schemas::frames::Settled;
use schemas::ids::{ChatId, ClientId, DeviceId, Identity, UserId};
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::{TOPICS, Topic};

use crate::{Config, Ingest, Keys, StampedMark, development_key};

/// The time at which every test begins.
pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_123);
pub(crate) const PARTITIONS: u32 = 4;

pub(crate) fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

pub(crate) fn device(id: &str) -> DeviceId {
    DeviceId::new(id).unwrap()
}

pub(crate) fn client(id: &str) -> ClientId {
    ClientId::new(id).unwrap()
}

/// Ada on her phone, whose token is good for an hour.
pub(crate) fn ada() -> Identity {
    let expires_at = Timestamp(NOW.0 + 3_600_000);
    Identity {
        user: user("ada"),
        device: device("phone"),
        expires_at,
    }
}

pub(crate) fn direct() -> ChatId {
    ChatId::new("d.ada.bob").unwrap()
}

pub(crate) fn group() -> ChatId {
    ChatId::new("g.00112233445566778899aabbccddeeff").unwrap()
}

pub(crate) fn keys() -> Keys {
    Keys::from_jwk_set(&development_key("test", &[7; 32])).unwrap()
}

/// A runtime whose time stands still until it is moved.
#[derive(Default)]
pub(crate) struct Clock {
    passed_ms: AtomicU64,
    jumped_ms: AtomicI64,
}

impl Clock {
    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap();
        self.passed_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Moves the wall clock alone.
    pub(crate) fn jump(&self, ms: i64) {
        self.jumped_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Runtime for Clock {
    fn spawn(&self, name: &'static str, _task: BoxFuture<'static, ()>) {
        panic!("ingest spawns nothing, but did {name}");
    }

    fn spawn_dedicated(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.spawn(name, task);
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.passed_ms.load(Ordering::SeqCst)).unwrap();
        Timestamp(NOW.0 + passed + self.jumped_ms.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.passed_ms.load(Ordering::SeqCst))
    }

    fn random(&self) -> u64 {
        panic!("ingest needs no chance");
    }
}

/// Faults of which the test chooses one: the answer to every `log.append` choice.
#[derive(Default)]
pub(crate) struct OnAppend(pub(crate) AtomicU32);

impl Faults for OnAppend {
    fn point(&self, _site: &'static str) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn choose(&self, site: &'static str, options: u32) -> u32 {
        if site == "log.append" {
            self.0.load(Ordering::SeqCst).min(options - 1)
        } else {
            0
        }
    }
}

/// Ingest over a log in memory.
pub(crate) struct House {
    pub(crate) ingest: Ingest,
    pub(crate) log: MemoryLog,
    pub(crate) clock: Arc<Clock>,
    pub(crate) on_append: Arc<OnAppend>,
}

impl House {
    /// Takes one mark of ada's phone.
    pub(crate) async fn mark(&self, mark: StampedMark) -> Result<Settled, Refusal> {
        let mut answers = self.ingest.mark_all(vec![(ada(), mark)]).await;
        assert_eq!(answers.len(), 1);
        answers.pop().unwrap()
    }

    pub(crate) async fn new(config: &Config) -> Self {
        let (clock, on_append) = (Arc::new(Clock::default()), Arc::new(OnAppend::default()));
        let log = MemoryLog::with_faults(PARTITIONS, Arc::clone(&on_append) as Arc<dyn Faults>);
        log.create_topics(&TOPICS.map(|spec| spec.topic))
            .await
            .unwrap();
        let runtime = Arc::clone(&clock) as Arc<dyn Runtime>;
        let ingest = Ingest::new(config, keys(), Arc::new(log.clone()), runtime);
        Self {
            ingest,
            log,
            clock,
            on_append,
        }
    }

    /// Every durable record of a topic, with its partition.
    pub(crate) async fn records(&self, topic: Topic) -> Vec<(Partition, Record)> {
        let mut all = Vec::new();
        for partition in (0..PARTITIONS).map(Partition) {
            let read = self
                .log
                .read(topic, partition, Offset(0), 1_000, Visibility::Durable);
            let records = read.await.unwrap();
            all.extend(records.into_iter().map(|record| (partition, record)));
        }
        all
    }

    /// The only durable record of a topic.
    pub(crate) async fn only(&self, topic: Topic) -> (Partition, Record) {
        let mut all = self.records(topic).await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// A good token of this user on their phone.
    pub(crate) fn token(&self, id: &str) -> String {
        self.ingest
            .mint(&user(id), &device("phone"), Duration::from_secs(3_600))
            .unwrap()
    }
}
