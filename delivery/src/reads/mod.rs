//! Every read: rows of the live generation joined into answers, for frames and HTTP alike.
//!
//! One file a read; what joins is a pure function, what reads is thin. Only who is or was a member
//! may read, and sees the union of their stays. Answers are as new as the tables. Nothing here
//! writes or waits for a projection.

mod access;
mod chat_list;
mod history;
mod inbox;
mod members;
mod status;
mod timeline;

pub(crate) use inbox::DeviceView;
pub(crate) use timeline::MAX_AUTHORS;

use std::sync::Arc;

use bytes::Bytes;
use infra_ports::{ScanRange, StoreError, StoredRow, TableStore, TableStoreExt};
use schemas::avro::LogEvent;
use schemas::errors::{Code, Refusal};
use schemas::events::ChatEvent;
use schemas::frames::MAX_BATCH;
use schemas::position::Generation;
use schemas::tables::{Table, encode_partition};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::generation::LiveGeneration;

/// Bytes of events after which a page ends, full or not. As JSON they may be six times as many, and
/// an answer must fit into an outbox that is half full.
const PAGE_BYTES: usize = 256 * 1024;
/// Pages of events, and chat lists, that are read at once in one process: a store cannot end a page after so
/// many bytes, so each may take 6.5 MB until it is cut, and a list is as long as its user's chats are many.
/// Others wait for their turn.
const PAGES_AT_ONCE: usize = 64;
/// Rows read at once where all of a partition are wanted.
const CHUNK: usize = 1_000;

/// Every read. A clone reads the same tables.
#[derive(Clone)]
pub struct Reads {
    store: Arc<dyn TableStore>,
    live: LiveGeneration,
    pages: Arc<Semaphore>,
}

impl Reads {
    /// Reads from the live generation of a store.
    pub fn new(store: Arc<dyn TableStore>, live: LiveGeneration) -> Self {
        Self {
            store,
            live,
            pages: Arc::new(Semaphore::new(PAGES_AT_ONCE)),
        }
    }

    /// How many may be read at once now.
    #[cfg(test)]
    pub(crate) fn turns_left(&self) -> usize {
        self.pages.available_permits()
    }

    /// Waits for a place among what is read at once; held until the page is cut.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        let turn = self.pages.acquire().await;
        turn.map_err(|_| Refusal::plain(Code::ShuttingDown))
    }

    fn generation(&self) -> Result<Generation, StoreError> {
        let unknown = || StoreError::Unavailable("which tables are live is not known yet".into());
        self.live.get().ok_or_else(unknown)
    }

    async fn row<T: Table>(&self, key: &T::Key) -> Result<Option<T>, StoreError> {
        self.store.get_row::<T>(self.generation()?, key).await
    }

    async fn rows<T: Table>(
        &self,
        partition: &T::Partition,
        range: ScanRange,
    ) -> Result<Vec<T>, StoreError> {
        self.store
            .scan_rows::<T>(self.generation()?, partition, range)
            .await
    }

    /// Goes through all rows of a partition whose clustering key begins with `prefix`, a chunk in memory at a
    /// time.
    async fn each<T: Table>(
        &self,
        partition: &T::Partition,
        prefix: Bytes,
        mut take: impl FnMut(StoredRow) -> Result<(), StoreError> + Send,
    ) -> Result<(), StoreError> {
        let generation = self.generation()?;
        let partition = encode_partition::<T>(partition);
        let mut after = None;
        loop {
            let range = ScanRange {
                prefix: prefix.clone(),
                after,
                reverse: false,
                limit: CHUNK,
            };
            let chunk = self
                .store
                .scan(T::DEF, generation, &partition, range)
                .await?;
            let is_last = chunk.len() < CHUNK;
            after = chunk.last().map(|row| row.cluster.clone());
            chunk.into_iter().try_for_each(&mut take)?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// All rows of a partition whose clustering key begins with `prefix` and that are `wanted`.
    async fn rows_of<T: Table>(
        &self,
        partition: &T::Partition,
        prefix: Bytes,
        mut wanted: impl FnMut(&T) -> bool + Send,
    ) -> Result<Vec<T>, StoreError> {
        let mut rows = Vec::new();
        let take = |stored: StoredRow| {
            rows.extend(Some(stored.decode()?).filter(&mut wanted));
            Ok(())
        };
        self.each::<T>(partition, prefix, take).await?;
        Ok(rows)
    }

    async fn all_rows<T: Table>(
        &self,
        partition: &T::Partition,
        prefix: Bytes,
    ) -> Result<Vec<T>, StoreError> {
        self.rows_of(partition, prefix, |_| true).await
    }
}

/// What a client is told when the store does not answer.
fn unavailable(error: &StoreError) -> Refusal {
    if error.is_retryable() {
        tracing::warn!(%error, "the store does not answer a read");
        return Refusal::plain(Code::Unavailable);
    }
    if matches!(error, StoreError::Closed) {
        return Refusal::plain(Code::ShuttingDown);
    }
    tracing::error!(%error, "the store cannot answer a read");
    Refusal::plain(Code::Internal)
}

/// An event that a row keeps. One of a newer build can be read elsewhere already, and here after an
/// upgrade: so it is asked for again.
fn event_of(bytes: &[u8]) -> Result<ChatEvent, Refusal> {
    ChatEvent::decode(bytes).map_err(|error| {
        if error.is_unknown() {
            tracing::error!(%error, "a row's event is of a newer build: upgrade this one");
            let reason = "an upgrade of this server is under way; ask again";
            return Refusal::new(Code::Unavailable, reason);
        }
        tracing::error!(%error, "a row's event cannot be read");
        Refusal::plain(Code::Internal)
    })
}

/// How many are asked for.
fn page_size(asked: Option<u32>, otherwise: usize) -> Result<usize, Refusal> {
    match asked.map(usize::try_from) {
        None => Ok(otherwise),
        Some(Ok(limit)) if (1..=MAX_BATCH).contains(&limit) => Ok(limit),
        Some(_) => Err(Refusal::new(Code::InvalidField, "limit: 1 to 100")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_of_a_newer_build_is_asked_for_again_and_a_broken_one_is_not() {
        let newer = [&[0xC3, 0x01], &[0xFF; 8][..], b"datum"].concat();
        assert_eq!(event_of(&newer).unwrap_err().code, Code::Unavailable);
        assert_eq!(event_of(b"broken").unwrap_err().code, Code::Internal);
    }
}
