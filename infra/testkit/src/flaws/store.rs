//! A store that forgets, or that remembers in the wrong order.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use infra_ports::memory::store::{Around, AroundStore};
use infra_ports::{Mutation, Runtime, StoreError, TableStore};
use schemas::tables::{ChatStateRow, Table, decode_row};
use tokio::sync::mpsc;

use super::Flaw;

/// The kind under which the chats fold remembers verdicts in its state.
const VERDICT_KIND: &[u8] = b"verdict";
/// The kind of the row that says what the others add up to, in its last bytes.
const HEAD_KIND: &str = "head";
const SUM_BYTES: usize = 8;
/// How long rows are held back behind their checkpoint.
const LATE: Duration = Duration::from_millis(400);
/// Writes that may be held back at once.
const HELD: usize = 10_000;

/// A sound store behind a forgetful one.
pub type FlawedStore = AroundStore<Flawed>;

/// What is forgotten.
pub struct Flawed {
    flaw: Flaw,
    store: Arc<dyn TableStore>,
    held: mpsc::Sender<Vec<Mutation>>,
}

impl Flawed {
    /// Wraps a sound store.
    pub fn store(flaw: Flaw, store: Arc<dyn TableStore>, runtime: Arc<dyn Runtime>) -> FlawedStore {
        let (held, mut late) = mpsc::channel::<Vec<Mutation>>(HELD);
        let (inner, clock) = (Arc::clone(&store), Arc::clone(&runtime));
        let task = async move {
            while let Some(first) = late.recv().await {
                clock.sleep(LATE).await;
                let mut mutations = first;
                while let Ok(more) = late.try_recv() {
                    mutations.extend(more);
                }
                if let Err(error) = inner.write(mutations).await {
                    tracing::debug!(%error, "the late write failed, as it may");
                }
            }
        };
        runtime.spawn("late-rows", Box::pin(task));
        AroundStore(Self { flaw, store, held })
    }
}

/// Rows of the fold state that hold verdicts, not the head or members of a chat.
fn is_verdict(mutation: &Mutation) -> bool {
    mutation.table.name == "chat_states" && mutation.cluster.starts_with(VERDICT_KIND)
}

/// A fold state whose head does not say that anything lacks.
fn without_sum(mutation: Mutation) -> Mutation {
    let Some(values) = mutation
        .values
        .as_ref()
        .filter(|_| mutation.table.name == ChatStateRow::DEF.name)
    else {
        return mutation;
    };
    let row = decode_row::<ChatStateRow>(&mutation.partition, &mutation.cluster, values);
    match row {
        Ok(mut row) if row.kind == HEAD_KIND => {
            row.state
                .truncate(row.state.len().saturating_sub(SUM_BYTES));
            Mutation::put(mutation.generation, &row, mutation.version)
        }
        Ok(_) | Err(_) => mutation,
    }
}

/// The row of a chat's delivered and read counters, not the marks that they are counted from.
fn is_counter(mutation: &Mutation) -> bool {
    mutation.table.name == "status"
}

#[async_trait]
impl Around for Flawed {
    fn inner(&self) -> &dyn TableStore {
        &*self.store
    }

    async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError> {
        let mutations = if self.flaw == Flaw::NoDedupe {
            mutations.into_iter().map(without_sum).collect()
        } else {
            mutations
        };
        let is_left_out: Option<fn(&Mutation) -> bool> = if self.flaw == Flaw::NoDedupe {
            Some(is_verdict)
        } else if self.flaw == Flaw::Uncounted {
            Some(is_counter)
        } else {
            None
        };
        if let Some(is_left_out) = is_left_out {
            let kept = mutations.into_iter().filter(|m| !is_left_out(m)).collect();
            return self.store.write(kept).await;
        }
        let (early, late): (Vec<_>, Vec<_>) = mutations
            .into_iter()
            .partition(|m| m.table.name == "checkpoints");
        if !late.is_empty() && self.held.send(late).await.is_err() {
            return Err(StoreError::Closed);
        }
        self.store.write(early).await
    }
}
