//! However much is to be told or written, little of it is in memory at once.

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
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use infra_ports::log::{EventLog, LogError, NewRecord};
use infra_ports::memory::log::{Around, AroundLog};
use infra_ports::memory::{Chances, Executor, MemoryLog, MemoryStore, Node};
use projectors::Config;
use schemas::events::{Body, ChatEvent, MessageSent};
use schemas::position::{Offset, Partition, Seq};
use schemas::topics::Topic;

use world::bench::{DIRECT, chats, entries, origin, waits_for_room_with};
use world::script::{Scripted, home, user};
use world::{LIVE, append, empty_log, ports, settle};

/// A message of 60,000 bytes.
fn large(id: u64) -> Scripted {
    chats(&ChatEvent::MessageSent(MessageSent {
        origin: origin(DIRECT, &user(0), id, 1),
        body: Body::text("x".repeat(60_000)),
        reply_to: None,
    }))
}

#[test]
fn while_a_store_takes_nothing_no_more_is_read_than_fits_into_memory() {
    let all: Vec<Scripted> = (0..2_500).map(large).collect();
    let (bench, _) = waits_for_room_with(&all);
    let told = entries(&bench.log);
    let furthest = told.iter().map(|(_, entry)| entry.seq.0).max().unwrap();
    // Twice: what is being written, and what waits behind it; and a chunk beyond.
    let most = (2 * (64 << 20)) / 60_000 + 512;
    assert!((100..=most).contains(&furthest), "{furthest}, not {most}");
}

/// Says how much was told at once, at most.
struct Scale {
    log: MemoryLog,
    most: Arc<AtomicUsize>,
}

#[async_trait]
impl Around for Scale {
    fn inner(&self) -> &dyn EventLog {
        &self.log
    }

    fn has_leaders(&self) -> bool {
        false
    }

    async fn append_all(
        &self,
        topic: Topic,
        batches: Vec<(Partition, Vec<NewRecord>)>,
    ) -> Result<Vec<Offset>, LogError> {
        if topic == Topic::Users {
            let all = batches.iter().flat_map(|(_, records)| records);
            let bytes = all.map(|record| record.value.len()).sum();
            self.most.fetch_max(bytes, Ordering::Relaxed);
        }
        self.log.append_all(topic, batches).await
    }
}

#[test]
fn however_much_is_to_be_told_little_of_it_is_in_memory_at_once() {
    let log = empty_log();
    let all: Vec<Scripted> = (0..400).map(large).collect();
    append(&log, &all);
    let most = Arc::new(AtomicUsize::new(0));
    let scale = Scale {
        log: log.clone(),
        most: Arc::clone(&most),
    };
    let mut executor = Executor::seeded(0, Chances::CALM);
    let mut ports = ports(&log, &MemoryStore::new(), executor.runtime(Node(1)));
    ports.log = Arc::new(AroundLog(scale));
    let all = projectors::Share::everything();
    let projectors = projectors::start(&ports, &Config::default(), LIVE, &all);
    settle(&mut executor, &log, &projectors);
    let told = entries(&log);
    let of = |seq: u64| {
        told.iter()
            .filter(|(_, entry)| entry.seq == Seq(seq))
            .count()
    };
    let homes = usize::from(home("u0") != home("u1")) + 1;
    assert!((1..=400).all(|seq| of(seq) == homes), "each is told once");
    let most = most.load(Ordering::Relaxed);
    assert!((16 << 20..17 << 20).contains(&most), "{most} bytes at once");
}
