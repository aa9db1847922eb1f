//! Which schema bytes were written under: by fingerprint, among all that were ever released.
//!
//! Data is decoded with its *writer's* schema; what that schema lacks, the serde defaults of the
//! Rust record supply, and what it has too much is skipped. So a schema default and the serde
//! default of the same field must be equal, which a test holds them to.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde_avro_fast::Schema;
use serde_avro_fast::de::read::SliceRead;
use serde_avro_fast::de::{DeserializerConfig, DeserializerState};

use super::{DecodeError, MAX_EVENT_BYTES, Malformed, SUBJECTS, Subject};

/// Bytes before the datum.
pub(super) const HEADER_BYTES: usize = 10;

/// A schema that events were written under.
#[derive(Debug)]
pub struct Release {
    /// Of which event type.
    pub subject: Subject,
    /// From 1.
    pub version: u32,
    pub(super) schema: Schema,
}

impl Release {
    /// CRC-64-AVRO of the schema's parsing canonical form, as it stands little-endian in a frame.
    pub fn fingerprint(&self) -> u64 {
        u64::from_le_bytes(*self.schema.rabin_fingerprint())
    }

    /// Reads one datum, which must end where the bytes end.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`], never a panic, and never more memory than a small multiple of
    /// the bytes.
    pub fn read<T: DeserializeOwned>(&self, datum: &[u8]) -> Result<T, DecodeError> {
        let mut config = DeserializerConfig::new(&self.schema);
        config.max_seq_size = MAX_EVENT_BYTES;
        let mut state = DeserializerState::with_config(SliceRead::new(datum), config);
        let value = T::deserialize(state.deserializer()).map_err(|e| Malformed::Datum {
            subject: self.subject.name(),
            reason: e.to_string(),
        })?;
        // What is left of bytes in memory can be looked at without an error.
        match state.into_reader().fill_buf().map_or(0, <[u8]>::len) {
            0 => Ok(value),
            left_bytes => Err(Malformed::Trailing {
                subject: self.subject.name(),
                left_bytes,
            }
            .into()),
        }
    }
}

/// A schema text that is none, or that clashes with another.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Not an Avro schema.
    #[error("version {version} of {subject} is no schema: {reason}")]
    Unreadable {
        /// Of which event type.
        subject: Subject,
        /// From 1.
        version: u32,
        /// What the parser says.
        reason: String,
    },
    /// Two releases have the same canonical form, so bytes would not say which they are of.
    #[error("version {version} of {subject} has the fingerprint of another release")]
    Clash {
        /// Of which event type.
        subject: Subject,
        /// From 1.
        version: u32,
    },
}

/// Released schemas by fingerprint.
#[derive(Debug, Default)]
pub struct SchemaStore {
    releases: HashMap<u64, Release, ahash::RandomState>,
}

static RELEASED: OnceLock<SchemaStore> = OnceLock::new();

fn of_this_build() -> SchemaStore {
    SchemaStore::of_releases().expect("released schemas are parsed by the tests of this crate")
}

impl SchemaStore {
    /// The store of all that this build knows, made once.
    pub fn released() -> &'static Self {
        RELEASED.get_or_init(of_this_build)
    }

    /// Has this process know these schemas in the place of the released ones, as a build of a later time
    /// would: for tests of platforms that are rolled from one build to the next.
    ///
    /// # Errors
    /// Gives the store back when schemas were asked for already: to be called before anything is read
    /// or written.
    #[cfg(feature = "later-schemas")]
    pub fn release(self) -> Result<(), Self> {
        RELEASED.set(self)
    }

    /// A store of every released version.
    ///
    /// # Errors
    /// When a schema text of this build is no schema, or two are the same.
    pub fn of_releases() -> Result<Self, StoreError> {
        let mut store = Self::default();
        for subject in SUBJECTS {
            for (version, json) in (1..).zip(subject.released()) {
                store.add(*subject, version, json)?;
            }
        }
        Ok(store)
    }

    /// Every release that is known, in no particular order.
    pub fn releases(&self) -> impl Iterator<Item = &Release> {
        self.releases.values()
    }

    /// Adds a version, as a reader with a schema registry at hand would.
    ///
    /// # Errors
    /// When the text is no schema, or has the fingerprint of one that is there.
    pub fn add(&mut self, subject: Subject, version: u32, json: &str) -> Result<(), StoreError> {
        let schema = json.parse::<Schema>().map_err(|e| StoreError::Unreadable {
            subject,
            version,
            reason: e.to_string(),
        })?;
        let release = Release {
            subject,
            version,
            schema,
        };
        match self.releases.insert(release.fingerprint(), release) {
            None => Ok(()),
            Some(_) => Err(StoreError::Clash { subject, version }),
        }
    }

    /// Opens a frame: the release that the datum was written under, and the datum.
    ///
    /// # Errors
    /// [`DecodeError::UnknownSchema`] when the fingerprint is none of ours, else
    /// [`DecodeError::Malformed`].
    pub fn open<'b>(&self, bytes: &'b [u8]) -> Result<(&Release, &'b [u8]), DecodeError> {
        if bytes.len() > MAX_EVENT_BYTES {
            let size_bytes = bytes.len();
            return Err(Malformed::TooLarge { size_bytes }.into());
        }
        let Some((&[0xC3, 0x01, ref fingerprint @ ..], datum)) =
            bytes.split_first_chunk::<HEADER_BYTES>()
        else {
            return Err(Malformed::Frame.into());
        };
        let fingerprint = u64::from_le_bytes(*fingerprint);
        match self.releases.get(&fingerprint) {
            Some(release) => Ok((release, datum)),
            None => Err(DecodeError::UnknownSchema { fingerprint }),
        }
    }
}
