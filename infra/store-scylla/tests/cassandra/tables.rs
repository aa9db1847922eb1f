//! Tables: made by several at once, given columns, refused; and writes of any size.

use bytes::Bytes;
use futures_util::future::join_all;
use infra_ports::TableStore;
use infra_ports::store::{Mutation, StoreError};
use infra_store_scylla::{Config, ScyllaStore};
use schemas::position::{Generation, Version};
use schemas::tables::{
    Column, ColumnRole, CqlType, HiddenRow, InboxRow, MarkRow, MessageRow, Table, TableDef,
};

use super::{ONE, SERVERS, all, fresh, mark, marks, put, with};

const NAME: Column = column("name", CqlType::Text, ColumnRole::Part);
const FIRST: Column = column("first", CqlType::Blob, ColumnRole::Value(1));
const SECOND: Column = column("second", CqlType::Blob, ColumnRole::Value(2));
const OTHER: Column = column("first", CqlType::Bigint, ColumnRole::Value(1));

/// A table, what a later version made of it, and what nobody may.
static BEFORE: TableDef = table(&[NAME, FIRST]);
static AFTER: TableDef = table(&[NAME, FIRST, SECOND]);
static NEVER: TableDef = table(&[NAME, OTHER]);

const fn column(name: &'static str, cql: CqlType, role: ColumnRole) -> Column {
    Column { name, cql, role }
}

const fn table(cols: &'static [Column]) -> TableDef {
    TableDef {
        name: "grown",
        cols,
    }
}

fn write(table: &'static TableDef, values: &[u8], version: u64) -> Mutation {
    Mutation {
        table,
        generation: ONE,
        partition: Bytes::from_static(b"a\0\x01"),
        cluster: Bytes::new(),
        values: Some(Bytes::copy_from_slice(values)),
        version: Version(version),
    }
}

async fn values(store: &ScyllaStore, table: &'static TableDef) -> Bytes {
    let row = store.get(table, ONE, b"a\0\x01", &[]).await.unwrap();
    row.unwrap().values
}

#[tokio::test]
async fn nodes_that_start_at_once_make_the_same_tables() {
    let servers = SERVERS.read().await;
    let config = fresh(&servers);
    let tables = [MarkRow::DEF, HiddenRow::DEF, InboxRow::DEF, MessageRow::DEF];
    let start = |n: u64| {
        let config = config.clone();
        async move {
            let store = with(&config, &tables).await;
            store.write(vec![put(&mark("a", n, 1), 1)]).await.unwrap();
            store
        }
    };
    let stores = join_all((1..=4).map(start)).await;
    for store in &stores {
        assert_eq!(marks(store).await.len(), 4, "each sees what all wrote");
    }
}

#[tokio::test]
async fn two_versions_of_a_table_work_side_by_side() {
    let servers = SERVERS.read().await;
    let config: Config = fresh(&servers);
    let old = with(&config, &[&BEFORE]).await;
    old.write(vec![write(&BEFORE, b"\x01\x01x", 1)])
        .await
        .unwrap();
    let new = with(&config, &[&AFTER]).await;
    assert_eq!(values(&new, &AFTER).await, b"\x01\x01x".as_slice());
    new.write(vec![write(&AFTER, b"\x01\x01y\x02\x01z", 2)])
        .await
        .unwrap();
    assert_eq!(values(&new, &AFTER).await, b"\x01\x01y\x02\x01z".as_slice());
    assert_eq!(values(&old, &BEFORE).await, b"\x01\x01y".as_slice());
    // Who does not know a column leaves it alone.
    old.write(vec![write(&BEFORE, b"\x01\x01w", 3)])
        .await
        .unwrap();
    old.create_tables(&[&BEFORE], ONE).await.unwrap();
    assert_eq!(values(&new, &AFTER).await, b"\x01\x01w\x02\x01z".as_slice());
}

#[tokio::test]
async fn a_table_of_other_columns_is_refused() {
    let servers = SERVERS.read().await;
    let config = fresh(&servers);
    let store = with(&config, &[&BEFORE]).await;
    let other = ScyllaStore::connect(config).await.unwrap();
    let refused = other.create_tables(&[&NEVER], ONE).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused}");
    let wire = [[1, 8].as_slice(), &[0; 8]].concat();
    let refused = other
        .write(vec![write(&NEVER, &wire, 1)])
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused}");
    assert!(all(&store, &BEFORE).await.is_empty());
}

#[tokio::test]
async fn a_build_that_somebody_else_dropped_is_unknown() {
    let servers = SERVERS.read().await;
    let config = fresh(&servers);
    let (mine, theirs) = (
        with(&config, &[&BEFORE]).await,
        with(&config, &[&BEFORE]).await,
    );
    mine.write(vec![write(&BEFORE, b"\x01\x01x", 9)])
        .await
        .unwrap();
    theirs.drop_tables(&[&BEFORE], ONE).await.unwrap();
    let unknown = |error: &StoreError| {
        matches!(
            error,
            StoreError::UnknownTable {
                generation: Generation(1),
                ..
            }
        )
    };
    let refused = mine
        .write(vec![write(&BEFORE, b"\x01\x01x", 9)])
        .await
        .unwrap_err();
    assert!(unknown(&refused), "{refused}");
    let refused = mine.get(&BEFORE, ONE, b"a\0\x01", &[]).await.unwrap_err();
    assert!(unknown(&refused), "{refused}");
    theirs.create_tables(&[&BEFORE], ONE).await.unwrap();
    mine.write(vec![write(&BEFORE, b"\x01\x01x", 1)])
        .await
        .unwrap();
    assert_eq!(values(&theirs, &BEFORE).await, b"\x01\x01x".as_slice());
}

#[tokio::test]
async fn a_partition_takes_more_than_a_server_takes_at_once() {
    let servers = SERVERS.read().await;
    let store = with(&fresh(&servers), &[&LARGE]).await;
    // 20 MiB in one call: Cassandra takes half a commit log segment, 16.
    let row = |at: u8| Mutation {
        table: &LARGE,
        generation: ONE,
        partition: Bytes::from_static(b"a\0\x01"),
        cluster: vec![0x80, 0, 0, at].into(),
        values: Some(
            [[1, 0x80, 0x80, 0x40].as_slice(), &vec![at; 1 << 20]]
                .concat()
                .into(),
        ),
        version: Version(1),
    };
    store.write((0..20).map(row).collect()).await.unwrap();
    let rows = all(&store, &LARGE).await;
    assert_eq!(rows.len(), 20);
    assert!(
        rows.iter()
            .zip(0..)
            .all(|(found, at)| found.values == row(at).values.unwrap())
    );
}

static LARGE: TableDef = TableDef {
    name: "large",
    cols: &[NAME, column("at", CqlType::Int, ColumnRole::Asc), FIRST],
};
