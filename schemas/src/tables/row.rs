//! Typed rows from and to bytes: the codec that every store shares.

use super::column::{Column, ColumnRole, ColumnType, RowError, TableDef};
use super::define::{ColSink, ColSource, Cols, Table};
use super::{key, value};

/// A row as bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedRow {
    /// Ordered bytes of the partition key.
    pub partition: Vec<u8>,
    /// Ordered bytes of the clustering key; empty when the table has none.
    pub cluster: Vec<u8>,
    /// Tagged values.
    pub values: Vec<u8>,
}

impl ColSink for EncodedRow {
    fn column<T: ColumnType>(&mut self, column: &Column, value: &T) {
        value.wire(|wire| match column.role {
            ColumnRole::Part => key::put(T::CQL, column.role, wire, &mut self.partition),
            ColumnRole::Asc | ColumnRole::Desc => {
                key::put(T::CQL, column.role, wire, &mut self.cluster);
            }
            ColumnRole::Value(tag) => value::put(tag, wire, &mut self.values),
        });
    }
}

/// A row appended to bytes as a whole: partition key, clustering key, values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedRow {
    /// Where the partition key ends.
    pub partition_end: usize,
    /// Where the clustering key ends; the values reach to the end of the bytes.
    pub key_end: usize,
}

/// Columns come in the order partition key, clustering key, values, as definitions have them.
struct Packer<'a> {
    out: &'a mut Vec<u8>,
    ends: PackedRow,
}

impl ColSink for Packer<'_> {
    fn column<T: ColumnType>(&mut self, column: &Column, value: &T) {
        value.wire(|wire| match column.role {
            ColumnRole::Part | ColumnRole::Asc | ColumnRole::Desc => {
                key::put(T::CQL, column.role, wire, self.out);
                self.ends.key_end = self.out.len();
                if column.role == ColumnRole::Part {
                    self.ends.partition_end = self.out.len();
                }
            }
            ColumnRole::Value(tag) => value::put(tag, wire, self.out),
        });
    }
}

/// Appends the bytes of a row, those of [`encode_row`] one after the other, and says where they end.
pub fn pack_row<T: Table>(row: &T, out: &mut Vec<u8>) -> PackedRow {
    let end = out.len();
    let ends = PackedRow {
        partition_end: end,
        key_end: end,
    };
    let mut packer = Packer { out, ends };
    row.put(&mut packer);
    packer.ends
}

/// Bytes of a row. The same row has the same bytes, always.
pub fn encode_row<T: Table>(row: &T) -> EncodedRow {
    encode(row)
}

/// Ordered bytes of a key: of its partition key and of its clustering key.
pub fn encode_key<T: Table>(key: &T::Key) -> (Vec<u8>, Vec<u8>) {
    let encoded = encode(key);
    (encoded.partition, encoded.cluster)
}

/// Ordered bytes of a partition key.
pub fn encode_partition<T: Table>(partition: &T::Partition) -> Vec<u8> {
    encode(partition).partition
}

/// Splits a whole key, written as one (partition key, then clustering key), where the partition key
/// ends.
///
/// # Errors
/// [`RowError::Short`] when the bytes end before it does.
pub fn split_key<'a>(def: &TableDef, key: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), RowError> {
    let mut cluster = key;
    for column in def.partition() {
        let (_, rest) = key::length(column.cql, column.role, cluster)
            .and_then(|length| cluster.split_at_checked(length))
            .ok_or(RowError::Short(column.name))?;
        cluster = rest;
    }
    let end = key.len() - cluster.len();
    key.split_at_checked(end).ok_or(RowError::Trailing)
}

impl TableDef {
    /// Where a column of the key ends, counted over partition key and clustering key; none when no
    /// such column is in it, or the bytes are not those of a key.
    pub fn end_of(&self, name: &str, partition: &[u8], cluster: &[u8]) -> Option<usize> {
        let (mut end, mut bytes) = (0, partition);
        for column in self.cols {
            match column.role {
                ColumnRole::Part => {}
                ColumnRole::Asc | ColumnRole::Desc if end == partition.len() => bytes = cluster,
                ColumnRole::Asc | ColumnRole::Desc => {}
                ColumnRole::Value(_) => return None,
            }
            let length = key::length(column.cql, column.role, bytes)?;
            bytes = bytes.get(length..)?;
            end += length;
            if column.name == name {
                return Some(end);
            }
        }
        None
    }
}

