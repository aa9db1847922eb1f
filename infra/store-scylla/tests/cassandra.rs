//! The store on a real Cassandra, one for all tests: the laws of the port, and what is Cassandra's own.
//!
//! Whoever stalls or kills the server has it alone; all others share it.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests may fail loudly"
)]

#[path = "cassandra/laws.rs"]
mod laws;
#[path = "cassandra/tables.rs"]
mod tables;
#[path = "cassandra/troubles.rs"]
mod troubles;
#[path = "cassandra/versions.rs"]
mod versions;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use infra_ports::TableStore;
use infra_ports::store::{Mutation, StoredRow};
use infra_servers::Servers;
use infra_store_scylla::{Config, ScyllaStore};
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::{Generation, Ordinal, Seq, Version};
use schemas::tables::{MarkRow, Table, TableDef};
use tokio::sync::RwLock;

const ONE: Generation = Generation(1);

/// Cassandra, for as long as the tests run.
static SERVERS: LazyLock<RwLock<Servers>> =
    LazyLock::new(|| RwLock::new(Servers::start(&["cassandra"]).unwrap()));
static PLACES: AtomicU32 = AtomicU32::new(0);

/// Settings of a store in a keyspace of its own.
fn fresh(servers: &Servers) -> Config {
    let n = PLACES.fetch_add(1, Ordering::Relaxed);
    Config {
        contact_points: servers.cassandra().to_owned(),
        keyspace: format!("test{n}"),
        replicas: 1,
        answer_within: Duration::from_secs(30),
        ..Config::default()
    }
}

/// A store with these tables.
async fn with(config: &Config, tables: &[&'static TableDef]) -> ScyllaStore {
    let store = ScyllaStore::connect(config.clone()).await.unwrap();
    store.create_tables(tables, ONE).await.unwrap();
    store
}

/// A row whose columns all say by which write it came.
fn mark(chat: &str, since: u64, version: u64) -> MarkRow {
    MarkRow {
        chat: ChatId::new(format!("d.{chat}.z")).unwrap(),
        user: UserId::new("z").unwrap(),
        device: DeviceId::new("phone").unwrap(),
        since: Seq(since),
        delivered: Seq(version),
        delivered_ordinal: Ordinal(version),
        read: Seq(version),
        read_ordinal: Ordinal(version),
    }
}

fn put(row: &MarkRow, version: u64) -> Mutation {
    Mutation::put(ONE, row, Version(version))
}

/// All rows of a table, and each of one write only.
async fn marks(store: &dyn TableStore) -> Vec<(MarkRow, u64)> {
    let rows = all(store, MarkRow::DEF).await;
    let whole = |row: &StoredRow| {
        let (mark, version) = (row.decode::<MarkRow>().unwrap(), row.version.0);
        let columns = [
            mark.delivered.0,
            mark.delivered_ordinal.0,
            mark.read.0,
            mark.read_ordinal.0,
        ];
        assert_eq!(columns, [version; 4], "a row is of one write");
        (mark, version)
    };
    rows.iter().map(whole).collect()
}

/// All rows of a table, in a store's own order.
async fn all(store: &dyn TableStore, table: &'static TableDef) -> Vec<StoredRow> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = store.scan_table(table, ONE, after, 1_000).await.unwrap();
        let Some(last) = page.last() else {
            return rows;
        };
        after = Some((last.partition.clone(), last.cluster.clone()));
        rows.extend(page);
    }
}
