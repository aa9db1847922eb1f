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
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
        )
    )
}

/// The number of a partition, as Kafka counts.
pub(crate) fn number(partition: Partition) -> i32 {
    i32::try_from(partition.0).unwrap_or(i32::MAX)
}

/// The ends of a partition. Consumers see what all replicas in sync have: the durable end.
pub(crate) fn positions(
    consumer: &BaseConsumer,
    config: &Config,
    topic: Topic,
    partition: Partition,
) -> Result<Positions, LogError> {
    let (first, end) = ends(consumer, config, &config.name(topic), number(partition))?;
    Ok(Positions {
        first,
        durable_end: end,
        end,
    })
}

/// The first offset and the end of a partition of any topic.
fn ends(
    consumer: &BaseConsumer,
    config: &Config,
    name: &str,
    partition: i32,
) -> Result<(Offset, Offset), LogError> {
    let deadline = Instant::now() + config.answer_within;
    let offset = |found: i64| Offset(u64::try_from(found).unwrap_or_default());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match consumer.fetch_watermarks(name, partition, left) {
            Ok((first, end)) => return Ok((offset(first), offset(end))),
            Err(error) if passes(&error) && !left.is_zero() => thread::sleep(AGAIN_AFTER),
            Err(error) => return Err(unavailable(&error)),
        }
    }
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
    let (first, end) = ends(consumer, config, &name, number)?;
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
    let (first, end) = ends(consumer, config, name, partition)?;
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
