//! Rust record → single-object frame, under the newest released schema of its type.
//!
//! Schemas are parsed once a process, serializer buffers made once a thread and type.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use serde::Serialize;
use serde_avro_fast::Schema;
use serde_avro_fast::ser::SerializerConfig;

use super::{EncodeError, MAX_EVENT_BYTES, SUBJECTS, Subject};

/// What a frame is expected to need; most are shorter.
const TYPICAL_BYTES: usize = 256;

static WRITERS: LazyLock<BTreeMap<Subject, Schema>> = LazyLock::new(|| {
    let newest = |subject: &Subject| subject.released().last()?.parse().ok();
    SUBJECTS
        .iter()
        .filter_map(|subject| Some((*subject, newest(subject)?)))
        .collect()
});

thread_local! {
    static CONFIGS: RefCell<BTreeMap<Subject, SerializerConfig<'static>>> =
        const { RefCell::new(BTreeMap::new()) };
}

/// Encodes one record.
pub(super) fn encode<T: Serialize>(subject: Subject, record: &T) -> Result<Bytes, EncodeError> {
    let unfit = |reason: String| EncodeError::Unfit {
        subject: subject.name(),
        reason,
    };
    let buffer = Vec::with_capacity(TYPICAL_BYTES);
    let bytes = CONFIGS.with_borrow_mut(|configs| {
        let config = match configs.entry(subject) {
            std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                let schema = WRITERS.get(&subject);
                let schema = schema.ok_or_else(|| unfit("its schema is unreadable".to_owned()))?;
                free.insert(SerializerConfig::new(schema))
            }
        };
        serde_avro_fast::to_single_object(record, buffer, config).map_err(|e| unfit(e.to_string()))
    })?;
    if bytes.len() > MAX_EVENT_BYTES {
        return Err(EncodeError::TooLarge {
            subject: subject.name(),
            size_bytes: bytes.len(),
        });
    }
    Ok(Bytes::from(bytes))
}
