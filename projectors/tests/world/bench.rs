//! An engine over a log that a test writes, and ports that do what a test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use infra_ports::BoxFuture;
use infra_ports::memory::{Chances, Executor, Faults, MemoryLog, MemoryStore, Node};
use projectors::{Config, Health, Projectors, Stop};
use schemas::avro::LogEvent;
use schemas::events::{Body, ChatEvent, EntryTold, MessageSent, Origin, UserEvent};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::Topic;

use super::script::{Scripted, home, scripted, user};
use super::{LIVE, PARTITIONS, append, empty_log, ports, records, rows};

pub const DIRECT: &str = "d.u0.u1";

pub fn origin(chat: &str, author: &UserId, id: u64, rules: u32) -> Origin {
    Origin {
        chat: ChatId::new(chat).unwrap(),
        author: author.clone(),
        device: DeviceId::new("phone").unwrap(),
        client_id: ClientId::new(format!("c{id}")).unwrap(),
        at: Timestamp(1_000),
        rules,
    }
}

pub fn chats(event: &ChatEvent) -> Scripted {
    let chat = event.origin().chat.to_string();
    scripted(Topic::Chats, &chat, event.encode().unwrap(), 1_000)
}

pub fn send_under(rules: u32, chat: &str, author: &UserId, id: u64) -> Scripted {
    chats(&ChatEvent::MessageSent(MessageSent {
        origin: origin(chat, author, id, rules),
        body: Body::text("hello"),
        reply_to: None,
    }))
}

pub fn send(chat: &str, author: &UserId, id: u64) -> Scripted {
    send_under(1, chat, author, id)
}

/// An engine and the executor that runs it.
pub struct Bench {
    pub executor: Executor,
    pub log: MemoryLog,
    pub store: MemoryStore,
    pub projectors: Projectors,
}

pub fn bench(log: MemoryLog, store: MemoryStore) -> Bench {
    let mut executor = Executor::seeded(0, Chances::CALM);
    executor.set_step_budget(20_000_000);
    let ports = ports(&log, &store, executor.runtime(Node(1)));
    let projectors = projectors::start(
        &ports,
        &Config::default(),
        LIVE,
        &projectors::Share::everything(),
    );
    Bench {
        executor,
        log,
        store,
        projectors,
    }
}

impl Bench {
    pub fn chats_health(&self) -> Health {
        self.projectors.status("chats").unwrap().health()
    }

    pub fn run(&mut self) {
        let _halt = self.executor.run_for(Duration::from_secs(5));
    }

    /// Tells it to stop, and says how it ended.
    pub fn stop(mut self) -> Result<(), Stop> {
        let projectors = self.projectors;
        let stopped = async move { projectors.stop().await };
        self.executor.block_on(Node(5), stopped).unwrap()
    }

    pub fn heads(&self) -> Vec<(&'static str, Bytes, Bytes, Bytes)> {
        let all = rows(&self.store, LIVE).into_iter();
        all.filter(|(table, ..)| *table == "messages").collect()
    }
}

/// Entries that stand in `users`, with their partition.
pub fn entries(log: &MemoryLog) -> Vec<(Partition, EntryTold)> {
    let mut all = Vec::new();
    for partition in (0..PARTITIONS).map(Partition) {
        for record in records(log, Topic::Users, partition) {
            if let UserEvent::EntryTold(told) = UserEvent::decode(&record.value).unwrap() {
                all.push((partition, told));
            }
        }
    }
    all
}

/// Everything goes wrong at once that this says goes wrong.
pub struct Wrong<F>(pub F);

impl<F: Fn(&'static str) -> bool + Send + Sync> Faults for Wrong<F> {
    fn point(&self, _site: &'static str) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn choose(&self, site: &'static str, _options: u32) -> u32 {
        u32::from((self.0)(site))
    }
}

/// One message, and projectors that wait for a store which can be read but takes no writes until there is
/// room; and what makes room.
pub fn waits_for_room() -> (Bench, Arc<AtomicBool>) {
    waits_for_room_with(&[send(DIRECT, &user(0), 0)])
}

/// The same with these records.
pub fn waits_for_room_with(script: &[Scripted]) -> (Bench, Arc<AtomicBool>) {
    let log = empty_log();
    append(&log, script);
    let has_room = Arc::new(AtomicBool::new(false));
    let looks = Arc::clone(&has_room);
    let full = Wrong(move |site| site == "store.write" && !looks.load(Ordering::Relaxed));
    let mut bench = bench(log, MemoryStore::with_faults(Arc::new(full)));
    bench.run();
    let health = bench.chats_health();
    assert!(matches!(health, Health::Retrying { .. }), "{health:?}");
    let chats = bench.projectors.status("chats").unwrap();
    assert_eq!(chats.applied(home(DIRECT)), Some(Offset(0)));
    (bench, has_room)
}
