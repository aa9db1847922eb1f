//! Prepared statements of the builds in use, made when a build is first asked for.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use infra_ports::store::{Mutation, StoreError};
use parking_lot::RwLock;
use schemas::position::Generation;
use schemas::tables::cql::{Range, Statements, name_of};
use schemas::tables::{CqlType, TableDef};
use scylla::client::session::Session;
use scylla::cluster::metadata::{ColumnType, NativeType};
use scylla::statement::prepared::PreparedStatement;

use crate::errors::{refused_to_prepare, unavailable};

/// The statements of one build of a table.
pub(crate) struct Prepared {
    pub(crate) table: &'static TableDef,
    insert: PreparedStatement,
    delete: PreparedStatement,
    pub(crate) get: PreparedStatement,
    statements: Statements,
    scans: RwLock<HashMap<Scan, PreparedStatement>>,
}

/// What a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scan {
    /// A range of a partition.
    Partition(Range),
    /// Partitions, from the beginning.
    Table,
    /// Partitions behind one.
    TableBehind,
}

/// As folds read their states.
const WHOLE_PARTITION: Scan = Scan::Partition(Range {
    prefix: 0,
    after: 0,
    reverse: false,
});

/// All builds in use.
#[derive(Default)]
pub(crate) struct Builds(RwLock<HashMap<(&'static str, Generation), Arc<Prepared>>>);

impl Builds {
    /// The statements of a build.
    pub(crate) async fn of(
        &self,
        session: &Session,
        keyspace: &str,
        table: &'static TableDef,
        generation: Generation,
    ) -> Result<Arc<Prepared>, StoreError> {
        if let Some(known) = self.0.read().get(&(table.name, generation)) {
            return Ok(Arc::clone(known));
        }
        let prepared = Prepared::new(session, keyspace, table, generation).await;
        let prepared = match prepared {
            Err(StoreError::Refused { .. })
                if !exists(session, keyspace, table, generation).await? =>
            {
                return Err(StoreError::UnknownTable {
                    table: table.name,
                    generation,
                });
            }
            other => Arc::new(other?),
        };
        let mut builds = self.0.write();
        let kept = builds.entry((table.name, generation)).or_insert(prepared);
        Ok(Arc::clone(kept))
    }

    /// Has the statements of a build at hand, so that whoever takes up partitions does not wait for them
    /// while nobody folds these.
    pub(crate) async fn prepare(
        &self,
        session: &Session,
        keyspace: &str,
        tables: &[&'static TableDef],
        generation: Generation,
    ) -> Result<(), StoreError> {
        let builds = tables
            .iter()
            .map(|table| self.of(session, keyspace, table, generation));
        let builds = try_join_all(builds).await?;
        let scans = builds
            .iter()
            .map(|build| build.scan(session, WHOLE_PARTITION));
        try_join_all(scans).await.map(drop)
    }

    /// Forgets a build that was dropped or changed.
    pub(crate) fn forget(&self, table: &TableDef, generation: Generation) {
        self.0.write().remove(&(table.name, generation));
    }
}

impl Prepared {
    async fn new(
        session: &Session,
        keyspace: &str,
        table: &'static TableDef,
        generation: Generation,
    ) -> Result<Self, StoreError> {
        let statements = Statements::new(table, keyspace, generation);
        let insert = prepare(session, table, statements.insert()).await?;
        check(table, &insert)?;
        Ok(Self {
            table,
            delete: prepare(session, table, statements.delete()).await?,
            get: prepare(session, table, statements.get()).await?,
            insert,
            statements,
            scans: RwLock::default(),
        })
    }

    /// The statement that writes or deletes a row.
    pub(crate) fn write(&self, mutation: &Mutation) -> &PreparedStatement {
        match mutation.values {
            Some(_) => &self.insert,
            None => &self.delete,
        }
    }

    /// The statement of a scan.
    pub(crate) async fn scan(
        &self,
        session: &Session,
        scan: Scan,
    ) -> Result<PreparedStatement, StoreError> {
        if let Some(known) = self.scans.read().get(&scan) {
            return Ok(known.clone());
        }
        let text = match scan {
            Scan::Partition(range) => self.statements.scan(range),
            Scan::Table => self.statements.scan_table(false),
            Scan::TableBehind => self.statements.scan_table(true),
        };
        let prepared = prepare(session, self.table, text).await?;
        self.scans.write().insert(scan, prepared.clone());
        Ok(prepared)
    }
}

/// Prepares a statement, all of which may be sent again: writes bear their own timestamps.
async fn prepare(
    session: &Session,
    table: &TableDef,
    statement: String,
) -> Result<PreparedStatement, StoreError> {
    let prepared = session.prepare(statement).await;
    let mut prepared = prepared.map_err(|error| match refused_to_prepare(&error) {
        Some(reason) => StoreError::Refused {
            table: table.name,
            reason,
        },
        None => unavailable(&error),
    })?;
    prepared.set_is_idempotent(true);
    // Statements name their columns, so what they answer does not change with the table.
    prepared.set_use_cached_result_metadata(true);
    Ok(prepared)
}

/// Compares the columns' types with the definition, once and for all writes to come.
fn check(table: &'static TableDef, insert: &PreparedStatement) -> Result<(), StoreError> {
    let bound = insert.get_variable_col_specs();
    for (column, spec) in table.cols.iter().zip(bound.iter()) {
        if *spec.typ() != ColumnType::Native(native(column.cql)) {
            return Err(StoreError::Refused {
                table: table.name,
                reason: format!("column {} is no {}", column.name, column.cql.name()),
            });
        }
    }
    Ok(())
}

fn native(cql: CqlType) -> NativeType {
    match cql {
        CqlType::Text => NativeType::Text,
        CqlType::Blob => NativeType::Blob,
        CqlType::Bigint => NativeType::BigInt,
        CqlType::Int => NativeType::Int,
        CqlType::Boolean => NativeType::Boolean,
        CqlType::Timestamp => NativeType::Timestamp,
    }
}

/// True when the servers know the build.
pub(crate) async fn exists(
    session: &Session,
    keyspace: &str,
    table: &TableDef,
    generation: Generation,
) -> Result<bool, StoreError> {
    let look =
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?";
    let of = (keyspace, name_of(table, generation));
    let found = session.query_unpaged(look, of).await;
    let found = found.map_err(|e| unavailable(&e))?.into_rows_result();
    Ok(found.map_err(|e| unavailable(&e))?.rows_num() > 0)
}