/// Ordered bytes of the clustering keys that begin with the first `columns` clustering columns of
/// this key; what else stands in the key does not matter.
pub fn encode_cluster_prefix<T: Table>(key: &T::Key, columns: usize) -> Vec<u8> {
    let mut prefix = Prefix {
        columns,
        cluster: Vec::new(),
    };
    key.put(&mut prefix);
    prefix.cluster
}

fn encode<C: Cols>(cols: &C) -> EncodedRow {
    let mut encoded = EncodedRow::default();
    cols.put(&mut encoded);
    encoded
}

struct Prefix {
    columns: usize,
    cluster: Vec<u8>,
}

impl ColSink for Prefix {
    fn column<T: ColumnType>(&mut self, column: &Column, value: &T) {
        if column.role.is_cluster() && self.columns > 0 {
            self.columns -= 1;
            value.wire(|wire| key::put(T::CQL, column.role, wire, &mut self.cluster));
        }
    }
}

/// Takes bytes apart into a row. Value columns this definition does not know are skipped.
///
/// # Errors
/// When the bytes are not those of a row of this table.
pub fn decode_row<T: Table>(
    partition: &[u8],
    cluster: &[u8],
    values: &[u8],
) -> Result<T, RowError> {
    let mut reader = Reader {
        partition,
        cluster,
        values,
    };
    let row = T::take(&mut reader)?;
    reader.finish(row)
}

/// Takes the bytes of a key apart.
///
/// # Errors
/// When the bytes are not those of a key of this table.
pub fn decode_key<T: Table>(partition: &[u8], cluster: &[u8]) -> Result<T::Key, RowError> {
    let mut reader = Reader {
        partition,
        cluster,
        values: &[],
    };
    let key = T::Key::take(&mut reader)?;
    reader.finish(key)
}

struct Reader<'a> {
    partition: &'a [u8],
    cluster: &'a [u8],
    values: &'a [u8],
}

impl Reader<'_> {
    fn finish<T>(mut self, taken: T) -> Result<T, RowError> {
        while !self.values.is_empty() {
            // Columns of a later definition: whole, but not ours.
            value::take(&mut self.values).ok_or(RowError::Trailing)?;
        }
        if self.partition.is_empty() && self.cluster.is_empty() {
            Ok(taken)
        } else {
            Err(RowError::Trailing)
        }
    }

    fn key<T: ColumnType>(&mut self, column: &Column) -> Result<T, RowError> {
        let bytes = if column.role == ColumnRole::Part {
            &mut self.partition
        } else {
            &mut self.cluster
        };
        let mut wire = Vec::with_capacity(bytes.len());
        key::take(T::CQL, column.role, bytes, &mut wire).map_err(|e| key_error(column, &e))?;
        T::from_wire(&wire).map_err(|reason| RowError::Value {
            column: column.name,
            reason,
        })
    }

    fn value<T: ColumnType>(&mut self, column: &Column, tag: u8) -> Result<T, RowError> {
        let wire = find(&mut self.values, tag).ok_or(RowError::Short(column.name))?;
        match wire {
            Some(wire) => T::from_wire(wire).map_err(|reason| RowError::Value {
                column: column.name,
                reason,
            }),
            None => T::absent().ok_or(RowError::Missing(column.name)),
        }
    }
}

impl ColSource for Reader<'_> {
    fn column<T: ColumnType>(&mut self, column: &Column) -> Result<T, RowError> {
        match column.role {
            ColumnRole::Part | ColumnRole::Asc | ColumnRole::Desc => self.key(column),
            ColumnRole::Value(tag) => self.value(column, tag),
        }
    }
}

/// What is wrong with the key bytes of a column.
pub(super) fn key_error(column: &Column, error: &key::KeyError) -> RowError {
    match error {
        key::KeyError::Short => RowError::Short(column.name),
        key::KeyError::Escape => RowError::Value {
            column: column.name,
            reason: "bad escape",
        },
    }
}

/// The value under a tag; values of lower tags are skipped and those of higher ones left. `None`
/// when the bytes end within a value, `Some(None)` when there is none under this tag.
pub(super) fn find<'a>(values: &mut &'a [u8], tag: u8) -> Option<Option<&'a [u8]>> {
    while let Some(next) = values.first() {
        if *next > tag {
            break;
        }
        let (found, wire) = value::take(values)?;
        if found == tag {
            return Some(Some(wire));
        }
    }
    Some(None)
}
