//! What a store of typed CQL columns needs of a definition: statements, and rows column by column.
//!
//! The generation is in the table's name (`messages_g1`). Every write bears the row's version as its
//! `USING TIMESTAMP`, so older never overwrites newer; columns are bound as CQL wire bytes in the
//! order of the definition, as [`walk_row`] takes them out of an encoded row and [`row_of`] puts them
//! back. Prepared once and used for ever: nothing here is on the message path.

use super::column::{Column, ColumnRole, RowError, TableDef};
use super::row::{EncodedRow, find, key_error};
use super::{key, value};
use crate::position::Generation;

/// Hands the CQL wire bytes of each column of an encoded row to `take`, in the order of the
/// definition. None is a column to leave unset (the row was written before the column was added),
/// never a null.
///
/// # Errors
/// When the bytes are not those of a row of this table; columns may have been handed over by then.
pub fn walk_row(
    def: &TableDef,
    partition: &[u8],
    cluster: &[u8],
    mut values: &[u8],
    mut take: impl FnMut(Option<&[u8]>),
) -> Result<(), RowError> {
    walk_key(def, partition, cluster, |wire| take(Some(wire)))?;
    for column in def.values() {
        if let ColumnRole::Value(tag) = column.role {
            take(find(&mut values, tag).ok_or(RowError::Short(column.name))?);
        }
    }
    Ok(())
}

/// Hands the CQL wire bytes of each column of an encoded key to `take`, in the order of the
/// definition.
///
/// # Errors
/// When the bytes are not those of a key of this table; columns may have been handed over by then.
pub fn walk_key(
    def: &TableDef,
    partition: &[u8],
    cluster: &[u8],
    mut take: impl FnMut(&[u8]),
) -> Result<(), RowError> {
    walk_partition(def, partition, &mut take)?;
    let given = walk_prefix(def, cluster, take)?;
    let wanted = def.cluster().count();
    if given == wanted {
        Ok(())
    } else {
        Err(RowError::Columns { given, wanted })
    }
}

/// Hands the CQL wire bytes of each column of an encoded partition key to `take`.
///
/// # Errors
/// As [`walk_key`].
pub fn walk_partition(
    def: &TableDef,
    mut partition: &[u8],
    mut take: impl FnMut(&[u8]),
) -> Result<(), RowError> {
    let mut wire = Vec::with_capacity(partition.len());
    for column in def.partition() {
        key_column(column, &mut partition, &mut wire)?;
        take(&wire);
    }
    if partition.is_empty() {
        Ok(())
    } else {
        Err(RowError::Trailing)
    }
}

/// Hands each whole column in the beginning of a clustering key to `take`, as the `prefix` or the
/// `after` of a scan may be, and says how many there are.
///
/// # Errors
/// When the bytes do not end where a column does.
pub fn walk_prefix(
    def: &TableDef,
    mut prefix: &[u8],
    mut take: impl FnMut(&[u8]),
) -> Result<usize, RowError> {
    let (mut given, mut wire) = (0, Vec::with_capacity(prefix.len()));
    for column in def.cluster() {
        if prefix.is_empty() {
            break;
        }
        key_column(column, &mut prefix, &mut wire)?;
        take(&wire);
        given += 1;
    }
    if prefix.is_empty() {
        Ok(given)
    } else {
        Err(RowError::Trailing)
    }
}

/// Takes one column off the front, in place of what `wire` holds.
fn key_column(column: &Column, bytes: &mut &[u8], wire: &mut Vec<u8>) -> Result<(), RowError> {
    wire.clear();
    key::take(column.cql, column.role, bytes, wire).map_err(|e| key_error(column, &e))
}

/// Puts a row together from its columns, in the order of the definition.
///
/// # Errors
/// When there are not as many as the table has, or one of the key is missing.
pub fn row_of(def: &TableDef, cells: &[Option<&[u8]>]) -> Result<EncodedRow, RowError> {
    if cells.len() != def.cols.len() {
        return Err(RowError::Columns {
            given: cells.len(),
            wanted: def.cols.len(),
        });
    }
    let mut row = EncodedRow::default();
    for (column, cell) in def.cols.iter().zip(cells) {
        let key = match column.role {
            ColumnRole::Value(tag) => {
                if let Some(wire) = cell {
                    value::put(tag, wire, &mut row.values);
                }
                continue;
            }
            ColumnRole::Part => &mut row.partition,
            ColumnRole::Asc | ColumnRole::Desc => &mut row.cluster,
        };
        let wire = cell.ok_or(RowError::Missing(column.name))?;
        key::put(column.cql, column.role, wire, key);
    }
    Ok(row)
}

/// Which rows of a partition a statement is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Range {
    /// Leading clustering columns that are given.
    pub prefix: usize,
    /// Leading clustering columns of the place that the scan begins after, those of the prefix
    /// counted; 0 begins at the end.
    pub after: usize,
    /// From the last key to the first.
    pub reverse: bool,
}

/// The statements of one build of a table.
#[derive(Debug, Clone)]
pub struct Statements {
    def: &'static TableDef,
    /// With the keyspace.
    table: String,
}

/// The name of a build of a table, in its keyspace.
pub fn name_of(def: &TableDef, generation: Generation) -> String {
    format!("{}_g{generation}", def.name)
}

impl Statements {
    /// Those of a table in a keyspace.
    pub fn new(def: &'static TableDef, keyspace: &str, generation: Generation) -> Self {
        let table = format!("{keyspace}.{}", name_of(def, generation));
        Self { def, table }
    }

