//! A tail: a consumer on a thread of its own, which feeds a bounded channel. While the channel is
//! full nothing is polled, and librdkafka fetches no more than it may hold.
//!
//! Partitions come and go while the thread polls: librdkafka takes that from any thread. What was on its
//! way then is known by its offset, and left out when it is taken from the channel.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use infra_ports::log::{LogError, LogTail, Record, RecordBatch};
use parking_lot::Mutex;
use rdkafka::Offset as KafkaOffset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::TopicPartitionList;
use schemas::avro::SchemaIds;
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::closing::Closing;
use crate::config::{Config, Pace};
use crate::due::{Due, Places};
use crate::errors::unavailable;
use crate::reading::{number, positions};
use crate::records;

/// How often a thread that waits for records looks whether its tail is still there.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a new consumer waits to learn where partitions are: librdkafka finds out by itself later.
const LEARN_WITHIN: Duration = Duration::from_secs(1);
/// Records handed over at once, at most.
const HANDED_OVER: usize = 1024;
/// Hand-overs that wait to be taken, at most.
const WAITING: usize = 4;

type Handed = Result<Vec<RecordBatch>, LogError>;

/// The end that is held.
pub(crate) struct KafkaTail {
    source: Arc<Source>,
    handed: Receiver<Handed>,
    due: Due,
    failed: Option<LogError>,
}

/// What both ends have.
struct Source {
    consumer: BaseConsumer,
    config: Config,
    topic: Topic,
    pace: Pace,
    polled: Mutex<Polled>,
    closing: Arc<Closing>,
}

/// How far the thread has polled.
#[derive(Default)]
struct Polled {
    /// Of each partition that is tailed.
    tailed: Places,
    /// Of each that went: what lies before this may still be on its way.
    gone: Places,
}

/// Begins to tail; the thread ends when the tail is dropped or the log closed.
pub(crate) fn start(
    config: &Config,
    (topic, pace): (Topic, Pace),
    from: &[(Partition, Offset)],
    closing: Arc<Closing>,
) -> Result<KafkaTail, LogError> {
    let consumer = config.tailing(pace).create();
    let consumer: BaseConsumer = consumer.map_err(|error| unavailable(&error))?;
    let source = Arc::new(Source {
        consumer,
        config: config.clone(),
        topic,
        pace,
        polled: Mutex::default(),
        closing,
    });
    source.gain(from)?;
    let (hands, handed) = channel(WAITING);
    let thread = Follower {
        source: Arc::clone(&source),
        hands,
        kept: None,
    };
    thread::Builder::new()
        .name(format!("kafka-tail-{topic}"))
        .spawn(move || thread.follow())
        .map_err(|error| unavailable(&error))?;
    Ok(KafkaTail {
        source,
        handed,
        due: Due::new(from),
        failed: None,
    })
}

impl Source {
    fn list(&self, of: &[(Partition, KafkaOffset)]) -> Result<TopicPartitionList, LogError> {
        let name = self.config.name(self.topic);
        let mut list = TopicPartitionList::with_capacity(of.len());
        for (partition, offset) in of {
            list.add_partition_offset(&name, number(*partition), *offset)
                .map_err(|error| unavailable(&error))?;
        }
        Ok(list)
    }

    /// Begins to fetch partitions.
    fn gain(&self, gained: &[(Partition, Offset)]) -> Result<(), LogError> {
        if gained.is_empty() {
            return Ok(());
        }
        let place = |(partition, offset): &(Partition, Offset)| {
            let offset = i64::try_from(offset.0).unwrap_or(i64::MAX);
            (*partition, KafkaOffset::Offset(offset))
        };
        let list = self.list(&gained.iter().map(place).collect::<Vec<_>>())?;
        self.polled.lock().tailed.extend(gained.iter().copied());
        let assigned = self.consumer.incremental_assign(&list);
        assigned.map_err(|error| unavailable(&error))
    }

