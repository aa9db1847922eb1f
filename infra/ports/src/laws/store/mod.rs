//! The laws of the table store: what every adapter of [`TableStore`] keeps.
//!
//! A law gets a fresh place, opens the store there and looks at it through the port only. The laws
//! need no runtime: what runs at the same time is polled by the law itself.
//!
//! Not a law, because no store promises it: that mutations of *different* partitions come together.
//! What is checked of a write to many partitions is that each of them is whole.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a law that is broken fails loudly"
)]

mod life;
mod scans;
mod tables;
mod writes;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::{Generation, Ordinal, Seq, Timestamp, Version};
use schemas::tables::{HiddenRow, MarkRow, Table, TableDef, encode_row};

use crate::store::{Mutation, ScanRange, StoredRow, TableStore};

/// The builds that the laws use.
const ONE: Generation = Generation(1);
const TWO: Generation = Generation(2);

/// The tables that the laws use.
const TABLES: [&TableDef; 2] = [HiddenRow::DEF, MarkRow::DEF];

/// A place where a store lives.
#[async_trait]
pub trait StorePlace: Send + Sync {
    /// Opens the store. Called again only after the one before was closed or taken down.
    async fn open(&self) -> Arc<dyn TableStore>;

    /// Takes the open store down without closing it, as a killed process would. What was not synced
    /// may be lost or not.
    async fn crash(&self);
}

/// Runs all laws, each on a fresh place.
///
/// # Panics
/// When a law is broken.
pub async fn run<P: StorePlace>(fresh: impl AsyncFn() -> P) {
    writes::run(&fresh).await;
    scans::run(&fresh).await;
    tables::run(&fresh).await;
    life::run(&fresh).await;
}

/// Opens a fresh store with the tables of the laws.
async fn opened(place: &impl StorePlace) -> Arc<dyn TableStore> {
    let store = place.open().await;
    store.create_tables(&TABLES, ONE).await.unwrap();
    store
}

fn chat() -> ChatId {
    ChatId::new("d.ada.bob").unwrap()
}

/// A row of a partition of its own for each `user`, by `seq`.
fn hidden(user: &str, seq: u64, at: i64) -> HiddenRow {
    let user = UserId::new(user).unwrap();
    HiddenRow {
        user,
        chat: chat(),
        seq: Seq(seq),
        at: Timestamp(at),
    }
}

/// A row of one partition, by (`user`, `device`, `since`).
fn mark(user: &str, device: &str, since: u64) -> MarkRow {
    MarkRow {
        chat: chat(),
        user: UserId::new(user).unwrap(),
        device: DeviceId::new(device).unwrap(),
        since: Seq(since),
        delivered: Seq(since + 1),
        delivered_ordinal: Ordinal(1),
        read: Seq(0),
        read_ordinal: Ordinal(0),
    }
}

fn put<T: Table>(row: &T, version: u64) -> Mutation {
    Mutation::put(ONE, row, Version(version))
}

fn delete<T: Table>(row: &T, version: u64) -> Mutation {
    Mutation::delete::<T>(ONE, &row.key(), Version(version))
}

async fn write(store: &dyn TableStore, mutations: impl IntoIterator<Item = Mutation>) {
    store.write(mutations.into_iter().collect()).await.unwrap();
}

/// What the store holds under the key of a row: the row and its version.
async fn read<T: Table>(store: &dyn TableStore, row: &T) -> Option<(T, u64)> {
    let key = encode_row(row);
    let found = store
        .get(T::DEF, ONE, &key.partition, &key.cluster)
        .await
        .unwrap()?;
    assert_eq!(
        (&*found.partition, &*found.cluster),
        (&*key.partition, &*key.cluster)
    );
    Some((found.decode().unwrap(), found.version.0))
}

async fn scan<T: Table>(store: &dyn TableStore, of: &T, range: ScanRange) -> Vec<StoredRow> {
    let partition = encode_row(of).partition;
    store.scan(T::DEF, ONE, &partition, range).await.unwrap()
}

fn whole(limit: usize) -> ScanRange {
    ScanRange {
        limit,
        ..ScanRange::default()
    }
}

fn decoded<T: Table>(rows: &[StoredRow]) -> Vec<T> {
    rows.iter().map(|row| row.decode().unwrap()).collect()
}

/// Reads a whole table page by page.
async fn pages(store: &dyn TableStore, table: &'static TableDef, limit: usize) -> Vec<StoredRow> {
    let mut rows: Vec<StoredRow> = Vec::new();
    let mut after: Option<(Bytes, Bytes)> = None;
    loop {
        let page = store
            .scan_table(table, ONE, after.take(), limit)
            .await
            .unwrap();
        assert!(page.len() <= limit, "a page has at most {limit} rows");
        let Some(last) = page.last() else {
            return rows;
        };
        after = Some((last.partition.clone(), last.cluster.clone()));
        rows.extend(page);
    }
}