    /// Creates the table, if it does not exist, with options as CQL writes them (`name = value`).
    pub fn create(&self, options: &[&str]) -> String {
        let columns = list(self.def.cols, |c| format!("{} {}", c.name, c.cql.name()));
        let cluster: Vec<_> = self.def.cluster().collect();
        let mut key = format!("({})", list(self.def.partition(), |c| c.name.into()));
        let mut with = Vec::new();
        if !cluster.is_empty() {
            key = format!("{key}, {}", list(cluster.clone(), |c| c.name.into()));
            let by = list(cluster, |c| format!("{} {}", c.name, direction(c)));
            with.push(format!("CLUSTERING ORDER BY ({by})"));
        }
        with.extend(options.iter().map(ToString::to_string));
        let mut with = with.join(" AND ");
        if !with.is_empty() {
            with.insert_str(0, " WITH ");
        }
        let table = &self.table;
        format!("CREATE TABLE IF NOT EXISTS {table} ({columns}, PRIMARY KEY ({key})){with}")
    }

    /// Adds a column that the table was created without.
    pub fn add(&self, column: &Column) -> String {
        let (name, kind) = (column.name, column.cql.name());
        format!("ALTER TABLE {} ADD {name} {kind}", self.table)
    }

    /// Drops the table, if it exists.
    pub fn drop(&self) -> String {
        format!("DROP TABLE IF EXISTS {}", self.table)
    }

    /// Writes a row: binds all columns, then the version.
    pub fn insert(&self) -> String {
        let names = list(self.def.cols, |c| c.name.into());
        let marks = list(self.def.cols, |_| "?".into());
        let table = &self.table;
        format!("INSERT INTO {table} ({names}) VALUES ({marks}) USING TIMESTAMP ?")
    }

    /// Deletes a row: binds the version, then the key's columns.
    pub fn delete(&self) -> String {
        let key = self.key();
        format!("DELETE FROM {} USING TIMESTAMP ? WHERE {key}", self.table)
    }

    /// Reads a row: binds the key's columns.
    pub fn get(&self) -> String {
        format!("{} WHERE {}", self.select(), self.key())
    }

    /// Reads rows of one partition: binds the partition key's columns, those of the prefix, those of
    /// `after` that come behind the prefix, and the limit.
    ///
    /// Behind a whole key rows begin after it. Behind the beginning of one, ordered bytes put every
    /// key that begins so *after* it: going forward those are in, going back they are out. The
    /// clustering columns behind the prefix must all have one direction.
    pub fn scan(&self, range: Range) -> String {
        let cluster: Vec<_> = self.def.cluster().collect();
        let mut wheres: Vec<String> = self.def.partition().map(equals).collect();
        wheres.extend(cluster.iter().take(range.prefix).map(|c| equals(c)));
        let behind = cluster.iter().skip(range.prefix);
        let after: Vec<_> = behind
            .take(range.after.saturating_sub(range.prefix))
            .collect();
        if let Some(first) = after.first() {
            let falling = first.role == ColumnRole::Desc;
            let whole = range.after >= cluster.len();
            let operator = match (falling == range.reverse, whole || range.reverse) {
                (true, true) => ">",
                (true, false) => ">=",
                (false, true) => "<",
                (false, false) => "<=",
            };
            let names = list(after.iter().copied().copied(), |c| c.name.into());
            let marks = list(after.iter().copied().copied(), |_| "?".into());
            wheres.push(format!("({names}) {operator} ({marks})"));
        }
        let wheres = wheres.join(" AND ");
        let order = if range.reverse && !cluster.is_empty() {
            let opposite = |c: &Column| if direction(c) == "ASC" { "DESC" } else { "ASC" };
            let by = list(cluster, |c| format!("{} {}", c.name, opposite(c)));
            format!(" ORDER BY {by}")
        } else {
            String::new()
        };
        format!("{} WHERE {wheres}{order} LIMIT ?", self.select())
    }

    /// Reads rows of the partitions behind one, in the order of their tokens: binds that partition
    /// key's columns, when there is one, and the limit.
    pub fn scan_table(&self, after: bool) -> String {
        let names = list(self.def.partition(), |c| c.name.into());
        let marks = list(self.def.partition(), |_| "?".into());
        let wheres = if after {
            format!(" WHERE token({names}) > token({marks})")
        } else {
            String::new()
        };
        format!("{}{wheres} LIMIT ?", self.select())
    }

    /// All columns in the order of the definition, then the version.
    fn select(&self) -> String {
        let names = list(self.def.cols, |c| c.name.into());
        let version = self.def.values().next().map_or("", |c| c.name);
        format!("SELECT {names}, WRITETIME({version}) FROM {}", self.table)
    }

    fn key(&self) -> String {
        let key = self.def.partition().chain(self.def.cluster());
        key.map(equals).collect::<Vec<_>>().join(" AND ")
    }
}

fn equals(column: &Column) -> String {
    format!("{} = ?", column.name)
}

fn direction(column: &Column) -> &'static str {
    match column.role {
        ColumnRole::Desc => "DESC",
        ColumnRole::Part | ColumnRole::Asc | ColumnRole::Value(_) => "ASC",
    }
}

fn list<'a>(
    columns: impl IntoIterator<Item = &'a Column>,
    show: impl Fn(&Column) -> String,
) -> String {
    let shown: Vec<String> = columns.into_iter().map(show).collect();
    shown.join(", ")
}
