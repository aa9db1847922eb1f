//! Tables as they are and as the definitions have them: created, given the columns they lack, dropped.

use infra_ports::store::StoreError;
use schemas::position::Generation;
use schemas::tables::cql::{Statements, name_of};
use schemas::tables::{Column, ColumnRole, TableDef};
use scylla::client::session::Session;
use scylla::statement::Statement;

use crate::config::Config;
use crate::errors::{refusal, unavailable};
use crate::lock::{CHANGE_WITHIN, Lock};
use crate::prepared::exists;

/// A column as the servers know it: its table, its name, its kind, its type.
type Known = (String, String, String, String);

/// A change, and the table that it is of.
type Change = (&'static TableDef, String);

/// Creates the tables that lack, and adds the columns that tables lack. Columns that the definitions
/// do not know are left: a newer program may use them.
pub(crate) async fn create(
    session: &Session,
    config: &Config,
    tables: &[&'static TableDef],
    generation: Generation,
) -> Result<(), StoreError> {
    if lacking(session, config, tables, generation)
        .await?
        .is_empty()
    {
        return Ok(());
    }
    let lock = Lock::take(session, &config.keyspace).await?;
    // Looked at anew: somebody else may have been at it.
    let changes = lacking(session, config, tables, generation).await?;
    carry_out(session, lock, changes).await
}

/// Drops tables.
pub(crate) async fn drop(
    session: &Session,
    config: &Config,
    tables: &[&'static TableDef],
    generation: Generation,
) -> Result<(), StoreError> {
    let mut changes = Vec::new();
    for table in tables {
        if exists(session, &config.keyspace, table, generation).await? {
            let statements = Statements::new(table, &config.keyspace, generation);
            changes.push((*table, statements.drop()));
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let lock = Lock::take(session, &config.keyspace).await?;
    carry_out(session, lock, changes).await
}

/// Makes changes one after the other. Of one that fails nobody knows whether it still comes, so the
/// lock is then left to end by itself.
async fn carry_out(
    session: &Session,
    mut lock: Lock<&Session>,
    changes: Vec<Change>,
) -> Result<(), StoreError> {
    for (table, change) in changes {
        lock.renew().await?;
        let mut change = Statement::new(change);
        change.set_request_timeout(Some(CHANGE_WITHIN));
        let made = session.query_unpaged(change, ()).await;
        if let Err(error) = made {
            let Some(reason) = refusal(&error) else {
                return Err(unavailable(&error));
            };
            lock.give_back().await?;
            return Err(refused(table, reason));
        }
    }
    lock.give_back().await
}

/// The statements that bring the tables to their definitions.
async fn lacking(
    session: &Session,
    config: &Config,
    tables: &[&'static TableDef],
    generation: Generation,
) -> Result<Vec<Change>, StoreError> {
    let known = known(session, &config.keyspace).await?;
    let mut changes = Vec::new();
    for table in tables {
        let statements = Statements::new(table, &config.keyspace, generation);
        let name = name_of(table, generation);
        let has: Vec<&Known> = known.iter().filter(|(of, ..)| *of == name).collect();
        if has.is_empty() {
            let options = [config.compaction.option()];
            changes.push((*table, statements.create(&options)));
            continue;
        }
        for column in table.cols {
            if !is_there(table, column, &has)? {
                changes.push((*table, statements.add(column)));
            }
        }
    }
    Ok(changes)
}

/// True when a table has a column; false when it can be added.
fn is_there(table: &TableDef, column: &Column, has: &[&Known]) -> Result<bool, StoreError> {
    let wanted = match column.role {
        ColumnRole::Part => "partition_key",
        ColumnRole::Asc | ColumnRole::Desc => "clustering",
        ColumnRole::Value(_) => "regular",
    };
    let found = has.iter().find(|(_, name, ..)| name == column.name);
    match found {
        Some((.., kind, of)) if kind == wanted && of == column.cql.name() => Ok(true),
        Some((.., kind, of)) => Err(refused(
            table,
            format!(
                "column {} is {kind} {of}, not {wanted} {}",
                column.name,
                column.cql.name()
            ),
        )),
        None if wanted == "regular" => Ok(false),
        None => Err(refused(
            table,
            format!("the key has no column {}", column.name),
        )),
    }
}

fn refused(table: &TableDef, reason: String) -> StoreError {
    StoreError::Refused {
        table: table.name,
        reason,
    }
}

/// All columns of the keyspace.
async fn known(session: &Session, keyspace: &str) -> Result<Vec<Known>, StoreError> {
    let look = "SELECT table_name, column_name, kind, type FROM system_schema.columns \
                WHERE keyspace_name = ?";
    let found = session.query_unpaged(look, (keyspace,)).await;
    let found = found.map_err(|e| unavailable(&e))?.into_rows_result();
    let found = found.map_err(|e| unavailable(&e))?;
    let rows = found.rows::<Known>().map_err(|e| unavailable(&e))?;
    rows.collect::<Result<_, _>>().map_err(|e| unavailable(&e))
}
