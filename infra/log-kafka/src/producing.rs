//! The producers: batches handed over in the order of the calls, and another producer after one
//! that librdkafka gave up.
//!
//! There are several, each with its share of the partitions, because a request bears records of one
//! partition only, and a broker answers the requests of one connection one after the other: with one
//! producer all partitions of a broker would wait in one line. Within a line one request is under way;
//! what is appended meanwhile waits, and leaves together, partition by partition. Topics that no message
//! passes through have a line of their own: marks of many partitions would stand before messages.
//!
//! Records carry the producer's id and a number, by which a broker knows what it has already. Should
//! a broker not take what librdkafka sends again, librdkafka cannot know what stands, and sends
//! nothing more, for ever. Those appends are answered `Unavailable`, and a new producer takes over
//! when each of them has its answer, so that nothing of the old one can come behind something of the
//! new one.

use std::sync::Arc;
use std::thread;

use infra_ports::log::{LogError, NewRecord};
use parking_lot::RwLock;
use rdkafka::error::KafkaError;
use rdkafka::producer::ThreadedProducer;
use schemas::position::Partition;
use schemas::topics::Topic;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;
use crate::delivery::{Answer, Batch, Reports};
use crate::errors::{ConnectError, Refusal, unavailable};
use crate::reading::number;
use crate::records::{self, Value};

/// What may be on its way to the brokers, in KiB; who appends more waits, in the order of the calls.
const UNDER_WAY_KIB: u32 = 64 << 10;

/// Hands batches to the producers.
pub(crate) struct Producing {
    /// Messages and what follows from them, each with its share of the partitions.
    first: Vec<Line>,
    /// All else: nobody waits for it as for a message, and it must not stand before one.
    aside: Line,
}

/// One producer after the other, for a share of the partitions.
pub(crate) struct Line {
    config: Config,
    current: RwLock<Arc<Current>>,
    room: Arc<Semaphore>,
    room_kib: u32,
}

/// A producer, and whether it was given up.
struct Current {
    producer: ThreadedProducer<Reports>,
    reports: Reports,
}

impl Producing {
    pub(crate) fn start(config: &Config) -> Result<Self, ConnectError> {
        let count = u32::from(config.producers.max(1));
        let start = || Line::start(config, UNDER_WAY_KIB / (count + 1));
        let first: Result<_, ConnectError> = (0..count).map(|_| start()).collect();
        Ok(Self {
            first: first?,
            aside: start()?,
        })
    }

    /// All producers.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.first.iter().chain([&self.aside])
    }

    /// The producer of a partition: always the same, which keeps its order.
    fn line(&self, topic: Topic, partition: Partition) -> &Line {
        match topic {
            Topic::Chats | Topic::Users => {
                let nth = partition.0 as usize % self.first.len();
                self.first.get(nth).unwrap_or(&self.aside)
            }
            Topic::Receipts | Topic::Accounts | Topic::DeadLetters => &self.aside,
        }
    }

    /// Why a broker refused to talk to one of them, if one did.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.lines()
            .find_map(|line| line.current.read().reports.refusal())
    }

    /// Hands over the records of one append, in the order of the calls.
    pub(crate) async fn send(
        &self,
        topic: Topic,
        name: &str,
        partition: Partition,
        new: &[NewRecord],
    ) -> Result<Answer, LogError> {
        let line = self.line(topic, partition);
        line.send(name, number(partition), new).await
    }

    /// Waits until each append has its answer.
    pub(crate) async fn finish(&self) {
        for line in self.lines() {
            line.finish().await;
        }
    }
}

impl Line {
    /// The only one.
    pub(crate) fn alone(config: &Config) -> Result<Self, ConnectError> {
        Self::start(config, UNDER_WAY_KIB)
    }

    fn start(config: &Config, room_kib: u32) -> Result<Self, ConnectError> {
        let first = Current::create(config).map_err(|error| ConnectError::config(&error))?;
        Ok(Self {
            config: config.clone(),
            current: RwLock::new(Arc::new(first)),
            room: Arc::new(Semaphore::new(room_kib as usize)),
            room_kib,
        })
    }

    /// Hands over the records of one append, in the order of the calls.
    pub(crate) async fn send(
        &self,
        name: &str,
        partition: i32,
        new: &[NewRecord],
    ) -> Result<Answer, LogError> {
        let bytes: usize = new.iter().map(NewRecord::size_bytes).sum();
        let share = u32::try_from(bytes / 1024 + new.len()).unwrap_or(u32::MAX);
        let room = self.room(share.min(self.room_kib)).await?;
        let current = Arc::clone(&self.current.read());
        let (batch, answer) = Batch::new(new.len(), room);
        let mut written = Vec::new();
        for record in new {
            let value = Value::of(record, &self.config.schema_ids, &mut written);
            let message = records::message(name, partition, record, value, &batch);
            if let Err((error, _)) = current.producer.send(message) {
                current.reports.note(&error);
                batch.report(Err(error));
            }
        }
        Ok(answer)
    }

    /// A share of what may be under way; with a new producer, when the last one was given up.
    async fn room(&self, share: u32) -> Result<OwnedSemaphorePermit, LogError> {
        let given_up = self.current.read().reports.given_up();
        let wanted = if given_up { self.room_kib } else { share };
        let room = Arc::clone(&self.room).acquire_many_owned(wanted).await;
        let mut room = room.map_err(|_| LogError::Closed)?;
        if given_up {
            self.replace()?;
            return room.split(share as usize).ok_or(LogError::Closed);
        }
        Ok(room)
    }

    /// Puts a new producer in the place of one that was given up and has nothing under way.
    fn replace(&self) -> Result<(), LogError> {
        let mut current = self.current.write();
        if current.reports.given_up() {
            tracing::warn!("kafka: the producer was given up, another takes over");
            let new = Current::create(&self.config).map_err(|error| unavailable(&error))?;
            let old = std::mem::replace(&mut *current, Arc::new(new));
            // Its end waits for its thread.
            thread::spawn(move || drop(old));
        }
        Ok(())
    }

    /// Waits until each append has its answer: what is under way holds its share of the room.
    async fn finish(&self) {
        drop(self.room.acquire_many(self.room_kib).await);
    }
}

impl Current {
    fn create(config: &Config) -> Result<Self, KafkaError> {
        let reports = Reports::default();
        let producer = config.producer().create_with_context(reports.clone())?;
        Ok(Self { producer, reports })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn marks_share_no_producer_with_messages_and_a_partition_has_one() {
        let producing = Producing::start(&Config::default()).unwrap();
        let line = |topic, partition| std::ptr::from_ref(producing.line(topic, partition));
        let partitions = || (0..64).map(Partition);
        let messages = [Topic::Chats, Topic::Users];
        let of_messages = messages.map(|topic| partitions().map(move |one| (topic, one)));
        for (topic, partition) in of_messages.into_iter().flatten() {
            let its = line(topic, partition);
            assert_eq!(its, line(topic, partition));
            for marked in partitions() {
                assert_ne!(its, line(Topic::Receipts, marked), "{topic}/{partition}");
            }
        }
        let mut lines: Vec<_> = partitions().map(|one| line(Topic::Users, one)).collect();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), usize::from(Config::default().producers));
    }
}
