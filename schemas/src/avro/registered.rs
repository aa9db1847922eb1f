//! The head that readers with a schema registry know, in exchange for ours, and back.
//!
//! ```text
//!  0    1                   5
//! ┌────┬───────────────────┬───────────────────────────────┐
//! │ 00 │ id of the schema, │ Avro binary datum of one      │
//! │    │ big-endian        │ record, up to the last byte   │
//! └────┴───────────────────┴───────────────────────────────┘
//! ```
//!
//! The datum stays as it is. Ids are fixed with the releases ([`schema_id`]), so no registry need be
//! asked; a registry that gives ids of its own is asked once, for [`SchemaIds::learnt`]. A value that
//! has neither head is passed on as it is.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::store::HEADER_BYTES;
use super::{SchemaStore, Subject};

/// Bytes of a registry's head.
const REGISTERED_BYTES: usize = 5;
/// The first of the ids that are ours; smaller ones are for whoever else registers schemas.
pub const FIRST_SCHEMA_ID: u32 = 1_000_000_000;
/// Ids of one event type.
const VERSIONS_EACH: u32 = 1_000;
/// The first four bytes, little-endian the last, of the fingerprint under which a reader is shown an
/// id that it cannot know: no schema of ours has such a one.
const UNKNOWN: u64 = 0xFFFF_FFFF << 32;

/// The id of a released schema, for ever: [`FIRST_SCHEMA_ID`], then the subject's number, then the
/// version in three digits. Version 1 of the first subject has 1,000,001,001.
pub const fn schema_id(subject: Subject, version: u32) -> u32 {
    FIRST_SCHEMA_ID + subject.number() * VERSIONS_EACH + version
}

/// Ids ↔ fingerprints of the schemas that this build knows.
#[derive(Debug, PartialEq)]
pub struct SchemaIds {
    ids: HashMap<u64, u32, ahash::RandomState>,
    fingerprints: HashMap<u32, u64, ahash::RandomState>,
    /// Ids below are not ours, so what bears one is no event.
    first: u32,
}

static FIXED: LazyLock<Arc<SchemaIds>> = LazyLock::new(|| {
    let releases = SchemaStore::released().releases();
    let pair = releases.map(|one| (one.fingerprint(), schema_id(one.subject, one.version)));
    Arc::new(SchemaIds::new(pair, FIRST_SCHEMA_ID))
});

impl SchemaIds {
    /// The ids that are part of the format.
    pub fn fixed() -> Arc<Self> {
        Arc::clone(&FIXED)
    }

    /// The ids that a registry gave, each with the fingerprint of its schema. It may give any id to a
    /// schema of a newer build, so a record under an id that is not among these needs an upgrade.
    pub fn learnt(pairs: impl IntoIterator<Item = (u64, u32)>) -> Self {
        Self::new(pairs, 0)
    }

    fn new(pairs: impl IntoIterator<Item = (u64, u32)>, first: u32) -> Self {
        let ids: HashMap<u64, u32, ahash::RandomState> = pairs.into_iter().collect();
        let fingerprints = ids.iter().map(|(print, id)| (*id, *print)).collect();
        Self {
            ids,
            fingerprints,
            first,
        }
    }

