//! One at a time: whoever changes tables holds a lease on a row that everybody knows.
//!
//! Two nodes of Cassandra that create one table at the same moment give it two ids, and rows are
//! lost. So processes that start together take turns. The table of the lock itself has an id made
//! of its name and is never dropped: creating it twice makes the same table.

use std::time::{Duration, Instant};

use infra_ports::store::StoreError;
use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::statement::{Consistency, Statement};
use sha2::{Digest as _, Sha256};

use crate::errors::unavailable;

/// How long one change of a table may take, until all nodes know of it.
pub(crate) const CHANGE_WITHIN: Duration = Duration::from_secs(30);
/// How long a lease holds after its last renewal: longer than [`FRESH`] and
/// a change.
const LEASE_S: i32 = 60;
/// How old a lease may be when a change begins, so that it outlasts the change.
const FRESH: Duration = Duration::from_secs(20);
/// How long to wait for somebody else's, at most: until it ends, and one turn more.
const TRIES: u32 = 600;
const PAUSE: Duration = Duration::from_millis(200);

/// A lease on the right to change tables. One that is not [given back](Self::give_back) ends by
/// itself.
pub(crate) struct Lock<'a> {
    session: &'a Session,
    table: String,
    owner: String,
    /// When it was last known to be ours.
    renewed: Instant,
}

impl<'a> Lock<'a> {
    /// Waits for the lease and takes it.
    pub(crate) async fn take(session: &'a Session, keyspace: &str) -> Result<Self, StoreError> {
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
            table,
            owner,
            renewed: Instant::now(),
        };
        for _ in 0..TRIES {
            if lock.tried().await {
                return Ok(lock);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(StoreError::Unavailable(format!(
            "somebody holds {} and does not give it back, or nobody answers",
            lock.table
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
            "INSERT INTO {} (name, owner) VALUES ('tables', ?) IF NOT EXISTS USING TTL {LEASE_S}",
            self.table
        );
        run(self.session.query_unpaged(ask, (&self.owner,)).await)
    }

    async fn is_held(&self) -> Result<bool, StoreError> {
        let owner = self.owner(Consistency::LocalSerial).await?;
        Ok(owner.as_ref() == Some(&self.owner))
    }

    /// Who has it, if anybody.
    async fn owner(&self, consistency: Consistency) -> Result<Option<String>, StoreError> {
        let look = format!("SELECT owner FROM {} WHERE name = 'tables'", self.table);
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
        if self.renewed.elapsed() < FRESH {
            return Ok(());
        }
        let now = Instant::now();
        let renew = format!(
            "UPDATE {} USING TTL {LEASE_S} SET owner = ? WHERE name = 'tables' IF owner = ?",
            self.table
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
            "DELETE FROM {} WHERE name = 'tables' IF owner = ?",
            self.table
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
