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
    let name = config.name(topic);
    let deadline = Instant::now() + config.answer_within;
    let (first, end) = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match consumer.fetch_watermarks(&name, number(partition), left) {
            Ok(ends) => break ends,
            Err(error) if passes(&error) && !left.is_zero() => thread::sleep(AGAIN_AFTER),
            Err(error) => return Err(unavailable(&error)),
        }
    };
    let offset = |found: i64| Offset(u64::try_from(found).unwrap_or_default());
    Ok(Positions {
        first: offset(first),
        durable_end: offset(end),
        end: offset(end),
    })
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
    let ends = positions(consumer, config, topic, partition)?;
    if from < ends.first {
        return Err(LogError::OutOfRange {
            topic,
            partition,
            asked: from,
            first: ends.first,
        });
    }
    if from >= ends.end || max_records == 0 {
        return Ok(Vec::new());
    }
    let mut at = TopicPartitionList::with_capacity(1);
    let offset = KafkaOffset::Offset(i64::try_from(from.0).unwrap_or(i64::MAX));
    at.add_partition_offset(&config.name(topic), number(partition), offset)
        .and_then(|()| consumer.assign(&at))
        .map_err(|error| unavailable(&error))?;
    let read = collect(consumer, config, ends.end, max_records);
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