    /// What stands in front of the datum for readers with a registry, and the datum; none when the
    /// value is not under a schema that has an id here.
    pub fn to_registered<'v>(&self, value: &'v [u8]) -> Option<([u8; REGISTERED_BYTES], &'v [u8])> {
        let (&[0xC3, 0x01, ref print @ ..], datum) = value.split_first_chunk::<HEADER_BYTES>()?
        else {
            return None;
        };
        let id = self.ids.get(&u64::from_le_bytes(*print))?;
        let [a, b, c, d] = id.to_be_bytes();
        Some(([0, a, b, c, d], datum))
    }

    /// What stands in front of the datum for us, and the datum; none when the value has no
    /// registry's head, or one of a schema that is none of ours. An id of ours that this build does
    /// not know gives a fingerprint that it does not know: an upgrade is needed, not a dead letter.
    pub fn from_registered<'v>(&self, value: &'v [u8]) -> Option<([u8; HEADER_BYTES], &'v [u8])> {
        let (&[0, ref id @ ..], datum) = value.split_first_chunk::<REGISTERED_BYTES>()? else {
            return None;
        };
        let id = u32::from_be_bytes(*id);
        let known = self.fingerprints.get(&id).copied();
        let newer = || (id >= self.first).then_some(UNKNOWN | u64::from(id));
        let [a, b, c, d, e, f, g, h] = known.or_else(newer)?.to_le_bytes();
        Some(([0xC3, 0x01, a, b, c, d, e, f, g, h], datum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::SUBJECTS;

    fn framed(print: u64) -> Vec<u8> {
        [&[0xC3, 0x01], &print.to_le_bytes()[..], b"datum"].concat()
    }

    #[test]
    fn heads_are_exchanged_and_back() {
        for release in SchemaStore::released().releases() {
            let ours = framed(release.fingerprint());
            let (head, datum) = SchemaIds::fixed().to_registered(&ours).unwrap();
            assert_eq!((head[0], datum), (0, &b"datum"[..]));
            let id = u32::from_be_bytes(head[1..].try_into().unwrap());
            assert_eq!(id, schema_id(release.subject, release.version));
            let theirs = [&head, datum].concat();
            let (head, datum) = SchemaIds::fixed().from_registered(&theirs).unwrap();
            assert_eq!([&head, datum].concat(), ours);
        }
    }

    #[test]
    fn ids_are_those_that_were_released() {
        let ids = SUBJECTS.iter().map(|subject| schema_id(*subject, 1));
        let ids: Vec<u32> = ids.collect();
        let expected: Vec<u32> = (1..=21).map(|n| 1_000_000_001 + n * 1_000).collect();
        assert_eq!(ids, expected);
        assert_eq!(schema_id(Subject::MessageSent, 1), 1_000_001_001);
        assert_eq!(schema_id(Subject::DeadLetter, 1), 1_000_021_001);
        let longest = SUBJECTS.iter().map(|subject| subject.released().len());
        assert!(longest.max().unwrap() < VERSIONS_EACH as usize);
    }

    #[test]
    fn schema_of_a_newer_build_asks_for_an_upgrade_and_a_strangers_does_not() {
        let newer = [&[0], &1_000_001_999_u32.to_be_bytes()[..], b"datum"].concat();
        let stranger = [&[0], &17_u32.to_be_bytes()[..], b"datum"].concat();
        let fixed = SchemaIds::fixed();
        let (head, _) = fixed.from_registered(&newer).unwrap();
        let error = SchemaStore::released().open(&head).unwrap_err();
        assert!(error.is_unknown(), "{error}");
        assert!(fixed.from_registered(&stranger).is_none());
        let learnt = SchemaIds::learnt([(7, 16)]);
        let (head, _) = learnt.from_registered(&stranger).unwrap();
        assert!(
            SchemaStore::released()
                .open(&head)
                .unwrap_err()
                .is_unknown()
        );
    }

    #[test]
    fn learnt_ids_stand_in_the_head() {
        let print = SchemaStore::released().releases().next().unwrap();
        let learnt = SchemaIds::learnt([(print.fingerprint(), 16)]);
        let ours = framed(print.fingerprint());
        let (head, datum) = learnt.to_registered(&ours).unwrap();
        assert_eq!(head, [0, 0, 0, 0, 16]);
        let back = [&head, datum].concat();
        let (head, _) = learnt.from_registered(&back).unwrap();
        assert_eq!(head, ours[..10]);
    }

    #[test]
    fn what_has_no_head_is_passed_on() {
        let fixed = SchemaIds::fixed();
        for value in [&b""[..], b"\0", b"\0\0\0\0", b"\xC3\x01abc", b"plain text"] {
            assert!(fixed.to_registered(value).is_none(), "{value:?}");
            assert!(fixed.from_registered(value).is_none(), "{value:?}");
        }
    }
}
