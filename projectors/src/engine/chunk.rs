//! From the bytes of a chunk to events: the only place that decides a bad record's fate.
//!
//! Undecodable, or standing in the wrong partition: a dead letter, and its partition goes on; every
//! rebuild skips it alike. Of an unknown type or of newer rules: what stands before it is still
//! applied, then the projection stops.

use bytes::Bytes;
use infra_ports::log::{MAX_RECORD_BYTES, NewRecord};
use infra_ports::{Record, RecordBatch};
use schemas::avro::LogEvent;
use schemas::events::{DeadLetter, RULES};
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::{Topic, partition_of};

use super::projection::Projection;
use super::stop::Stop;

/// Room that a dead letter's own fields may take beside the record it holds.
const ENVELOPE_BYTES: usize = 4_096;

/// A record that was understood.
#[derive(Debug)]
pub(crate) struct Decoded<E> {
    pub(crate) partition: Partition,
    pub(crate) record: Record,
    pub(crate) event: E,
}

impl<E> Decoded<E> {
    /// What was told by another fold and stands in no topic.
    pub(crate) fn of_no_record(event: E) -> Self {
        let record = Record {
            offset: Offset(0),
            key: Bytes::new(),
            value: Bytes::new(),
            at: Timestamp(0),
        };
        Self {
            partition: Partition(0),
            record,
            event,
        }
    }
}

/// What was read in one go.
#[derive(Debug)]
pub(crate) struct Chunk<E> {
    pub(crate) records: Vec<Decoded<E>>,
    pub(crate) dead: Vec<(Partition, NewRecord)>,
    /// For each partition, the offset after the last record that is dealt with.
    pub(crate) next: Vec<(Partition, Offset)>,
    /// How many records were read.
    pub(crate) count: usize,
    /// A record was met that this build must not pass.
    pub(crate) stop: Option<Stop>,
}

enum Fate {
    Dead(String),
    Stop(String),
}

/// Decodes what was read. A partition may come several times, each time further on.
pub(crate) fn decode<P: Projection>(
    projection: &P,
    partitions: u32,
    batches: Vec<RecordBatch>,
) -> Result<Chunk<P::Event>, Stop> {
    let mut chunk = Chunk {
        records: Vec::with_capacity(batches.iter().map(|b| b.records.len()).sum()),
        dead: Vec::new(),
        next: Vec::new(),
        count: 0,
        stop: None,
    };
    for batch in batches {
        decode_batch(projection, partitions, batch, &mut chunk)?;
        // What was read behind it may be of the same partition once more.
        if chunk.stop.is_some() {
            break;
        }
    }
    Ok(chunk)
}

fn decode_batch<P: Projection>(
    projection: &P,
    partitions: u32,
    batch: RecordBatch,
    chunk: &mut Chunk<P::Event>,
) -> Result<(), Stop> {
    let partition = batch.partition;
    for record in batch.records {
        let offset = record.offset;
        match understand(projection, partitions, partition, &record) {
            Ok(event) => chunk.records.push(Decoded {
                partition,
                record,
                event,
            }),
            Err(Fate::Dead(reason)) => {
                tracing::error!(projection = P::NAME, %partition, %offset, reason, "dead letter");
                let letter = dead_letter::<P>(partition, &record, reason)?;
                chunk.dead.push((partition, letter));
            }
            Err(Fate::Stop(reason)) => {
                chunk.stop = Some(Stop::UpgradeRequired {
                    topic: P::ORIGIN,
                    partition,
                    offset,
                    reason,
                });
                return Ok(());
            }
        }
        chunk.count += 1;
        match chunk.next.last_mut() {
            Some((last, next)) if *last == partition => *next = offset.next(),
            Some(_) | None => chunk.next.push((partition, offset.next())),
        }
    }
    Ok(())
}

fn understand<P: Projection>(
    projection: &P,
    partitions: u32,
    partition: Partition,
    record: &Record,
) -> Result<P::Event, Fate> {
    if record.value.len() > P::MAX_VALUE_BYTES {
        let bytes = record.value.len();
        return Err(Fate::Dead(format!(
            "{bytes} bytes are too many to tell anyone"
        )));
    }
    let event = projection.decode(&record.value).map_err(|error| {
        let reason = error.to_string();
        match error.is_unknown() {
            true => Fate::Stop(reason),
            false => Fate::Dead(reason),
        }
    })?;
    let rules = projection.rules(&event);
    if rules > RULES {
        let reason = format!("rules version {rules}, this build knows {RULES}");
        return Err(Fate::Stop(reason));
    }
    if let Some(key) = projection.routed_by(&event) {
        let home = partition_of(key.as_bytes(), partitions);
        if home != partition {
            return Err(Fate::Dead(format!("it belongs in partition {home}")));
        }
    }
    Ok(event)
}

fn dead_letter<P: Projection>(
    partition: Partition,
    record: &Record,
    reason: String,
) -> Result<NewRecord, Stop> {
    let size = record.key.len() + record.value.len() + ENVELOPE_BYTES;
    let (value, reason) = if size > MAX_RECORD_BYTES {
        let bytes = record.value.len();
        let reason = format!("{reason} ({bytes} bytes left out: they stand at the place named)");
        (Bytes::new(), reason)
    } else {
        (record.value.clone(), reason)
    };
    let letter = DeadLetter {
        topic: Topic::name(P::ORIGIN).to_owned(),
        partition,
        offset: record.offset,
        projection: P::NAME.to_owned(),
        reason,
        key: record.key.clone(),
        value,
    };
    let value = letter.encode().map_err(|e| Stop::Broken(e.to_string()))?;
    Ok(NewRecord {
        key: Bytes::new(),
        value,
        at: record.at,
    })
}
