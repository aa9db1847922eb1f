//! librdkafka alone: a loop that produces, and one hop after another.
//!
//! ```text
//!  sender ─▶ hop-a ─▶ forwarder ─▶ hop-b ─▶ receiver
//!  due time in each record                  now − due
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};

use crate::fleet::tally::Latencies;

/// How long the last records may take.
const PATIENCE: Duration = Duration::from_secs(30);
const HOPS: [&str; 2] = ["hop-a", "hop-b"];
/// Below this a sender does not sleep: sleeping takes as long.
const SLEEPS_FROM: Duration = Duration::from_micros(60);

/// Counts what was delivered.
#[derive(Clone, Default)]
struct Counting {
    delivered: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
}

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = match result {
            Ok(_) => &self.delivered,
            Err(_) => &self.failed,
        };
        count.fetch_add(1, Ordering::Release);
    }
}

impl Counting {
    /// Waits until so many were delivered, and none failed.
    fn wait_for(&self, count: usize) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.delivered.load(Ordering::Acquire) < count {
            let failed = self.failed.load(Ordering::Acquire);
            ensure!(failed == 0, "{failed} records were not delivered");
            ensure!(
                begun.elapsed() < PATIENCE,
                "records were not delivered in time"
            );
            thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }
}

fn client(brokers: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers);
    client
}

/// An idempotent producer that all replicas acknowledge to.
fn producer(brokers: &str) -> ClientConfig {
    let mut producer = client(brokers);
    producer
        .set("enable.idempotence", "true")
        .set("acks", "all");
    producer.set("queue.buffering.max.messages", "1000000");
    producer
}

