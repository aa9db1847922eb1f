//! What a projection is to the engine: how to read a record, load a state, apply, write back.
//!
//! The pure part ([`Projection::apply`] and what it calls) decides; the engine carries out. A
//! projection does no I/O but in [`Projection::load`] and [`Projection::facts`], which only read.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use infra_ports::Record;
use infra_ports::log::{MAX_RECORD_BYTES, NewRecord};
use infra_ports::store::{Mutation, RowBuffer, ScanRange, StoreError, StoredRow, TableStore};
use schemas::avro::{DecodeError, EncodeError, LogEvent};
use schemas::events::UserEvent;
use schemas::ids::{ChatId, UserId};
use schemas::position::{Generation, Offset, Ordinal, Partition, Seq, Timestamp, Version};
use schemas::tables::{Table, TableDef};
use schemas::topics::Topic;

/// A fold with its tables, run by the engine.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    /// What a record is after decoding.
    type Event: Send + Sync;
    /// What a state is kept under.
    type Key: Clone + Eq + Ord + Hash + Send + Sync + 'static;
    /// What is known of a key; a pure function of the records applied so far.
    type State: Send + Sync + 'static;
    /// What an event needs to know beyond the state, immutable once it exists.
    type Want: Send + Sync;
    /// The answer to a want.
    type Facts: Send;

    /// The projection's name, in checkpoints, metrics and health.
    const NAME: &'static str;
    /// The name of the task that writes its rows.
    const WRITER: &'static str;
    /// The one topic its tables are made from.
    const ORIGIN: Topic;
    /// The topic whose offsets version its rows.
    const VERSIONED_BY: Topic = Self::ORIGIN;
    /// The longest value whose news can still be appended; a longer one becomes a dead letter.
    const MAX_VALUE_BYTES: usize = MAX_RECORD_BYTES;
    /// Whether [`Projection::settle`] does anything.
    const SETTLES: bool = false;

    /// Its tables.
    fn tables() -> &'static [&'static TableDef];

    /// Reads a record's value.
    ///
    /// # Errors
    /// Malformed: the record becomes a dead letter. Unknown: the projection stops.
    fn decode(&self, value: &Bytes) -> Result<Self::Event, DecodeError>;

    /// The text whose hash says in which partition the record belongs, if the topic has a key.
    fn routed_by<'a>(&self, event: &'a Self::Event) -> Option<&'a str>;

    /// The version of the rules that the event was written under.
    fn rules(&self, _event: &Self::Event) -> u32 {
        0
    }

    /// The keys of the states that the event concerns, each once.
    fn keys(&self, event: &Self::Event, into: &mut Vec<Self::Key>);

    /// The text whose hash says in which partition the records of a key stand.
    fn home_of<'a>(&self, key: &'a Self::Key) -> &'a str;

    /// Whether two events concern the very same keys, in the same order: then those of the second
    /// are not looked for again. False when that is not worth knowing.
    fn have_same_keys(&self, _one: &Self::Event, _other: &Self::Event) -> bool {
        false
    }

    /// The state of a key of which the tables have nothing.
    fn fresh(&self, key: &Self::Key) -> Self::State;

    /// Loads the state of a key from the tables; a new one when there is none.
    ///
    /// # Errors
    /// Those of the store.
    async fn load(&self, tables: &Tables, key: &Self::Key) -> Result<Self::State, StoreError>;

    /// What the event needs to know that neither it nor the state says.
    fn wants(&self, event: &Self::Event, state: &Self::State) -> Option<Self::Want>;

    /// Looks up what was wanted.
    ///
    /// # Errors
    /// Those of the store.
    async fn facts(&self, tables: &Tables, want: &Self::Want) -> Result<Self::Facts, StoreError>;

    /// Applies a record to the state of one of its keys. A record at or below the state's position
    /// changes nothing. Returns whether there is something to remember.
    fn apply(
        &self,
        place: &Place<'_>,
        event: &Self::Event,
        key: &Self::Key,
        state: &mut Self::State,
        facts: Option<Self::Facts>,
        effects: &mut Effects,
    ) -> bool;

    /// Called after each chunk for every key that was touched and is not handed over yet: for news
    /// that is told once a chunk, not once a record.
    fn settle(&self, _key: &Self::Key, _state: &mut Self::State, _effects: &mut Effects) {}

    /// How many rows of the state have to be written, together.
    fn unwritten(&self, _state: &Self::State) -> usize {
        1
    }

    /// Hands over what has to be written of a touched state.
    fn remember(&self, key: &Self::Key, state: &mut Self::State, memory: &mut Memory);

    /// How much room a state takes in the cache, in units of about a hundred bytes.
    fn weight(&self, state: &Self::State) -> usize;
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its partition.
    pub partition: Partition,
    /// The record as it stands in the log.
    pub record: &'a Record,
    /// Everything below this offset of the partition is written to the tables.
    pub written: Offset,
}

