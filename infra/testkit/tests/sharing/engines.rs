//! Engines in this process, each with a connection of its own, over one store.

use std::sync::Arc;
use std::time::Duration;

use infra_log_kafka::{Config, KafkaLog};
use infra_ports::groups::ConsumerGroups;
use infra_ports::log::EventLog;
use infra_ports::memory::{Deaf, MemoryStore};
use infra_runtime_tokio::TokioRuntime;
use infra_servers::Servers;
use projectors::{PROJECTIONS, Ports, Projectors, Share, rebuild};
use schemas::position::Generation;
use schemas::topics::TOPICS;

use super::feed::{self, Seen};

const LIVE: Generation = Generation(1);
const REBUILT: Generation = Generation(2);
/// How long a change may take to be over, with room for a busy machine.
const SOON: Duration = Duration::from_secs(30);

async fn connect(servers: &Servers) -> Arc<KafkaLog> {
    let config = Config {
        brokers: servers.kafka().to_owned(),
        topic_prefix: "shared.".to_owned(),
        partitions: 8,
        ..Config::default()
    };
    let log = KafkaLog::connect(config).await.unwrap();
    let topics = TOPICS.map(|spec| spec.topic);
    log.create_topics(&topics).await.unwrap();
    Arc::new(log)
}

fn ports(log: &Arc<KafkaLog>, store: &MemoryStore) -> Ports {
    let runtime = TokioRuntime::new(tokio::runtime::Handle::current());
    Ports {
        log: Arc::clone(log) as _,
        store: Arc::new(store.clone()),
        runtime: Arc::new(runtime),
    }
}

struct Engine {
    log: Arc<KafkaLog>,
    projectors: Projectors,
}

impl Engine {
    async fn start(servers: &Servers, store: &MemoryStore, hears: bool) -> Self {
        let log = connect(servers).await;
        let groups: Arc<dyn ConsumerGroups> = match hears {
            true => Arc::clone(&log) as _,
            false => Arc::new(Deaf(Arc::clone(&log) as _)),
        };
        let (ports, config) = (ports(&log, store), projectors::Config::default());
        let projectors = projectors::start(&ports, &config, LIVE, &Share::of(groups));
        Self { log, projectors }
    }

    /// Partitions of all projections together.
    fn has(&self) -> usize {
        let statuses = self.projectors.statuses();
        statuses.iter().map(|status| status.progress().len()).sum()
    }

    async fn stop(self) {
        self.projectors.stop().await.unwrap();
        self.log.close().await.unwrap();
    }
}

/// Waits until each has so many partitions.
async fn until_they_have(engines: &[(&Engine, usize)]) {
    let so = async {
        while engines.iter().any(|(engine, has)| engine.has() != *has) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(SOON, so).await.is_err() {
        let has: Vec<_> = engines.iter().map(|(engine, _)| engine.has()).collect();
        panic!("they have {has:?}");
    }
}

pub(crate) async fn come_leave_and_do_not_hear(servers: &Servers) {
    let store = MemoryStore::new();
    let (log, seen) = (connect(servers).await, Arc::new(Seen::default()));
    let watching = tokio::spawn(feed::watch(Arc::clone(&log), Arc::clone(&seen)));
    let all = 8 * PROJECTIONS.len();
    let first = Engine::start(servers, &store, true).await;
    until_they_have(&[(&first, all)]).await;
    let second = Duration::from_secs(1);
    let sent = feed::send(&log, 0, second).await;
    seen.longest();

    let comes = async {
        let other = Engine::start(servers, &store, true).await;
        until_they_have(&[(&first, all / 2), (&other, all / 2)]).await;
        other
    };
    let (sent, other) = tokio::join!(feed::send(&log, sent, 2 * second), comes);
    println!("one comes: news waits {:?}", seen.longest());

    let leaves = async {
        other.stop().await;
        until_they_have(&[(&first, all)]).await;
    };
    let (sent, ()) = tokio::join!(feed::send(&log, sent, 2 * second), leaves);
    println!("it leaves: news waits {:?}", seen.longest());

    // Two copies at work on the same partitions: what is taken from the one goes to the other.
    let zombie = Engine::start(servers, &store, false).await;
    until_they_have(&[(&zombie, all / 2)]).await;
    let third = Engine::start(servers, &store, true).await;
    let three = [(&first, all / 2), (&third, all / 2), (&zombie, all / 2)];
    let doubled = until_they_have(&three);
    let (sent, ()) = tokio::join!(feed::send(&log, sent, 3 * second), doubled);
    println!("a zombie: news waits {:?}", seen.longest());

    let expected = 2 * usize::try_from(sent).unwrap();
    let told = async {
        while seen.told() < expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, told).await.unwrap();
    let applied = async {
        for engine in [&first, &third] {
            engine.projectors.apply_all(log.as_ref()).await.unwrap();
        }
    };
    tokio::time::timeout(SOON, applied).await.unwrap();
    for engine in [zombie, first, third] {
        engine.stop().await;
    }
    assert_eq!(seen.told(), expected, "each once, in order, without a hole");
    tables_are_those_of_a_rebuild(&log, &store).await;
    log.close().await.unwrap();
    watching.await.unwrap();
}

async fn tables_are_those_of_a_rebuild(log: &Arc<KafkaLog>, store: &MemoryStore) {
    let (ports, config) = (ports(log, store), projectors::Config::default());
    rebuild::rebuild(&ports, &config, REBUILT).await.unwrap();
    for table in rebuild::compare(store, LIVE, REBUILT).await.unwrap() {
        assert!(table.is_equal(), "{table:?}");
    }
}
