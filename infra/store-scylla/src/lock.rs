//! One at a time: whoever changes tables, or claims another right that is one process's, holds a lease
//! on a row that everybody knows.
//!
//! Two nodes of Cassandra that create one table at the same moment give it two ids, and rows are
//! lost. So processes that start together take turns. The table of the lock itself has an id made
//! of its name and is never dropped: creating it twice makes the same table.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use infra_ports::store::StoreError;
use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::statement::{Consistency, Statement};
use sha2::{Digest as _, Sha256};

use crate::errors::unavailable;

/// How long one change of a table may take, until all nodes know of it.
pub(crate) const CHANGE_WITHIN: Duration = Duration::from_secs(30);
/// The right to change tables, with a lease that holds longer than [`FRESH`] and a change.
const TABLES: Right = Right {
    name: "tables",
    lease_s: 60,
};
/// How old a lease may be when a change begins, so that it outlasts the change.
const FRESH: Duration = Duration::from_secs(20);
/// How long to wait for somebody else's, at most: until it ends, and one turn more.
const TRIES: u32 = 600;
const PAUSE: Duration = Duration::from_millis(200);
/// How long a claim holds after its last renewal.
const CLAIM_S: u32 = 20;
/// How often a claim is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How often a claim is asked for: until that of somebody who is no more has ended, and a few turns.
const CLAIM_TRIES: u32 = 125;

/// What a lease is on, and how long it holds after its last renewal.
#[derive(Debug, Clone, Copy)]
struct Right {
    name: &'static str,
    lease_s: u32,
}

/// A lease on a right. One that is not [given back](Self::give_back) ends by itself.
pub(crate) struct Lock<S> {
    session: S,
    right: Right,
    table: String,
    owner: String,
    /// When it was last known to be ours.
    renewed: Instant,
}

/// The right of one process to do something of a name, at a time: held while it is
/// [kept](Self::keep).
pub struct Claim(Lock<Arc<Session>>);

impl Claim {
    /// Waits until nobody else has it, for as long as one outlives a process that is no more.
    pub(crate) async fn take(
        session: Arc<Session>,
        keyspace: &str,
        name: &'static str,
    ) -> Result<Self, StoreError> {
        let right = Right {
            name,
            lease_s: CLAIM_S,
        };
        Ok(Self(Lock::of(session, keyspace, right, CLAIM_TRIES).await?))
    }

    /// Renews it, until that fails for so long that somebody else may have it; answers why.
    ///
    /// Cancel safety: may be dropped at any time; it then ends by itself, unless it is kept again.
    pub async fn keep(&mut self) -> StoreError {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            if let Err(error) = self.0.renew_now().await {
                tracing::warn!(%error, "a claim is not renewed");
                if self.0.renewed.elapsed() + RENEW_EVERY >= Duration::from_secs(CLAIM_S.into()) {
                    return error;
                }
            }
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// When nobody answers; it then ends by itself.
    pub async fn give_back(self) -> Result<(), StoreError> {
        self.0.give_back().await
    }
}

impl<'a> Lock<&'a Session> {
    /// Waits for the right to change tables and takes it.
    pub(crate) async fn take(session: &'a Session, keyspace: &str) -> Result<Self, StoreError> {
        Self::of(session, keyspace, TABLES, TRIES).await
    }
}

impl<S: Deref<Target = Session> + Sync> Lock<S> {
    async fn of(session: S, keyspace: &str, right: Right, tries: u32) -> Result<Self, StoreError> {
        let table = format!("{keyspace}.schema_lock");
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {table} (name text PRIMARY KEY, owner text) WITH id = {}",
            id_of(&table)
        );
        let mut create = Statement::new(create);
        create.set_request_timeout(Some(CHANGE_WITHIN));
        run(session.query_unpaged(create, ()).await)?;
        let owner = format!("{:016x}", fastrand::u64(..));
        let mut lock = Self {
            session,
            right,
            table,
            owner,
            renewed: Instant::now(),
        };
        for _ in 0..tries {
            if lock.tried().await {
                return Ok(lock);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(StoreError::Unavailable(format!(
            "somebody holds the right to {:?} in {} and does not give it back, or nobody answers",
            lock.right.name, lock.table
        )))
    }

    /// Asks for the lease when nobody seems to have it. Whatever goes wrong is a no: many who ask at
    /// once are in each other's way.
    async fn tried(&mut self) -> bool {
        if !matches!(self.owner(Consistency::LocalQuorum).await, Ok(None)) {
            return false;
        }
        self.renewed = Instant::now();
        // An answer that got lost may have been a yes: it is looked up.
        let asked = self.ask().await;
        let held = self.is_held().await.unwrap_or(false);
        if !held && let Err(error) = asked {
            tracing::debug!(%error, "no lease on the tables yet");
        }
        held
    }

    async fn ask(&self) -> Result<(), StoreError> {
        let ask = format!(
            "INSERT INTO {} (name, owner) VALUES ('{}', ?) IF NOT EXISTS USING TTL {}",
            self.table, self.right.name, self.right.lease_s
        );
        run(self.session.query_unpaged(ask, (&self.owner,)).await)
    }

    async fn is_held(&self) -> Result<bool, StoreError> {
        let owner = self.owner(Consistency::LocalSerial).await?;
        Ok(owner.as_ref() == Some(&self.owner))
    }

    /// Who has it, if anybody.
    async fn owner(&self, consistency: Consistency) -> Result<Option<String>, StoreError> {
        let name = self.right.name;
        let look = format!("SELECT owner FROM {} WHERE name = '{name}'", self.table);
        let mut look = Statement::new(look);
        look.set_consistency(consistency);
        let found = self.session.query_unpaged(look, ()).await;
        let found = found.map_err(|e| unavailable(&e))?.into_rows_result();
        let found = found.map_err(|e| unavailable(&e))?;
        let owner: Option<(String,)> = found.maybe_first_row().map_err(|e| unavailable(&e))?;
        Ok(owner.map(|(owner,)| owner))
    }

    /// Makes the lease last long enough for one more change. Fails when it has ended.
    pub(crate) async fn renew(&mut self) -> Result<(), StoreError> {
        match self.renewed.elapsed() < FRESH {
            true => Ok(()),
            false => self.renew_now().await,
        }
    }

    async fn renew_now(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        let renew = format!(
            "UPDATE {} USING TTL {} SET owner = ? WHERE name = '{}' IF owner = ?",
            self.table, self.right.lease_s, self.right.name
        );
        let of = (&self.owner, &self.owner);
        run(self.session.query_unpaged(renew, of).await)?;
        if self.is_held().await? {
            self.renewed = now;
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "the lease on {} ended",
            self.table
        )))
    }

    /// Ends the lease.
    pub(crate) async fn give_back(self) -> Result<(), StoreError> {
        let end = format!(
            "DELETE FROM {} WHERE name = '{}' IF owner = ?",
            self.table, self.right.name
        );
        run(self.session.query_unpaged(end, (&self.owner,)).await)
    }
}

fn run<T>(answer: Result<T, ExecutionError>) -> Result<(), StoreError> {
    answer.map(drop).map_err(|e| unavailable(&e))
}

/// An id that whoever creates the table comes to.
fn id_of(table: &str) -> String {
    let mut id: String = Sha256::digest(table)
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    for dash in [20, 16, 12, 8] {
        id.insert(dash, '-');
    }
    id
}