impl Place<'_> {
    /// The version of rows that this record makes.
    pub fn version(&self) -> Version {
        Version::from(self.record.offset)
    }
}

/// What applying leads to: records to append to `users`, and rows.
#[derive(Debug)]
pub struct Effects {
    /// Partitions of every topic.
    pub partitions: u32,
    /// The build of the tables.
    pub generation: Generation,
    told: BTreeMap<Partition, Vec<NewRecord>>,
    told_bytes: usize,
    rows: Vec<Mutation>,
    row_bytes: usize,
    buffer: RowBuffer,
    /// What entries are told of instead of users, where nobody is told anything: in a rebuild.
    silent: Option<Vec<Entry>>,
    pub(crate) failed: Option<EncodeError>,
}

/// An accepted event of a chat, and who is to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Partition of the chat.
    pub partition: Partition,
    /// Its record.
    pub origin: Offset,
    /// Who is told.
    pub recipients: Arc<[UserId]>,
    /// Which chat.
    pub chat: ChatId,
    /// Its place.
    pub seq: Seq,
    /// Countable messages up to it.
    pub ordinal: Ordinal,
    /// Chat time.
    pub at: Timestamp,
}

impl Effects {
    /// Nothing yet.
    pub fn new(partitions: u32, generation: Generation) -> Self {
        Self {
            partitions,
            generation,
            told: BTreeMap::new(),
            told_bytes: 0,
            rows: Vec::new(),
            row_bytes: 0,
            buffer: RowBuffer::default(),
            silent: None,
            failed: None,
        }
    }

    /// From now on users are told nothing.
    pub(crate) fn be_silent(&mut self) {
        self.silent.get_or_insert_default();
    }

    /// Where entries go when users are told nothing.
    pub(crate) fn silently(&mut self) -> Option<&mut Vec<Entry>> {
        self.silent.as_mut()
    }

    /// The entries since the last time, in the order of their records.
    pub(crate) fn take_entries(&mut self) -> Vec<Entry> {
        self.silent.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Tells the users of a partition.
    pub fn tell(&mut self, partition: Partition, event: &UserEvent, at: Timestamp) {
        if self.silent.is_some() {
            return;
        }
        match event.encode() {
            Ok(value) => {
                self.told_bytes += value.len();
                let key = Bytes::new();
                let record = NewRecord { key, value, at };
                self.told.entry(partition).or_default().push(record);
            }
            Err(error) => self.failed = Some(error),
        }
    }

    /// Puts a row.
    pub fn put<T: Table>(&mut self, row: &T, version: Version) {
        let row = self.buffer.put(self.generation, row, version);
        self.row_bytes += row.size_bytes();
        self.rows.push(row);
    }

    /// What users are told, by partition, since the last time.
    pub(crate) fn take_told(&mut self) -> Vec<(Partition, Vec<NewRecord>)> {
        self.told_bytes = 0;
        std::mem::take(&mut self.told).into_iter().collect()
    }

    pub(crate) fn told_bytes(&self) -> usize {
        self.told_bytes
    }

    pub(crate) fn take_rows(&mut self) -> Vec<Mutation> {
        self.row_bytes = 0;
        std::mem::take(&mut self.rows)
    }

    pub(crate) fn row_bytes(&self) -> usize {
        self.row_bytes
    }
}

/// What has to be written of the states touched since the last time.
#[derive(Debug)]
pub struct Memory {
    /// The build of the tables.
    pub generation: Generation,
    pub(crate) rows: Vec<Mutation>,
    pub(crate) states: Vec<Vec<Mutation>>,
    buffer: RowBuffer,
}

impl Memory {
    pub(crate) fn new(generation: Generation) -> Self {
        Self {
            generation,
            rows: Vec::new(),
            states: Vec::new(),
            buffer: RowBuffer::default(),
        }
    }

