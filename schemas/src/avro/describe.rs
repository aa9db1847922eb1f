//! Any event as JSON, for operators' tools and people.
//!
//! It goes through the reference implementation and knows schemas only, no Rust record: what it
//! shows is what a foreign reader would see. Slow; never on the path of a message.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;

use super::walk::Walked;
use super::{DecodeError, MAX_EVENT_BYTES, Malformed, SchemaStore, Subject};

/// Subject, version of the writer's schema, and the record as JSON; bytes are arrays of numbers.
///
/// # Errors
/// As [`LogEvent::decode`](super::LogEvent::decode), but ids and ranges are not checked.
pub fn describe(bytes: &[u8]) -> Result<(Subject, u32, serde_json::Value), DecodeError> {
    let (release, mut datum) = SchemaStore::released().open(bytes)?;
    // The reference implementation makes room for as many items as a datum promises: what does not
    // hold what it promises does not come so far. It believes lengths up to 512 MiB, too.
    release.read::<Walked>(datum)?;
    apache_avro::util::max_allocation_bytes(MAX_EVENT_BYTES);
    let subject = release.subject;
    let malformed = |reason: String| Malformed::Datum {
        subject: subject.name(),
        reason,
    };
    let schema = Schema::parse_str(release.schema.json()).map_err(|e| malformed(e.to_string()))?;
    let value = GenericDatumReader::builder(&schema)
        .build()
        .and_then(|reader| reader.read_value(&mut datum))
        .map_err(|e| malformed(e.to_string()))?;
    if !datum.is_empty() {
        return Err(Malformed::Trailing {
            subject: subject.name(),
            left_bytes: datum.len(),
        }
        .into());
    }
    let json = serde_json::Value::try_from(value).map_err(|e| malformed(e.to_string()))?;
    Ok((subject, release.version, json))
}
