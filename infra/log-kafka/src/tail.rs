//! A tail: a consumer on a thread of its own, which feeds a bounded channel. While the channel is
//! full nothing is polled, and librdkafka fetches no more than it may hold.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use infra_ports::log::{LogError, LogTail, Record, RecordBatch};
use rdkafka::Offset as KafkaOffset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::TopicPartitionList;
use schemas::avro::SchemaIds;
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::closing::Closing;
use crate::config::Config;
use crate::errors::unavailable;
use crate::reading::{number, positions};
use crate::records;

/// How often a thread that waits for records looks whether its tail is still there.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Records handed over at once, at most.
const HANDED_OVER: usize = 1024;
/// Hand-overs that wait to be taken, at most.
const WAITING: usize = 4;

type Handed = Result<Vec<RecordBatch>, LogError>;

/// The end that is held: what came, and what of it was not asked for yet.
pub(crate) struct KafkaTail {
    handed: Receiver<Handed>,
    left: VecDeque<RecordBatch>,
    failed: Option<LogError>,
    closing: Arc<Closing>,
}

/// Begins to tail; the thread ends when the tail is dropped or the log closed.
pub(crate) fn start(
    config: &Config,
    topic: Topic,
    from: &[(Partition, Offset)],
    closing: Arc<Closing>,
) -> Result<KafkaTail, LogError> {
    let consumer: BaseConsumer = config.consumer().create().map_err(|e| unavailable(&e))?;
    let name = config.name(topic);
    let mut at = TopicPartitionList::with_capacity(from.len());
    for (partition, offset) in from {
        let offset = KafkaOffset::Offset(i64::try_from(offset.0).unwrap_or(i64::MAX));
        at.add_partition_offset(&name, number(*partition), offset)
            .map_err(|error| unavailable(&error))?;
    }
    consumer.assign(&at).map_err(|error| unavailable(&error))?;
    let (hands, handed) = channel(WAITING);
    let thread = Follower {
        consumer,
        config: config.clone(),
        topic,
        next: from.iter().copied().collect(),
        hands,
        closing: Arc::clone(&closing),
    };
    thread::Builder::new()
        .name(format!("kafka-tail-{topic}"))
        .spawn(move || thread.follow())
        .map_err(|error| unavailable(&error))?;
    Ok(KafkaTail {
        handed,
        left: VecDeque::new(),
        failed: None,
        closing,
    })
}

#[async_trait]
impl LogTail for KafkaTail {
    async fn next(&mut self, max_records: usize) -> Result<Vec<RecordBatch>, LogError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.closing.check()?;
        while self.left.is_empty() {
            let closing = Arc::clone(&self.closing);
            let handed = tokio::select! {
                biased;
                () = closing.closed() => return Err(LogError::Closed),
                handed = self.handed.recv() => handed,
            };
            match handed {
                Some(Ok(batches)) => self.left.extend(batches),
                Some(Err(error)) => {
                    self.failed = Some(error.clone());
                    return Err(error);
                }
                None => {
                    self.closing.check()?;
                    let lost = "the thread of a tail was lost".to_owned();
                    return Err(LogError::Unavailable(lost));
                }
            }
        }
        Ok(take(&mut self.left, max_records.max(1)))
    }
}

/// The first `max` records of what is left.
fn take(left: &mut VecDeque<RecordBatch>, max: usize) -> Vec<RecordBatch> {
    let (mut taken, mut room) = (Vec::new(), max);
    while room > 0 {
        let Some(mut batch) = left.pop_front() else {
            break;
        };
        if batch.records.len() > room {
            let rest = batch.records.split_off(room);
            left.push_front(RecordBatch {
                partition: batch.partition,
                records: rest,
            });
        }
        room -= batch.records.len();
        taken.push(batch);
    }
    taken
}

/// What runs on the thread.
struct Follower {
    consumer: BaseConsumer,
    config: Config,
    topic: Topic,
    /// The next offset of each partition.
    next: HashMap<Partition, Offset>,
    hands: Sender<Handed>,
    closing: Arc<Closing>,
}

impl Follower {
    fn follow(mut self) {
        while !self.hands.is_closed() && !self.closing.is_closed() {
            let handed = match self.poll() {
                Ok(batches) if batches.is_empty() => continue,
                Ok(batches) => Ok(batches),
                Err(error) => match self.meaning(&error) {
                    Some(error) => Err(error),
                    None => continue,
                },
            };
            let over = handed.is_err();
            if self.hands.blocking_send(handed).is_err() || over {
                return;
            }
        }
    }

    /// Waits for a record, then takes what stands behind it without waiting.
    fn poll(&mut self) -> Result<Vec<RecordBatch>, KafkaError> {
        let mut batches: Vec<RecordBatch> = Vec::new();
        let ids = &self.config.schema_ids;
        let Some(message) = self.consumer.poll(LOOK_EVERY) else {
            return Ok(batches);
        };
        add(ids, &mut batches, &mut self.next, &message?);
        for _ in 1..HANDED_OVER {
            // An error that comes behind records comes again when it lasts.
            let Some(Ok(message)) = self.consumer.poll(Duration::ZERO) else {
                break;
            };
            add(ids, &mut batches, &mut self.next, &message);
        }
        Ok(batches)
    }

    /// What an error means for the reader of the tail; nothing when it passes.
    fn meaning(&self, error: &KafkaError) -> Option<LogError> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                self.out_of_range()
            }
            Some(
                RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition,
            ) => Some(unavailable(error)),
            _ => {
                tracing::debug!(topic = %self.topic, %error, "kafka: a tail waits");
                None
            }
        }
    }

    /// The first partition whose next record is no longer kept.
    fn out_of_range(&self) -> Option<LogError> {
        self.next.iter().find_map(|(partition, next)| {
            let ends = positions(&self.consumer, &self.config, self.topic, *partition);
            match ends {
                Ok(ends) if *next < ends.first => Some(LogError::OutOfRange {
                    topic: self.topic,
                    partition: *partition,
                    asked: *next,
                    first: ends.first,
                }),
                Ok(ends) if *next > ends.end => Some(LogError::Unavailable(format!(
                    "{}/{partition} ends at {}, before {next}",
                    self.topic, ends.end
                ))),
                Ok(_) => None,
                Err(error) => Some(error),
            }
        })
    }
}

fn add(
    ids: &SchemaIds,
    batches: &mut Vec<RecordBatch>,
    next: &mut HashMap<Partition, Offset>,
    message: &BorrowedMessage<'_>,
) {
    let partition = Partition(u32::try_from(message.partition()).unwrap_or_default());
    let record: Record = records::record(message, ids);
    next.insert(partition, Offset(record.offset.0 + 1));
    match batches.last_mut() {
        Some(batch) if batch.partition == partition => batch.records.push(record),
        _ => batches.push(RecordBatch {
            partition,
            records: vec![record],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tail_whose_thread_is_lost_can_be_begun_again_unless_the_log_was_closed() {
        let closing = Arc::new(Closing::default());
        let (hands, handed) = channel(1);
        let mut tail = KafkaTail {
            handed,
            left: VecDeque::new(),
            failed: None,
            closing: Arc::clone(&closing),
        };
        drop(hands);
        let lost = tail.next(1).await.unwrap_err();
        assert!(lost.is_retryable(), "{lost}");
        closing.close();
        assert!(matches!(tail.next(1).await, Err(LogError::Closed)));
    }
}
