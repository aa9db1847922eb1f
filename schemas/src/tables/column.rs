//! What a table and its columns are, apart from any row.
//!
//! A [`ColumnType`] gives the CQL wire form of a value; everything else (ordered keys, tagged
//! values, statements) follows from its [`CqlType`] and the column's [`ColumnRole`].

/// The type of a column as CQL names it. Decides the wire form and the order of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CqlType {
    /// UTF-8 text, ordered by bytes.
    Text,
    /// Any bytes, ordered by bytes.
    Blob,
    /// 64 bits, signed, big-endian.
    Bigint,
    /// 32 bits, signed, big-endian.
    Int,
    /// One byte, 0 or 1.
    Boolean,
    /// Milliseconds since 1970 as 64 bits, signed, big-endian.
    Timestamp,
}

impl CqlType {
    /// Its name in CQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Blob => "blob",
            Self::Bigint => "bigint",
            Self::Int => "int",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
        }
    }
}

/// Where a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnRole {
    /// In the partition key: rows that are equal here are kept, ordered and written together.
    Part,
    /// In the clustering key, rising.
    Asc,
    /// In the clustering key, falling.
    Desc,
    /// Among the values, under this tag. Tags are never used again for something else.
    Value(u8),
}

impl ColumnRole {
    /// True in the clustering key.
    pub const fn is_cluster(self) -> bool {
        matches!(self, Self::Asc | Self::Desc)
    }
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Column {
    /// Its name, in CQL too.
    pub name: &'static str,
    /// Its type.
    pub cql: CqlType,
    /// Where it stands.
    pub role: ColumnRole,
}

/// A table, as adapters see it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TableDef {
    /// Its name, `[a-z_]+`, without the generation.
    pub name: &'static str,
    /// Partition key, then clustering key, then values with rising tags.
    pub cols: &'static [Column],
}

impl TableDef {
    /// The columns of the partition key.
    pub fn partition(&self) -> impl Iterator<Item = &'static Column> + use<> {
        self.cols.iter().filter(|c| c.role == ColumnRole::Part)
    }

    /// The columns of the clustering key.
    pub fn cluster(&self) -> impl Iterator<Item = &'static Column> + use<> {
        self.cols.iter().filter(|c| c.role.is_cluster())
    }

    /// The columns that are no part of the key.
    pub fn values(&self) -> impl Iterator<Item = &'static Column> + use<> {
        self.cols
            .iter()
            .filter(|c| matches!(c.role, ColumnRole::Value(_)))
    }
}

/// Why bytes are not those of a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The bytes end within a column.
    #[error("the bytes end within column {0}")]
    Short(&'static str),
    /// The bytes of a column are not a value of its type.
    #[error("column {column} is no value of its type: {reason}")]
    Value {
        /// Which column.
        column: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// A column is not there, and its type has no value for that.
    #[error("column {0} is missing")]
    Missing(&'static str),
    /// Bytes are left after the last column, or tags do not rise.
    #[error("bytes of no column")]
    Trailing,
    /// More columns, or fewer, than the definition has.
    #[error("{given} columns where the table has {wanted}")]
    Columns {
        /// How many there were.
        given: usize,
        /// How many there should be.
        wanted: usize,
    },
}

/// A Rust type that can be a column.
pub trait ColumnType: Sized + Clone + Send + Sync + 'static {
    /// The type of the column.
    const CQL: CqlType;

    /// Hands the CQL wire bytes to `take`, without a copy where they lie in memory already.
    fn wire<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R;

    /// Reads the CQL wire bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    fn from_wire(bytes: &[u8]) -> Result<Self, &'static str>;

    /// The value of a column that was added after the row was written, if the type has one.
    fn absent() -> Option<Self>;
}
