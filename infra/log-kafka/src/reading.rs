//! Reading a window of one partition, and the ends of a partition; on an asking thread.

use std::thread;
use std::time::{Duration, Instant};

use infra_ports::log::{LogError, Positions, Record};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::{Message, Offset as KafkaOffset};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use crate::config::Config;
use crate::errors::unavailable;
use crate::records;

/// How soon is asked again while a partition changes its leader.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How long a broker may take to say who leads a topic before it is asked again.
const LEADERS_WITHIN: Duration = Duration::from_secs(1);

/// True for what is said while a partition gets its first leader, or another one, and while the way
/// to the brokers is broken.
fn passes(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::FencedLeaderEpoch
                | RDKafkaErrorCode::UnknownLeaderEpoch
                | RDKafkaErrorCode::OffsetNotAvailable
                | RDKafkaErrorCode::ReplicaNotAvailable
                | RDKafkaErrorCode::KafkaStorageError
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
        )
    )
}

/// The number of a partition, as Kafka counts.
pub(crate) fn number(partition: Partition) -> i32 {
    i32::try_from(partition.0).unwrap_or(i32::MAX)
}

/// The ends of a partition.
pub(crate) fn positions(
    consumer: &BaseConsumer,
    config: &Config,
    topic: Topic,
    partition: Partition,
) -> Result<Positions, LogError> {
    let found = positions_of(consumer, config, topic, &[partition])?;
    let none = || LogError::UnknownPartition(topic, partition);
    found.into_iter().next().ok_or_else(none)
}

/// The ends of partitions, two questions to each broker in all. Consumers see what all replicas in
/// sync have: the durable end.
pub(crate) fn positions_of(
    consumer: &BaseConsumer,
    config: &Config,
    topic: Topic,
    partitions: &[Partition],
) -> Result<Vec<Positions>, LogError> {
    let numbers: Vec<i32> = partitions.iter().copied().map(number).collect();
    let found = ends(consumer, config, &config.name(topic), &numbers)?.into_iter();
    let positions = found.map(|(first, end)| Positions {
        first,
        durable_end: end,
        end,
    });
    Ok(positions.collect())
}

/// The first offsets and the ends of partitions of any topic.
fn ends(
    consumer: &BaseConsumer,
    config: &Config,
    name: &str,
    partitions: &[i32],
) -> Result<Vec<(Offset, Offset)>, LogError> {
    let deadline = Instant::now() + config.answer_within;
    let first = places(consumer, name, partitions, KafkaOffset::Beginning, deadline)?;
    let end = places(consumer, name, partitions, KafkaOffset::End, deadline)?;
    Ok(first.into_iter().zip(end).collect())
}

/// The end of one partition of any topic, likewise.
fn ends_of_one(
    consumer: &BaseConsumer,
    config: &Config,
    name: &str,
    partition: i32,
) -> Result<(Offset, Offset), LogError> {
    let found = ends(consumer, config, name, &[partition])?;
    let none = || LogError::Unavailable(format!("{name}/{partition} has no ends"));
    found.into_iter().next().ok_or_else(none)
}

/// What partitions begin with, or end at: librdkafka takes these places for times.
fn places(
    consumer: &BaseConsumer,
    name: &str,
    partitions: &[i32],
    place: KafkaOffset,
    deadline: Instant,
) -> Result<Vec<Offset>, LogError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match look_up(consumer, name, partitions, place, left) {
            Ok(found) => return Ok(found),
            Err(error) if passes(&error) && !left.is_zero() => {
                thread::sleep(AGAIN_AFTER);
                // Who leads is learnt anew; whether that went well shows the next time round.
                drop(consumer.fetch_metadata(Some(name), left.min(LEADERS_WITHIN)));
            }
            Err(error) => return Err(unavailable(&error)),
        }
    }
}

fn look_up(
    consumer: &BaseConsumer,
    name: &str,
    partitions: &[i32],
    place: KafkaOffset,
    within: Duration,
) -> Result<Vec<Offset>, KafkaError> {
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        asked.add_partition_offset(name, *partition, place)?;
    }
    let found = consumer.offsets_for_times(asked, within)?;
    let offset = |partition: &i32| {
        let unknown = KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition);
        let found = found.find_partition(name, *partition).ok_or(unknown)?;
        found.error()?;
        let offset = found.offset().to_raw().unwrap_or_default();
        Ok(Offset(u64::try_from(offset).unwrap_or_default()))
    };
    partitions.iter().map(offset).collect()
}

/// Records of a partition from an offset on, up to the end that it had when asked.
pub(crate) fn read(
    consumer: &BaseConsumer,
    config: &Config,
    topic: Topic,
    partition: Partition,
    from: Offset,
    max_records: usize,
) -> Result<Vec<Record>, LogError> {
    let (name, number) = (config.name(topic), number(partition));
    let (first, end) = ends_of_one(consumer, config, &name, number)?;
    if from < first {
        return Err(LogError::OutOfRange {
            topic,
            partition,
            asked: from,
            first,
        });
    }
    read_up_to(consumer, config, (&name, number), (from, end), max_records)
}

/// The same of any topic, from the first record that is kept if that comes later.
pub(crate) fn read_kept(
    consumer: &BaseConsumer,
    config: &Config,
    name: &str,
    partition: i32,
    from: Offset,
) -> Result<Vec<Record>, LogError> {
    let (first, end) = ends_of_one(consumer, config, name, partition)?;
    let range = (from.max(first), end);
    read_up_to(consumer, config, (name, partition), range, usize::MAX)
}

fn read_up_to(
    consumer: &BaseConsumer,
    config: &Config,
    (name, partition): (&str, i32),
    (from, end): (Offset, Offset),
    max_records: usize,
) -> Result<Vec<Record>, LogError> {
    if from >= end || max_records == 0 {
        return Ok(Vec::new());
    }
    let mut at = TopicPartitionList::with_capacity(1);
    let offset = KafkaOffset::Offset(i64::try_from(from.0).unwrap_or(i64::MAX));
    at.add_partition_offset(name, partition, offset)
        .and_then(|()| consumer.assign(&at))
        .map_err(|error| unavailable(&error))?;
    let read = collect(consumer, config, end, max_records);
    consumer.unassign().map_err(|error| unavailable(&error))?;
    read
}

fn collect(
    consumer: &BaseConsumer,
    config: &Config,
    end: Offset,
    max_records: usize,
) -> Result<Vec<Record>, LogError> {
    let mut records = Vec::new();
    let deadline = Instant::now() + config.answer_within;
    while records.len() < max_records {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(message) = consumer.poll(left) else {
            return Err(LogError::Unavailable(
                "Kafka did not answer in time".to_owned(),
            ));
        };
        let message = match message {
            Ok(message) => message,
            Err(error) if passes(&error) => continue,
            Err(error) => return Err(unavailable(&error)),
        };
        let last = message.offset() + 1 >= i64::try_from(end.0).unwrap_or(i64::MAX);
        records.push(records::record(&message, &config.schema_ids));
        if last {
            break;
        }
    }
    Ok(records)
}
