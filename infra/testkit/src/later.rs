//! A build of a later time, as far as its events go: each type has a version more, with an optional field
//! more. It reads that version, or reads and writes it.
//!
//! Reading is what the product does with whatever was released: the program is told of the later schemas
//! before it does anything else. Writing is done to finished records, on their way into the log: the new
//! field is the last one, so a datum grows at its end and has another head.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use infra_ports::log::NewRecord;
use infra_ports::memory::log::{Around, AroundLog};
use infra_ports::{EventLog, LogError};
use schemas::avro::{SUBJECTS, SchemaStore, Subject};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;
use serde::Serialize;
use serde_json::{Value, json};

/// Says which build a process is: a [`Build`] by its name; today's where it is not set.
pub const VARIABLE: &str = "CURSUS_BUILD";
/// What the field holds: the second branch of its union, then a string with its length, zigzag.
const HELD: &[u8] = b"\x02\x0Alater";

/// Which build a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Build {
    /// This one: it knows of nothing later.
    Today,
    /// It reads the later versions.
    Reads,
    /// It writes them, too.
    Writes,
}

impl Build {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Reads => "reads",
            Self::Writes => "writes",
        }
    }
}

impl FromStr for Build {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut all = [Self::Today, Self::Reads, Self::Writes].into_iter();
        let found = all.find(|build| build.name() == name);
        found.ok_or_else(|| format!("no build is called {name}"))
    }
}

/// Has this process be the build that the environment names, as far as reading goes. To be called before
/// anything else.
///
/// # Errors
/// When there is no such build, or something was read already.
pub fn begin() -> anyhow::Result<Build> {
    let build = match std::env::var(VARIABLE) {
        Ok(name) => name.parse().map_err(anyhow::Error::msg)?,
        Err(_) => Build::Today,
    };
    if build != Build::Today {
        let released = later_schemas()?.release();
        released
            .ok()
            .context("schemas were read before they could be later ones")?;
    }
    Ok(build)
}

/// All that is released, and of each type a version more.
fn later_schemas() -> anyhow::Result<SchemaStore> {
    let mut store = SchemaStore::of_releases()?;
    for subject in SUBJECTS {
        let (version, json) = later(*subject)?;
        store.add(*subject, version, &json)?;
    }
    Ok(store)
}

/// The version of a type that a later build has, and its schema.
///
/// # Errors
/// When the newest released schema is no record.
pub fn later(subject: Subject) -> anyhow::Result<(u32, String)> {
    let released = subject.released();
    let newest = released.last().copied().unwrap_or_default();
    let mut schema: Value = serde_json::from_str(newest)?;
    let fields = schema.get_mut("fields").and_then(Value::as_array_mut);
    let fields = fields.with_context(|| format!("{subject} is no record"))?;
    fields.push(json!({ "name": "later", "type": ["null", "string"], "default": null }));
    Ok((u32::try_from(released.len())? + 1, schema.to_string()))
}

/// A log whose writer is of the later build; the process must have [begun](begin) as one.
pub fn writing(log: Arc<dyn EventLog>) -> impl EventLog {
    let heads = heads(SchemaStore::released());
    AroundLog(Later { log, heads })
}

struct Later {
    log: Arc<dyn EventLog>,
    heads: Heads,
}

/// The fingerprint of a type's last version by that of the one before.
type Heads = BTreeMap<[u8; 8], [u8; 8]>;

fn heads(store: &SchemaStore) -> Heads {
    let mut prints = BTreeMap::new();
    for release in store.releases() {
        prints.insert((release.subject, release.version), release.fingerprint());
    }
    let pair = |subject: &Subject| {
        let mut versions = prints.range((*subject, 0)..=(*subject, u32::MAX)).rev();
        let (last, before) = (versions.next()?.1, versions.next()?.1);
        Some((before.to_le_bytes(), last.to_le_bytes()))
    };
    SUBJECTS.iter().filter_map(pair).collect()
}

impl Later {
    fn written(&self, record: NewRecord) -> NewRecord {
        match written(&self.heads, &record.value) {
            Some(value) => NewRecord { value, ..record },
            None => record,
        }
    }
}

/// An event as the later build writes it; none when the value is no event of today's.
fn written(heads: &Heads, value: &[u8]) -> Option<Bytes> {
    let (&[0xC3, 0x01, ref head @ ..], datum) = value.split_first_chunk::<10>()? else {
        return None;
    };
    let later = heads.get(head)?;
    Some([&[0xC3, 0x01], &later[..], datum, HELD].concat().into())
}

#[async_trait]
impl Around for Later {
    fn inner(&self) -> &dyn EventLog {
        &*self.log
    }

    async fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<NewRecord>,
    ) -> Result<Offset, LogError> {
        let records = records.into_iter().map(|one| self.written(one)).collect();
        self.log.append(topic, partition, records).await
    }

    async fn append_all(
        &self,
        topic: Topic,
        batches: Vec<(Partition, Vec<NewRecord>)>,
    ) -> Result<Vec<Offset>, LogError> {
        let written = batches.into_iter().map(|(partition, records)| {
            let records = records.into_iter().map(|one| self.written(one));
            (partition, records.collect())
        });
        self.log.append_all(topic, written.collect()).await
    }
}

#[cfg(test)]
mod tests {
    use schemas::avro::LogEvent;
    use schemas::events::{Mark, MarkKind, ReceiptEvent};
    use schemas::ids::{ChatId, DeviceId, UserId};
    use schemas::position::{Ordinal, Seq, Timestamp};

    use super::*;

    fn mark() -> Mark {
        let (ada, bob) = (UserId::new("ada").unwrap(), UserId::new("bob").unwrap());
        Mark {
            chat: ChatId::direct(&ada, &bob).unwrap(),
            user: ada,
            device: DeviceId::new("phone").unwrap(),
            kind: MarkKind::Read,
            seq: Seq(7),
            ordinal: Ordinal(5),
            since: Seq(0),
            authors: vec![bob],
            at: Timestamp(1),
        }
    }

    #[test]
    fn what_a_later_build_writes_is_the_same_event_to_it_and_unknown_today() {
        let store = later_schemas().unwrap();
        let heads = heads(&store);
        assert_eq!(heads.len(), SUBJECTS.len());
        let event = ReceiptEvent::Mark(mark());
        let value = written(&heads, &event.encode().unwrap()).unwrap();
        assert_eq!(ReceiptEvent::decode_with(&store, &value).unwrap(), event);
        let error = ReceiptEvent::decode(&value).unwrap_err();
        assert!(error.is_unknown(), "{error}");
        assert_eq!(written(&heads, &value), None);
        assert_eq!(written(&heads, b"no event"), None);
    }
}
