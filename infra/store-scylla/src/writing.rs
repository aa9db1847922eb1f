//! Writes: one unlogged batch for each partition of a call, side by side.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use infra_ports::store::{MAX_TOGETHER_BYTES, Mutation, StoreError, supersedes};
use scylla::errors::ExecutionError;
use scylla::statement::batch::{Batch, BatchStatement, BatchType};

use crate::binding::BoundMutation;
use crate::prepared::Prepared;
use crate::store::ScyllaStore;

/// Statements that a batch may have: the protocol counts them with 16 bits.
const MAX_STATEMENTS: usize = 65_535;

impl ScyllaStore {
    /// Writes mutations: all their tables are looked at before the first is sent.
    pub(crate) async fn write_all(&self, mut mutations: Vec<Mutation>) -> Result<(), StoreError> {
        settle(&mut mutations);
        let mut sent = Vec::new();
        for of_build in mutations.chunk_by(of_one_build) {
            let [first, ..] = of_build else { continue };
            let build = self.build(first.table, first.generation).await?;
            for of_partition in of_build.chunk_by(in_one_partition) {
                for part in parts(of_partition) {
                    sent.push(self.send(Arc::clone(&build), part));
                }
            }
        }
        stream::iter(sent)
            .buffer_unordered(self.writes_at_once())
            .try_collect::<()>()
            .await
    }

    /// Sends mutations of one partition, when it is their turn.
    async fn send(&self, build: Arc<Prepared>, mutations: &[Mutation]) -> Result<(), StoreError> {
        let [first, rest @ ..] = mutations else {
            return Ok(());
        };
        let _turn = self.turn().await?;
        let session = self.session().await?;
        let sent: Result<_, ExecutionError> = if rest.is_empty() {
            let one = BoundMutation(first);
            session.execute_unpaged(build.write(first), one).await
        } else {
            let statements = mutations.iter().map(|of| build.write(of).clone());
            let statements = statements.map(BatchStatement::PreparedStatement).collect();
            let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
            batch.set_is_idempotent(true);
            let values: Vec<_> = mutations.iter().map(BoundMutation).collect();
            session.batch(&batch, values).await
        };
        match sent {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(&error, first.table, first.generation).await),
        }
    }
}

/// Brings mutations of one partition together, and leaves of those of one key the one that counts:
/// two writes with one timestamp would be settled column by column.
fn settle(mutations: &mut Vec<Mutation>) {
    mutations.sort_by(|a, b| {
        let table = a.table.name.cmp(b.table.name);
        let build = table.then_with(|| a.generation.cmp(&b.generation));
        let partition = build.then_with(|| a.partition.cmp(&b.partition));
        partition.then_with(|| a.cluster.cmp(&b.cluster))
    });
    mutations.dedup_by(|later, kept| {
        let same = in_one_partition(later, kept) && later.cluster == kept.cluster;
        let deletes = |of: &Mutation| of.values.is_none();
        if same && supersedes(later.version, deletes(later), kept.version, deletes(kept)) {
            std::mem::swap(later, kept);
        }
        same
    });
}

fn of_one_build(a: &Mutation, b: &Mutation) -> bool {
    a.table.name == b.table.name && a.generation == b.generation
}

fn in_one_partition(a: &Mutation, b: &Mutation) -> bool {
    of_one_build(a, b) && a.partition == b.partition
}

/// What of a partition travels together: all, as far as the port promises that.
fn parts(mutations: &[Mutation]) -> Vec<&[Mutation]> {
    let (mut parts, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (place, mutation) in mutations.iter().enumerate() {
        let more = mutation.size_bytes();
        if bytes + more > MAX_TOGETHER_BYTES || place - begin == MAX_STATEMENTS {
            parts.extend(mutations.get(begin..place));
            (begin, bytes) = (place, 0);
        }
        bytes += more;
    }
    parts.extend(mutations.get(begin..));
    parts.retain(|part| !part.is_empty());
    parts
}