fn send(
    producer: &ThreadedProducer<Counting>,
    topic: &str,
    partition: i32,
    value: &[u8],
) -> anyhow::Result<()> {
    let record = |value| {
        BaseRecord::<(), [u8], ()>::to(topic)
            .partition(partition)
            .payload(value)
    };
    loop {
        match producer.send(record(value)) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// Produces so many records as fast as librdkafka takes them, round the partitions, and waits until
/// all are acknowledged; records a second.
pub(super) fn produce(
    brokers: &str,
    topic: &str,
    partitions: u32,
    value_bytes: usize,
    records: usize,
) -> anyhow::Result<f64> {
    let (counting, value) = (Counting::default(), vec![7; value_bytes]);
    let producer: ThreadedProducer<_> = producer(brokers).create_with_context(counting.clone())?;
    let partitions = i32::try_from(partitions)?;
    // Warmed up, as ours is.
    for partition in 0..partitions {
        send(&producer, topic, partition, &value)?;
    }
    let warm = usize::try_from(partitions)?;
    counting.wait_for(warm)?;
    let begun = Instant::now();
    for n in 0..records {
        send(&producer, topic, i32::try_from(n % warm)?, &value)?;
    }
    counting.wait_for(warm + records)?;
    Ok(records as f64 / begun.elapsed().as_secs_f64())
}

/// So many records a second over two hops, for so long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hops {
    pub(super) partitions: i32,
    pub(super) value_bytes: usize,
    pub(super) rate: u64,
    /// Not measured.
    pub(super) warm_up: Duration,
    pub(super) span: Duration,
}

impl Hops {
    /// Makes the topics.
    pub(super) fn create(&self, brokers: &str) -> anyhow::Result<()> {
        let admin: AdminClient<DefaultClientContext> = client(brokers).create()?;
        let new = |name| NewTopic::new(name, self.partitions, TopicReplication::Fixed(-1));
        let (topics, options) = (HOPS.map(new), AdminOptions::new());
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        for created in runtime.block_on(admin.create_topics(&topics, &options))? {
            created.map_err(|(name, code)| anyhow::anyhow!("{name}: {code}"))?;
        }
        Ok(())
    }

    /// Measures from when a record should have been sent until it came from the second hop.
    pub(super) fn measure(&self, brokers: &str) -> anyhow::Result<Latencies> {
        let total = usize::try_from(self.rate)?
            * usize::try_from((self.warm_up + self.span).as_millis())?
            / 1000;
        let (begun, over) = (Instant::now(), Arc::new(AtomicBool::new(false)));
        let [a, b] = HOPS.map(|hop| self.reader(brokers, hop));
        let (a, b) = (a?, b?);
        let forward = {
            let (producer, over) = (self.warmed(brokers, HOPS[1])?, Arc::clone(&over));
            thread::spawn(move || forward(&a, &producer, &over))
        };
        let (first, warm_up) = (self.warmed(brokers, HOPS[0])?, self.warm_up);
        // What the warming sent is under way: it is not counted.
        let starts = begun.elapsed() + Duration::from_millis(500);
        let receive = thread::spawn(move || receive(&b, begun, starts, starts + warm_up, total));
        for n in 0..total {
            let due = starts + Duration::from_secs_f64(n as f64 / self.rate as f64);
            wait_until(begun, due);
            let mut value = vec![7; self.value_bytes];
            for (place, byte) in value.iter_mut().zip(due_bytes(due)) {
                *place = byte;
            }
            send(&first, HOPS[0], i32::try_from(n)? % self.partitions, &value)?;
        }
        let received = receive.join();
        over.store(true, Ordering::Relaxed);
        forward
            .join()
            .map_err(|_| anyhow::anyhow!("the forwarder died"))??;
        received.map_err(|_| anyhow::anyhow!("the receiver died"))?
    }

    /// A producer that has sent to each partition.
    fn warmed(&self, brokers: &str, topic: &str) -> anyhow::Result<ThreadedProducer<Counting>> {
        let counting = Counting::default();
        let mut config = producer(brokers);
        config.set("linger.ms", "0");
        let producer: ThreadedProducer<_> = config.create_with_context(counting.clone())?;
        for partition in 0..self.partitions {
            send(&producer, topic, partition, &due_bytes(Duration::ZERO))?;
        }
        counting.wait_for(usize::try_from(self.partitions)?)?;
        Ok(producer)
    }

    /// A consumer of all partitions, from their ends on.
    fn reader(&self, brokers: &str, topic: &str) -> anyhow::Result<BaseConsumer> {
        let mut config = client(brokers);
        config
            .set("group.id", "bare")
            .set("enable.auto.commit", "false");
        config.set("fetch.queue.backoff.ms", "5");
        let consumer: BaseConsumer = config.create()?;
        let mut at = TopicPartitionList::new();
        for partition in 0..self.partitions {
            let (_, end) = consumer.fetch_watermarks(topic, partition, PATIENCE)?;
            at.add_partition_offset(topic, partition, Offset::Offset(end))?;
        }
        consumer.assign(&at)?;
        Ok(consumer)
    }
}

fn due_bytes(due: Duration) -> [u8; 8] {
    u64::try_from(due.as_nanos())
        .unwrap_or(u64::MAX)
        .to_be_bytes()
}

fn wait_until(begun: Instant, due: Duration) {
    let left = due.saturating_sub(begun.elapsed());
    if left >= SLEEPS_FROM {
        thread::sleep(left);
    }
}

fn forward(
    consumer: &BaseConsumer,
    producer: &ThreadedProducer<Counting>,
    over: &AtomicBool,
) -> anyhow::Result<()> {
    while !over.load(Ordering::Relaxed) {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let message = message?;
        let value = message.payload().context("a record without a value")?;
        send(producer, HOPS[1], message.partition(), value)?;
    }
    drop(producer.flush(PATIENCE));
    Ok(())
}

/// Takes so many records that were due from `starts` on; those due from `counts` on are measured.
fn receive(
    consumer: &BaseConsumer,
    begun: Instant,
    starts: Duration,
    counts: Duration,
    total: usize,
) -> anyhow::Result<Latencies> {
    let (mut latencies, mut received) = (Latencies::default(), 0);
    let mut last = Instant::now();
    while received < total {
        ensure!(
            last.elapsed() < PATIENCE,
            "{received} of {total} records came"
        );
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let (message, now) = (message?, begun.elapsed());
        let value = message.payload().context("a record without a value")?;
        let due = value.first_chunk().copied().map(u64::from_be_bytes);
        let due = Duration::from_nanos(due.context("a record without its time")?);
        if due < starts {
            continue;
        }
        (received, last) = (received + 1, Instant::now());
        if due >= counts {
            let took = now.saturating_sub(due);
            latencies.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
    }
    Ok(latencies)
}