    /// Puts a row, before any state.
    pub fn put<T: Table>(&mut self, row: &T, version: Version) {
        let row = self.buffer.put(self.generation, row, version);
        self.rows.push(row);
    }

    /// Adds the batch of one state, whose rows share a partition: written last, all or nothing.
    pub fn state(&mut self, put: impl FnOnce(&mut StateBatch<'_>)) {
        let mut batch = StateBatch {
            generation: self.generation,
            buffer: &mut self.buffer,
            rows: Vec::new(),
        };
        put(&mut batch);
        let rows = batch.rows;
        self.states.push(rows);
    }
}

/// The rows of one state.
#[derive(Debug)]
pub struct StateBatch<'a> {
    generation: Generation,
    buffer: &'a mut RowBuffer,
    rows: Vec<Mutation>,
}

impl StateBatch<'_> {
    /// Puts a row of the state.
    pub fn put<T: Table>(&mut self, row: &T, version: Version) {
        let row = self.buffer.put(self.generation, row, version);
        self.rows.push(row);
    }
}

/// One build of a projection's tables, for reading.
#[derive(Clone)]
pub struct Tables {
    /// The store.
    pub store: Arc<dyn TableStore>,
    /// The build.
    pub generation: Generation,
    /// Rows that one read asks for at most.
    pub rows_per_read: usize,
}

impl Tables {
    /// A row with its version.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn get<T: Table>(&self, key: &T::Key) -> Result<Option<(T, Version)>, StoreError> {
        let (partition, cluster) = schemas::tables::encode_key::<T>(key);
        let row = self
            .store
            .get(T::DEF, self.generation, &partition, &cluster)
            .await?;
        let typed = row.map(|row| row.decode().map(|typed| (typed, row.version)));
        typed.transpose()
    }

    /// All rows of a partition with their versions, as they were at one moment, whoever else writes. What is
    /// written together stands in the partition with one newest version.
    ///
    /// Of several replicas each page is of one moment only: of a batch that one of them has, and that nobody
    /// was told of, one page may show its part and another not; so may a page of what was read alone
    /// before. Who needs more than pages must see it in the rows.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn whole<T: Table>(
        &self,
        partition: &T::Partition,
    ) -> Result<Vec<(T, Version)>, StoreError> {
        let newest = |rows: &[(T, Version)]| rows.iter().map(|(_, version)| *version).max();
        let mut rows = self.scan::<T>(partition).await?;
        // One page is of one moment. Between two another instance may write; what was seen of its
        // batch is whole the next time.
        while rows.len() >= self.rows_per_read {
            let again = self.scan::<T>(partition).await?;
            let same = newest(&again) == newest(&rows);
            rows = again;
            if same {
                break;
            }
        }
        Ok(rows)
    }

    /// All rows of a partition with their versions, page by page: not one moment's picture.
    async fn scan<T: Table>(
        &self,
        partition: &T::Partition,
    ) -> Result<Vec<(T, Version)>, StoreError> {
        let partition = schemas::tables::encode_partition::<T>(partition);
        let limit = self.rows_per_read.max(1);
        let mut rows = Vec::new();
        let mut after = None;
        loop {
            let range = ScanRange {
                prefix: Bytes::new(),
                after: after.take(),
                reverse: false,
                limit,
            };
            let store = &self.store;
            let page: Vec<StoredRow> = store
                .scan(T::DEF, self.generation, &partition, range)
                .await?;
            for row in &page {
                rows.push((row.decode()?, row.version));
            }
            match page.last() {
                Some(last) if page.len() == limit => after = Some(last.cluster.clone()),
                Some(_) | None => return Ok(rows),
            }
        }
    }
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tables")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
