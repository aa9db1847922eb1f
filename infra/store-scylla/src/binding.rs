//! Rows and keys as bound values: CQL wire bytes, taken out of the encoded form without a typed one
//! in between. The columns' types were compared when the statement was prepared.

use infra_ports::store::Mutation;
use schemas::position::Version;
use schemas::tables::{RowError, TableDef, cql};
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::{CellOverflowError, RowWriter};

/// A mutation: of a put all columns and the version, of a deletion the version and the key.
pub(crate) struct BoundMutation<'a>(pub(crate) &'a Mutation);

impl SerializeRow for BoundMutation<'_> {
    fn serialize(
        &self,
        _context: &RowSerializationContext<'_>,
        writer: &mut RowWriter,
    ) -> Result<(), SerializationError> {
        let of = self.0;
        let mut cells = Cells::new(writer);
        match &of.values {
            Some(values) => {
                let take = |wire: Option<&[u8]>| cells.put(wire);
                cql::walk_row(of.table, &of.partition, &of.cluster, values, take)
                    .map_err(no_row)?;
                cells.put(Some(&timestamp(of.version).to_be_bytes()));
            }
            None => {
                cells.put(Some(&timestamp(of.version).to_be_bytes()));
                let take = |wire: &[u8]| cells.put(Some(wire));
                cql::walk_key(of.table, &of.partition, &of.cluster, take).map_err(no_row)?;
            }
        }
        cells.end()
    }

    fn is_empty(&self) -> bool {
        false
    }
}

/// What a read is for.
pub(crate) struct BoundKey<'a> {
    pub(crate) table: &'static TableDef,
    /// None from the first partition on.
    pub(crate) partition: Option<&'a [u8]>,
    /// A whole clustering key, the beginning of one, or nothing.
    pub(crate) cluster: &'a [u8],
    /// Columns of a second clustering key, those behind the ones that `cluster` has.
    pub(crate) after: &'a [u8],
    /// At most so many rows, where the statement has a limit.
    pub(crate) limit: Option<i32>,
}

impl SerializeRow for BoundKey<'_> {
    fn serialize(
        &self,
        _context: &RowSerializationContext<'_>,
        writer: &mut RowWriter,
    ) -> Result<(), SerializationError> {
        let mut cells = Cells::new(writer);
        let mut put = |wire: &[u8]| cells.put(Some(wire));
        if let Some(partition) = self.partition {
            cql::walk_partition(self.table, partition, &mut put).map_err(no_row)?;
        }
        let prefix = cql::walk_prefix(self.table, self.cluster, &mut put).map_err(no_row)?;
        let mut behind = 0;
        let put_behind = |wire: &[u8]| {
            behind += 1;
            if behind > prefix {
                put(wire);
            }
        };
        cql::walk_prefix(self.table, self.after, put_behind).map_err(no_row)?;
        if let Some(limit) = self.limit {
            cells.put(Some(&limit.to_be_bytes()));
        }
        cells.end()
    }

    fn is_empty(&self) -> bool {
        false
    }
}

/// A version as a write timestamp; none reaches 2^63.
fn timestamp(version: Version) -> i64 {
    i64::try_from(version.0).unwrap_or(i64::MAX)
}

fn no_row(error: RowError) -> SerializationError {
    SerializationError::new(error)
}

/// Cells, one after the other. What is left unset keeps what the row has there, which a null would
/// delete.
struct Cells<'w, 'buf> {
    writer: &'w mut RowWriter<'buf>,
    overflow: Option<CellOverflowError>,
}

impl<'w, 'buf> Cells<'w, 'buf> {
    fn new(writer: &'w mut RowWriter<'buf>) -> Self {
        Self {
            writer,
            overflow: None,
        }
    }

    fn put(&mut self, wire: Option<&[u8]>) {
        let cell = self.writer.make_cell_writer();
        match wire {
            Some(wire) => {
                if let Err(error) = cell.set_value(wire) {
                    self.overflow = Some(error);
                }
            }
            None => {
                cell.set_unset();
            }
        }
    }

    fn end(self) -> Result<(), SerializationError> {
        self.overflow
            .map_or(Ok(()), |error| Err(SerializationError::new(error)))
    }
}
