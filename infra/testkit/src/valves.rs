//! Valves: places on the way of a message that a test shuts and opens again, as adapters wrapped
//! around sound ones. What is shut does not fail and says nothing; it just no longer goes on, as a
//! disk that hangs or a reader that is never woken.

use std::sync::Arc;

use async_trait::async_trait;
use infra_node::node::Adapters;
use infra_ports::log::NewRecord;
use infra_ports::memory::log::{self, AroundLog};
use infra_ports::memory::store::{Around, AroundStore};
use infra_ports::{
    EventLog, LogError, LogTail, Mutation, Record, RecordBatch, StoreError, TableStore, Visibility,
};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;
use tokio::sync::watch;

/// Where a message can be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nowhere.
    Nowhere,
    /// Tails of this topic are not woken any more: what is durable of it, or what is appended.
    Tail(Topic, Visibility),
    /// No append and no sync is answered: the committer waits for its disk.
    Commits,
    /// No row is written.
    Rows,
    /// Appends of commands are refused: there is no room.
    Room,
    /// Nothing is read from the log, by whomever.
    Reads,
    /// No append and no sync is taken any more: a write failed before.
    Poisoned,
}

/// One shut place at most.
#[derive(Debug, Clone)]
pub struct Valves(Arc<watch::Sender<Place>>);

impl Default for Valves {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Place::Nowhere)))
    }
}

impl Valves {
    /// Shuts a place, and opens the one that was shut before.
    pub fn shut(&self, place: Place) {
        self.0.send_replace(place);
    }

    /// Opens what is shut.
    pub fn open(&self) {
        self.shut(Place::Nowhere);
    }

    /// The same adapters, with valves.
    #[must_use]
    pub fn around(&self, adapters: Adapters) -> Adapters {
        let (log, store) = (Arc::clone(&adapters.log), Arc::clone(&adapters.store));
        Adapters {
            log: Arc::new(AroundLog(ValvedLog(self.clone(), log))),
            store: Arc::new(AroundStore(ValvedStore(self.clone(), store))),
            ..adapters
        }
    }

    fn is_shut(&self, place: Place) -> bool {
        *self.0.borrow() == place
    }

    fn fail_if_poisoned(&self) -> Result<(), LogError> {
        match self.is_shut(Place::Poisoned) {
            true => Err(LogError::Poisoned("a valve is shut".into())),
            false => Ok(()),
        }
    }

    /// Waits until a place is open, or is shut.
    async fn until(&self, place: Place, shut: bool) {
        let mut states = self.0.subscribe();
        // The sender is held here, so waiting cannot fail.
        drop(states.wait_for(|now| (*now == place) == shut).await);
    }
}

struct ValvedLog(Valves, Arc<dyn EventLog>);

struct ValvedTail {
    valves: Valves,
    place: Place,
    tail: Box<dyn LogTail>,
}

#[async_trait]
impl LogTail for ValvedTail {
    async fn next(&mut self, max_records: usize) -> Result<Vec<RecordBatch>, LogError> {
        loop {
            self.valves.until(self.place, false).await;
            self.valves.until(Place::Reads, false).await;
            tokio::select! {
                biased;
                () = self.valves.until(self.place, true) => {}
                () = self.valves.until(Place::Reads, true) => {}
                read = self.tail.next(max_records) => return read,
            }
        }
    }

    fn change(
        &mut self,
        gained: &[(Partition, Offset)],
        lost: &[Partition],
    ) -> Result<(), LogError> {
        self.tail.change(gained, lost)
    }
}

#[async_trait]
impl log::Around for ValvedLog {
    fn inner(&self) -> &dyn EventLog {
        &*self.1
    }

    async fn append(
        &self,
        topic: Topic,
        partition: Partition,
        records: Vec<NewRecord>,
    ) -> Result<Offset, LogError> {
        let offsets = self.append_all(topic, vec![(partition, records)]).await?;
        Ok(offsets.first().copied().unwrap_or_default())
    }

    async fn append_all(
        &self,
        topic: Topic,
        batches: Vec<(Partition, Vec<NewRecord>)>,
    ) -> Result<Vec<Offset>, LogError> {
        if self.0.is_shut(Place::Room) && topic == Topic::Chats {
            return Err(LogError::Full("a valve is shut".into()));
        }
        self.0.fail_if_poisoned()?;
        self.0.until(Place::Commits, false).await;
        self.1.append_all(topic, batches).await
    }

    async fn sync(&self, topic: Topic) -> Result<(), LogError> {
        self.0.fail_if_poisoned()?;
        self.0.until(Place::Commits, false).await;
        self.1.sync(topic).await
    }

    async fn read(
        &self,
        topic: Topic,
        partition: Partition,
        from: Offset,
        max_records: usize,
        visibility: Visibility,
    ) -> Result<Vec<Record>, LogError> {
        self.0.until(Place::Reads, false).await;
        self.1
            .read(topic, partition, from, max_records, visibility)
            .await
    }

    async fn tail(
        &self,
        topic: Topic,
        from: Vec<(Partition, Offset)>,
        visibility: Visibility,
    ) -> Result<Box<dyn LogTail>, LogError> {
        let tail = self.1.tail(topic, from, visibility).await?;
        let (valves, place) = (self.0.clone(), Place::Tail(topic, visibility));
        Ok(Box::new(ValvedTail {
            valves,
            place,
            tail,
        }))
    }
}

struct ValvedStore(Valves, Arc<dyn TableStore>);

#[async_trait]
impl Around for ValvedStore {
    fn inner(&self) -> &dyn TableStore {
        &*self.1
    }

    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError> {
        self.0.until(Place::Rows, false).await;
        self.1.write(mutations).await
    }
}
