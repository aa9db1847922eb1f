//! The rows that projectors write, taken down on their way into the store, so that the bare store
//! loop can write the very same rows in the same batches from as many threads, without a fold.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use infra_ports::memory::store::{Around, AroundStore};
use infra_ports::{Mutation, StoreError, TableStore};
use parking_lot::Mutex;

/// The batches that one thread wrote, in its order.
pub(super) type Batches = Vec<Vec<Mutation>>;

/// Keeps a copy of every batch on its way into a store.
pub(super) struct Recorder {
    inner: Arc<dyn TableStore>,
    written: Mutex<HashMap<ThreadId, Batches>>,
}

impl Recorder {
    /// In front of this store.
    pub(super) fn before(inner: Arc<dyn TableStore>) -> Arc<AroundStore<Self>> {
        Arc::new(AroundStore(Self {
            inner,
            written: Mutex::default(),
        }))
    }

    /// What was written so far, by the thread that wrote it.
    pub(super) fn take(&self) -> Recording {
        let written = std::mem::take(&mut *self.written.lock());
        Recording(written.into_values().collect())
    }
}

#[async_trait]
impl Around for Recorder {
    fn inner(&self) -> &dyn TableStore {
        &*self.inner
    }

    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError> {
        let (copy, writer) = (mutations.clone(), std::thread::current().id());
        self.written.lock().entry(writer).or_default().push(copy);
        self.inner.write(mutations).await
    }
}

/// Rows to be written again.
#[derive(Default)]
pub(super) struct Recording(Vec<Batches>);

impl Recording {
    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.0.iter().flatten().map(Vec::len).sum()
    }

    /// What each thread wrote, in its order.
    pub(super) fn lists(&self) -> &[Batches] {
        &self.0
    }

    /// Writes all of it, a thread for each that wrote it first, and returns how long it took.
    pub(super) async fn write(&self, store: &Arc<dyn TableStore>) -> anyhow::Result<Duration> {
        let lists = self.0.clone();
        let runtime = tokio::runtime::Handle::current();
        let begun = Instant::now();
        let threads = lists.into_iter().map(|batches| {
            let (store, runtime) = (Arc::clone(store), runtime.clone());
            tokio::task::spawn_blocking(move || {
                runtime.block_on(async {
                    for batch in batches {
                        store.write(batch).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
        });
        let threads: Vec<_> = threads.collect();
        for thread in threads {
            thread.await??;
        }
        Ok(begun.elapsed())
    }
}