    /// Has the consumer learn where the topic's partitions are. One that finds out when it gains its first
    /// takes a second or two for that, in which nobody reads that partition.
    fn learn(&self) {
        let name = self.config.name(self.topic);
        if let Err(error) = self.consumer.fetch_metadata(Some(&name), LEARN_WITHIN) {
            tracing::debug!(topic = %self.topic, %error, "kafka: a tail has not learnt of its topic");
        }
    }

    /// Fetches partitions no more.
    fn lose(&self, lost: &[Partition]) -> Result<(), LogError> {
        if lost.is_empty() {
            return Ok(());
        }
        let none = |partition: &Partition| (*partition, KafkaOffset::Invalid);
        let list = self.list(&lost.iter().map(none).collect::<Vec<_>>())?;
        let left = self.consumer.incremental_unassign(&list);
        let mut polled = self.polled.lock();
        for one in lost {
            if let Some(next) = polled.tailed.remove(one) {
                polled.gone.insert(*one, next);
            }
        }
        drop(polled);
        left.map_err(|error| unavailable(&error))
    }

    /// True when records from behind these places may be on their way, and would come before those that
    /// are to be fetched.
    fn is_ahead_of(&self, gained: &[(Partition, Offset)]) -> bool {
        let polled = self.polled.lock();
        let mut gained = gained.iter();
        gained.any(|(one, from)| polled.gone.get(one).is_some_and(|next| from < next))
    }

    /// The first partition whose next record is no longer kept. librdkafka says once that there is one, and
    /// fetches that no more: when all are in range by now, the tail has to be begun again all the same.
    fn out_of_range(&self) -> LogError {
        let polled = self.polled.lock().tailed.clone();
        let found = polled.into_iter().find_map(|(partition, next)| {
            let ends = positions(&self.consumer, &self.config, self.topic, partition);
            match ends {
                Ok(ends) if next < ends.first => Some(LogError::OutOfRange {
                    topic: self.topic,
                    partition,
                    asked: next,
                    first: ends.first,
                }),
                Ok(ends) if next > ends.end => Some(LogError::Unavailable(format!(
                    "{}/{partition} ends at {}, before {next}",
                    self.topic, ends.end
                ))),
                Ok(_) => None,
                Err(error) => Some(error),
            }
        });
        found.unwrap_or_else(|| {
            LogError::Unavailable(format!("a place in {} was out of range", self.topic))
        })
    }
}

#[async_trait]
impl LogTail for KafkaTail {
    async fn next(&mut self, max_records: usize) -> Result<Vec<RecordBatch>, LogError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.source.closing.check()?;
        while self.due.is_empty() {
            let closing = Arc::clone(&self.source.closing);
            let handed = tokio::select! {
                biased;
                () = closing.closed() => return Err(LogError::Closed),
                handed = self.handed.recv() => handed,
            };
            match handed {
                Some(Ok(batches)) => self.due.came(batches),
                Some(Err(error)) => {
                    self.failed = Some(error.clone());
                    return Err(error);
                }
                None => {
                    self.source.closing.check()?;
                    let lost = "the thread of a tail was lost".to_owned();
                    return Err(LogError::Unavailable(lost));
                }
            }
        }
        Ok(self.due.take(max_records.max(1)))
    }

    fn change(
        &mut self,
        gained: &[(Partition, Offset)],
        lost: &[Partition],
    ) -> Result<(), LogError> {
        let count = self.source.config.partitions;
        if let Some((unknown, _)) = gained.iter().find(|(one, _)| one.0 >= count) {
            return Err(LogError::UnknownPartition(self.source.topic, *unknown));
        }
        let lost = self.due.tailed(lost);
        self.source.lose(&lost)?;
        self.due.change(gained, &lost);
        if self.source.is_ahead_of(gained) {
            return self.begin_anew();
        }
        self.source.gain(gained)
    }
}

impl KafkaTail {
    /// Goes on behind what waits with a consumer of its own: nothing is on its way from that.
    fn begin_anew(&mut self) -> Result<(), LogError> {
        let Source {
            config,
            topic,
            pace,
            closing,
            ..
        } = &*self.source;
        let anew = start(
            config,
            (*topic, *pace),
            &self.due.next(),
            Arc::clone(closing),
        )?;
        (self.source, self.handed) = (anew.source, anew.handed);
        Ok(())
    }
}

