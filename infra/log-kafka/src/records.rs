//! Records as Kafka messages, and back.
//!
//! An event's value stands on Kafka under the head that readers with a schema registry know
//! ([`SchemaIds`]); only the head is exchanged, the datum is copied as it is. What is no event stands
//! as it is. An empty key is no key. Kafka takes a time of 0 for "none" and gives it one of its own, so
//! times that are not positive travel in a header as well.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use infra_ports::log::{NewRecord, Record};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use schemas::avro::SchemaIds;
use schemas::position::{Offset, Timestamp};

use crate::delivery::Batch;

/// The header of a time that Kafka has no place for: eight bytes, big-endian.
const AT: &str = "at";
/// The header of a value that looks as if it had a registry's head, and has none: empty.
const AS_IT_IS: &str = "as-it-is";

/// A value as it stands on Kafka.
#[derive(Clone, Copy)]
pub(crate) struct Value<'v> {
    bytes: &'v [u8],
    /// It is not to be taken for what it looks like.
    as_it_is: bool,
}

impl<'v> Value<'v> {
    /// The value of a record, in `room` when its head is exchanged.
    pub(crate) fn of(record: &'v NewRecord, ids: &SchemaIds, room: &'v mut Vec<u8>) -> Self {
        let Some((head, datum)) = ids.to_registered(&record.value) else {
            return Self {
                bytes: &record.value,
                as_it_is: ids.from_registered(&record.value).is_some(),
            };
        };
        room.clear();
        room.extend_from_slice(&head);
        room.extend_from_slice(datum);
        Self {
            bytes: room,
            as_it_is: false,
        }
    }
}

/// The message of a record with this value; its report goes to the batch.
pub(crate) fn message<'a>(
    topic: &'a str,
    partition: i32,
    record: &'a NewRecord,
    value: Value<'a>,
    batch: &Arc<Batch>,
) -> BaseRecord<'a, [u8], [u8], Arc<Batch>> {
    let mut message = BaseRecord::with_opaque_to(topic, Arc::clone(batch)).partition(partition);
    message = message.payload(value.bytes);
    if !record.key.is_empty() {
        message = message.key(&record.key[..]);
    }
    if record.at.0 > 0 {
        message = message.timestamp(record.at.0);
    }
    match headers(record.at, value.as_it_is) {
        Some(headers) => message.headers(headers),
        None => message,
    }
}

/// Most records need none.
fn headers(at: Timestamp, as_it_is: bool) -> Option<OwnedHeaders> {
    let at = (at.0 <= 0).then(|| at.0.to_be_bytes());
    if at.is_none() && !as_it_is {
        return None;
    }
    let mut headers = OwnedHeaders::new();
    if let Some(at) = &at {
        headers = headers.insert(Header {
            key: AT,
            value: Some(at),
        });
    }
    if as_it_is {
        headers = headers.insert(Header {
            key: AS_IT_IS,
            value: Some(b""),
        });
    }
    Some(headers)
}

/// The record of a message.
pub(crate) fn record(message: &impl Message, ids: &SchemaIds) -> Record {
    let bytes = |found: Option<&[u8]>| found.map_or_else(Bytes::new, Bytes::copy_from_slice);
    let stamped = message.timestamp().to_millis().unwrap_or_default();
    Record {
        offset: Offset(u64::try_from(message.offset()).unwrap_or_default()),
        key: bytes(message.key()),
        value: value(message, ids),
        at: Timestamp(header_time(message).unwrap_or(stamped)),
    }
}

fn value(message: &impl Message, ids: &SchemaIds) -> Bytes {
    let payload = message.payload().unwrap_or_default();
    match ids.from_registered(payload) {
        Some((head, datum)) if header(message, AS_IT_IS).is_none() => {
            let mut value = BytesMut::with_capacity(head.len() + datum.len());
            value.put_slice(&head);
            value.put_slice(datum);
            value.freeze()
        }
        Some(_) | None => Bytes::copy_from_slice(payload),
    }
}

fn header_time(message: &impl Message) -> Option<i64> {
    header(message, AT)?.try_into().ok().map(i64::from_be_bytes)
}

fn header<'m>(message: &'m impl Message, key: &str) -> Option<&'m [u8]> {
    let headers = message.headers()?;
    let header = headers.iter().find(|header| header.key == key)?;
    // An empty value may come back as none.
    Some(header.value.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp as KafkaTime;
    use rdkafka::message::OwnedMessage;
    use schemas::avro::{SchemaStore, schema_id};
    use tokio::sync::Semaphore;

    use super::*;

    /// What a record becomes on the way to Kafka: its value there, and the record that is read.
    fn there_and_back(value: &[u8], at: i64) -> (Vec<u8>, Record) {
        let ids = SchemaIds::fixed();
        let record = NewRecord {
            key: Bytes::from_static(b"k"),
            value: Bytes::copy_from_slice(value),
            at: Timestamp(at),
        };
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (batch, _answer) = Batch::new(1, room);
        let mut written = Vec::new();
        let value = Value::of(&record, &ids, &mut written);
        let sent = message("chats", 3, &record, value, &batch);
        let payload = sent.payload.map(<[u8]>::to_vec);
        let time = sent
            .timestamp
            .map_or(KafkaTime::NotAvailable, KafkaTime::CreateTime);
        let key = sent.key.map(<[u8]>::to_vec);
        let topic = "chats".to_owned();
        let message = OwnedMessage::new(payload.clone(), key, topic, time, 3, 7, sent.headers);
        (payload.unwrap(), super::record(&message, &ids))
    }

    #[test]
    fn event_stands_under_the_id_of_its_schema_and_comes_back_as_it_was() {
        for release in SchemaStore::released().releases() {
            let print = release.fingerprint().to_le_bytes();
            let value = [&[0xC3, 0x01], &print[..], b"datum"].concat();
            let id = schema_id(release.subject, release.version).to_be_bytes();
            let (stands, back) = there_and_back(&value, 5);
            assert_eq!(stands, [&[0], &id[..], b"datum"].concat());
            assert_eq!((&back.value[..], back.at), (&value[..], Timestamp(5)));
        }
    }

    #[test]
    fn what_is_no_event_comes_back_as_it_was() {
        let looks_like_one = [&[0], &1_000_001_001_u32.to_be_bytes()[..], b"x"].concat();
        let of_nobody = b"\xC3\x01\x01\x02\x03\x04\x05\x06\x07\x08rest";
        for value in [&looks_like_one[..], of_nobody, b"", b"\0", b"plain text"] {
            for at in [-1, 0, 1] {
                let (stands, back) = there_and_back(value, at);
                assert_eq!(stands, value);
                assert_eq!((&back.value[..], back.at), (value, Timestamp(at)));
            }
        }
    }
}
