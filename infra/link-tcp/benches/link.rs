//! What the link costs beside a bare socket: the same records over the same loopback, once through
//! worker's end, connection and gateway's end, once as the same bytes written and read in a loop.
//! `cargo bench -p infra-link-tcp`; prints ratios of the same run.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench measures and prints"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use infra_link_tcp::{Config, LinkServer, Secret, TcpLink};
use infra_ports::link::{Deliveries, Feed, GatewayId, Link, Subscribed, SubscriberId, Told};
use infra_ports::registry::NodeName;
use parking_lot::Mutex;
use schemas::avro::LogEvent;
use schemas::events::{MarkKind, MarkTold, UserEvent};
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::{Offset, Ordinal, Partition, Seq};

const RECORDS: u64 = 400_000;
const BATCH: u64 = 64;
const ECHOES: usize = 3_000;
const ROUNDS: usize = 3;

/// A worker that hands on what the bench gives it.
#[derive(Default)]
struct BareFeed(Mutex<Option<Arc<dyn Deliveries>>>);

impl Feed for BareFeed {
    fn attach(&self, deliveries: Arc<dyn Deliveries>) -> GatewayId {
        *self.0.lock() = Some(deliveries);
        GatewayId(1)
    }

    fn subscribe(&self, _: GatewayId, _: &UserId, _: SubscriberId) -> Subscribed {
        Subscribed {
            partition: Partition(0),
            from: Offset(0),
        }
    }

    fn unsubscribe(&self, _: GatewayId, _: &UserId) {}

    fn subscribers(&self, _: GatewayId) -> usize {
        1
    }

    fn leave(&self, _: GatewayId) {}
}

/// A gateway that counts.
#[derive(Default)]
struct Counting(AtomicU64);

impl Deliveries for Counting {
    fn deliver(&self, batch: Vec<Told>) {
        self.0.fetch_add(batch.len() as u64, Ordering::Release);
    }

    fn detached(&self, _: &[Partition]) {}

    fn ended(&self) {}
}

impl Counting {
    fn wait_for(&self, count: u64) {
        while self.0.load(Ordering::Acquire) < count {
            std::thread::yield_now();
        }
    }
}

fn told() -> Told {
    let event = UserEvent::MarkTold(MarkTold {
        recipients: vec![UserId::new("ada").unwrap()],
        chat: ChatId::new("d.ada.bob").unwrap(),
        device: DeviceId::new("x".repeat(60)).unwrap(),
        kind: MarkKind::Read,
        seq: Seq(1),
        ordinal: Ordinal(1),
        origin: Offset(7),
    });
    Told {
        to: vec![SubscriberId(1)],
        record: event.encode().unwrap(),
        event: Arc::new(event),
    }
}

/// (records a second, p50 and p99 of one record's way) over the link.
fn linked(told: &Told) -> (f64, Duration, Duration) {
    let feed = Arc::new(BareFeed::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let secret = Secret::new(b"of a bench, and of nothing else").unwrap();
    let config = Config::default();
    let server = LinkServer::start(listener, feed.clone(), secret.clone(), config.clone()).unwrap();
    let (counting, name) = (
        Arc::new(Counting::default()),
        NodeName::new("bench").unwrap(),
    );
    let address = server.address().to_string();
    let link = TcpLink::start(&address, name, secret, config, counting.clone()).unwrap();
    let subscribing = link.subscribe(&UserId::new("ada").unwrap(), SubscriberId(1));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(subscribing).unwrap();
    let deliveries = feed.0.lock().clone().unwrap();

    let begun = Instant::now();
    for batch in 1..=RECORDS / BATCH {
        deliveries.deliver((0..BATCH).map(|_| told.clone()).collect());
        // No more under way than a log's tail would hand over ahead of its reader.
        counting.wait_for((batch * BATCH).saturating_sub(64 * BATCH));
    }
    counting.wait_for(RECORDS);
    let rate = RECORDS as f64 / begun.elapsed().as_secs_f64();
    let mut ways: Vec<_> = (1..=ECHOES as u64)
        .map(|n| {
            let begun = Instant::now();
            deliveries.deliver(vec![told.clone()]);
            counting.wait_for(RECORDS + n);
            begun.elapsed()
        })
        .collect();
    let (p50, p99) = percentiles(&mut ways);
    (rate, p50, p99)
}

/// The same over a socket, in frames of the same length, read by a thread that counts them.
fn bare(frame: &Bytes) -> (f64, Duration, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut writer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    writer.set_nodelay(true).unwrap();
    let (mut reader, _) = listener.accept().unwrap();
    let counting = Arc::new(Counting::default());
    let reading = {
        let (counting, length) = (counting.clone(), frame.len());
        std::thread::spawn(move || {
            let (mut buffer, mut bytes) = (vec![0; 256 << 10], 0);
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                bytes += read;
                counting.0.store((bytes / length) as u64, Ordering::Release);
            }
        })
    };
    let batch = frame.repeat(usize::try_from(BATCH).unwrap());
    let begun = Instant::now();
    for round in 1..=RECORDS / BATCH {
        writer.write_all(&batch).unwrap();
        counting.wait_for((round * BATCH).saturating_sub(64 * BATCH));
    }
    counting.wait_for(RECORDS);
    let rate = RECORDS as f64 / begun.elapsed().as_secs_f64();
    let mut ways: Vec<_> = (1..=ECHOES as u64)
        .map(|n| {
            let begun = Instant::now();
            writer.write_all(frame).unwrap();
            counting.wait_for(RECORDS + n);
            begun.elapsed()
        })
        .collect();
    drop(writer);
    reading.join().unwrap();
    let (p50, p99) = percentiles(&mut ways);
    (rate, p50, p99)
}

fn percentiles(ways: &mut [Duration]) -> (Duration, Duration) {
    ways.sort_unstable();
    let at = |percent: usize| {
        ways.get(ways.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    (at(50), at(99))
}

fn main() {
    let told = told();
    // Length, kind, count and one subscriber before the record.
    let frame = Bytes::from(vec![7; told.record.len() + 17]);
    for round in 1..=ROUNDS {
        let ((rate, p50, p99), (bare_rate, bare_p50, bare_p99)) = (linked(&told), bare(&frame));
        println!(
            "round {round}, {} bytes a record: {rate:.0}/s, p50 {p50:?}, p99 {p99:?}; bare {bare_rate:.0}/s, \
             p50 {bare_p50:?}, p99 {bare_p99:?}; ratios {:.2}, {:.2}, {:.2}",
            frame.len(),
            rate / bare_rate,
            p50.as_secs_f64() / bare_p50.as_secs_f64(),
            p99.as_secs_f64() / bare_p99.as_secs_f64(),
        );
    }
}
