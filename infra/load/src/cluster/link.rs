//! The link between worker and gateway beside a bare socket: the same records over the same loopback,
//! once through worker's end, connection and gateway's end, once as the same bytes written and read in
//! a loop.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use infra_link_tcp::{Config, LinkServer, Secret, TcpLink};
use infra_ports::link::{Deliveries, Feed, GatewayId, Link, Subscribed, SubscriberId, Told};
use infra_ports::registry::NodeName;
use parking_lot::Mutex;
use schemas::avro::LogEvent;
use schemas::events::{MarkKind, MarkTold, UserEvent};
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::{Offset, Ordinal, Partition, Seq};

use super::Found;
use crate::figure::Figure;

const RECORDS: u64 = 400_000;
const BATCH: u64 = 64;
const ECHOES: usize = 3_000;

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

fn told() -> anyhow::Result<Told> {
    let event = UserEvent::MarkTold(MarkTold {
        recipients: vec![UserId::new("ada")?],
        chat: ChatId::new("d.ada.bob")?,
        device: DeviceId::new("x".repeat(60))?,
        kind: MarkKind::Read,
        seq: Seq(1),
        ordinal: Ordinal(1),
        origin: Offset(7),
    });
    Ok(Told {
        to: vec![SubscriberId(1)],
        record: event.encode()?,
        event: Arc::new(event),
    })
}

/// Records a second, and the ways of single ones.
struct Way {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

/// Over the link.
fn linked(told: &Told) -> anyhow::Result<Way> {
    let feed = Arc::new(BareFeed::default());
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let secret = Secret::new(b"of a bench, and of nothing else")?;
    let config = Config::default();
    let server = LinkServer::start(listener, feed.clone(), secret.clone(), config.clone())?;
    let (counting, name) = (Arc::new(Counting::default()), NodeName::new("bench")?);
    let address = server.address().to_string();
    let link = TcpLink::start(&address, name, secret, config, counting.clone())?;
    let subscribing = link.subscribe(&UserId::new("ada")?, SubscriberId(1));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(subscribing)?;
    let deliveries = feed.0.lock().clone().context("the link is up")?;

    let begun = Instant::now();
    for batch in 1..=RECORDS / BATCH {
        deliveries.deliver((0..BATCH).map(|_| told.clone()).collect());
        // No more under way than a log's tail would hand over ahead of its reader.
        counting.wait_for((batch * BATCH).saturating_sub(64 * BATCH));
    }
    counting.wait_for(RECORDS);
    let per_second = RECORDS as f64 / begun.elapsed().as_secs_f64();
    let mut ways: Vec<_> = (1..=ECHOES as u64)
        .map(|n| {
            let begun = Instant::now();
            deliveries.deliver(vec![told.clone()]);
            counting.wait_for(RECORDS + n);
            begun.elapsed()
        })
        .collect();
    let (p50, p99) = percentiles(&mut ways);
    Ok(Way {
        per_second,
        p50,
        p99,
    })
}

/// The same over a socket, in frames of the same length, read by a thread that counts them.
fn bare(frame: &Bytes) -> anyhow::Result<Way> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut writer = TcpStream::connect(listener.local_addr()?)?;
    writer.set_nodelay(true)?;
    let (mut reader, _) = listener.accept()?;
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
    let batch = frame.repeat(usize::try_from(BATCH)?);
    let begun = Instant::now();
    for round in 1..=RECORDS / BATCH {
        writer.write_all(&batch)?;
        counting.wait_for((round * BATCH).saturating_sub(64 * BATCH));
    }
    counting.wait_for(RECORDS);
    let per_second = RECORDS as f64 / begun.elapsed().as_secs_f64();
    let mut ways: Vec<_> = (1..=ECHOES as u64)
        .map(|n| {
            let begun = Instant::now();
            writer.write_all(frame)?;
            counting.wait_for(RECORDS + n);
            Ok(begun.elapsed())
        })
        .collect::<anyhow::Result<_>>()?;
    drop(writer);
    reading
        .join()
        .map_err(|_| anyhow::anyhow!("the reader died"))?;
    let (p50, p99) = percentiles(&mut ways);
    Ok(Way {
        per_second,
        p50,
        p99,
    })
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

pub(super) fn measure(runs: usize) -> anyhow::Result<Found> {
    let told = told()?;
    // Length, kind, count and one subscriber before the record.
    let frame = Bytes::from(vec![7; told.record.len() + 17]);
    let (mut rates, mut halves, mut tails) = (Vec::new(), Vec::new(), Vec::new());
    let micros = |way: Duration| way.as_secs_f64() * 1e6;
    for _ in 0..runs {
        let (ours, bare) = (linked(&told)?, bare(&frame)?);
        rates.push((ours.per_second, bare.per_second));
        halves.push((micros(ours.p50), micros(bare.p50)));
        tails.push((micros(ours.p99), micros(bare.p99)));
    }
    let name = |what| format!("worker to gateway over the link, against a bare socket: {what}");
    let figures = [
        Figure::against_raw(&name("records, 64 together"), "records/s", &rates, None),
        Figure::against_raw(&name("one record, p50"), "µs", &halves, None),
        Figure::against_raw(&name("one record, p99"), "µs", &tails, None),
    ];
    Ok(Found {
        figures: figures.into_iter().flatten().collect(),
        sizes: format!(
            "{} bytes a record, {RECORDS} and {ECHOES} records a run",
            frame.len()
        ),
    })
}