/// What runs on the thread.
struct Follower {
    source: Arc<Source>,
    hands: Sender<Handed>,
    /// An error that came behind records. Some are said only once.
    kept: Option<KafkaError>,
}

impl Follower {
    fn follow(mut self) {
        self.source.learn();
        while !self.hands.is_closed() && !self.source.closing.is_closed() {
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
        let Source {
            consumer, config, ..
        } = &*self.source;
        let mut batches: Vec<RecordBatch> = Vec::new();
        let add = |message| add(&config.schema_ids, &mut batches, &message);
        gather(&mut self.kept, |within| consumer.poll(within), add)?;
        let mut polled = self.source.polled.lock();
        for batch in &batches {
            // One that is tailed no more has no place.
            if let (Some(next), Some(last)) = (
                polled.tailed.get_mut(&batch.partition),
                batch.records.last(),
            ) {
                *next = last.offset.next().max(*next);
            }
        }
        drop(polled);
        Ok(batches)
    }

    /// What an error means for the reader of the tail; nothing when it passes.
    fn meaning(&self, error: &KafkaError) -> Option<LogError> {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::LogTruncation,
            ) => Some(self.source.out_of_range()),
            Some(
                RDKafkaErrorCode::Fatal
                | RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition,
            ) => Some(unavailable(error)),
            _ => {
                tracing::debug!(topic = %self.source.topic, %error, "kafka: a tail waits");
                None
            }
        }
    }
}

/// Waits for one, then takes what stands behind it without waiting, up to an error, which is kept for the
/// next time.
fn gather<M>(
    kept: &mut Option<KafkaError>,
    mut poll: impl FnMut(Duration) -> Option<KafkaResult<M>>,
    mut take: impl FnMut(M),
) -> KafkaResult<()> {
    if let Some(error) = kept.take() {
        return Err(error);
    }
    let Some(first) = poll(LOOK_EVERY) else {
        return Ok(());
    };
    take(first?);
    for _ in 1..HANDED_OVER {
        match poll(Duration::ZERO) {
            Some(Ok(message)) => take(message),
            Some(Err(error)) => {
                *kept = Some(error);
                break;
            }
            None => break,
        }
    }
    Ok(())
}

fn add(ids: &SchemaIds, batches: &mut Vec<RecordBatch>, message: &BorrowedMessage<'_>) {
    let partition = Partition(u32::try_from(message.partition()).unwrap_or_default());
    let record: Record = records::record(message, ids);
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

    #[test]
    fn an_error_behind_records_is_told_after_them() {
        let lost = || KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset);
        let mut polled = [
            Some(Ok(1)),
            Some(Ok(2)),
            Some(Err(lost())),
            Some(Ok(3)),
            None,
        ]
        .into_iter();
        let (mut kept, mut taken) = (None, Vec::new());
        let mut turn = || gather(&mut kept, |_| polled.next()?, |one| taken.push(one));
        assert_eq!([turn(), turn(), turn()], [Ok(()), Err(lost()), Ok(())]);
        assert_eq!(taken, [1, 2, 3]);
    }

    #[tokio::test]
    async fn a_tail_whose_thread_is_lost_can_be_begun_again_unless_the_log_was_closed() {
        let config = Config::default();
        let source = Arc::new(Source {
            consumer: config.consumer().create().unwrap(),
            config,
            topic: Topic::Users,
            pace: Pace::AtOnce,
            polled: Mutex::default(),
            closing: Arc::default(),
        });
        let (hands, handed) = channel(1);
        let mut tail = KafkaTail {
            source: Arc::clone(&source),
            handed,
            due: Due::new(&[]),
            failed: None,
        };
        drop(hands);
        let lost = tail.next(1).await.unwrap_err();
        assert!(lost.is_retryable(), "{lost}");
        source.closing.close();
        assert!(matches!(tail.next(1).await, Err(LogError::Closed)));
    }
}
