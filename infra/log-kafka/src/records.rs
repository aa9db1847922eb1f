//! Records as Kafka messages, and back.
//!
//! An empty key is no key. Kafka takes a time of 0 for "none" and gives it one of its own, so
//! times that are not positive travel in a header as well.

use std::sync::Arc;

use bytes::Bytes;
use infra_ports::log::{NewRecord, Record};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use schemas::position::{Offset, Timestamp};

use crate::delivery::Batch;

/// The header of a time that Kafka has no place for: eight bytes, big-endian.
const AT: &str = "at";

/// The message of a record; its report goes to the batch.
pub(crate) fn message<'a>(
    topic: &'a str,
    partition: i32,
    record: &'a NewRecord,
    batch: &Arc<Batch>,
) -> BaseRecord<'a, [u8], [u8], Arc<Batch>> {
    let mut message = BaseRecord::with_opaque_to(topic, Arc::clone(batch)).partition(partition);
    message = message.payload(&record.value[..]);
    if !record.key.is_empty() {
        message = message.key(&record.key[..]);
    }
    if record.at.0 > 0 {
        return message.timestamp(record.at.0);
    }
    let at = record.at.0.to_be_bytes();
    message.headers(OwnedHeaders::new().insert(Header {
        key: AT,
        value: Some(&at),
    }))
}

/// The record of a message.
pub(crate) fn record(message: &impl Message) -> Record {
    let bytes = |found: Option<&[u8]>| found.map_or_else(Bytes::new, Bytes::copy_from_slice);
    let stamped = message.timestamp().to_millis().unwrap_or_default();
    Record {
        offset: Offset(u64::try_from(message.offset()).unwrap_or_default()),
        key: bytes(message.key()),
        value: bytes(message.payload()),
        at: Timestamp(header_time(message).unwrap_or(stamped)),
    }
}

fn header_time(message: &impl Message) -> Option<i64> {
    let headers = message.headers()?;
    let header = headers.iter().find(|header| header.key == AT)?;
    header.value?.try_into().ok().map(i64::from_be_bytes)
}
