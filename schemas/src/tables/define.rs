//! `table!`: one definition of a table as rows, keys and a [`TableDef`].
//!
//! What the macro makes is small: it walks the columns of a row past a visitor. Everything that
//! multiplies with tables (codecs, statements) is written once, against the visitor.

use super::column::{Column, ColumnType, RowError, TableDef};

/// Takes the columns of a row, one after the other, in the order of the definition.
pub trait ColSink {
    /// The next column.
    fn column<T: ColumnType>(&mut self, column: &Column, value: &T);
}

/// Gives the columns of a row, one after the other, in the order of the definition.
pub trait ColSource {
    /// The next column.
    ///
    /// # Errors
    /// What is wrong with it.
    fn column<T: ColumnType>(&mut self, column: &Column) -> Result<T, RowError>;
}

/// Something made of columns: a row, its key, or its partition key.
pub trait Cols: Sized + Send + Sync + 'static {
    /// Walks the columns.
    fn put(&self, sink: &mut impl ColSink);

    /// Is made of columns.
    ///
    /// # Errors
    /// Those of the source.
    fn take(source: &mut impl ColSource) -> Result<Self, RowError>;
}

/// The row of a table.
pub trait Table: Cols {
    /// Partition key and clustering key.
    type Key: Cols;
    /// Partition key alone. Tables with the same partition key share its type.
    type Partition: Cols;
    /// The definition.
    const DEF: &'static TableDef;

    /// The key of this row.
    fn key(&self) -> Self::Key;
}

/// A type that is part of a key: the columns come under one role each.
macro_rules! cols {
    ($name:ident { $($field:ident : $type:ty = $role:expr),* $(,)? }) => {
        impl $crate::tables::Cols for $name {
            fn put(&self, sink: &mut impl $crate::tables::ColSink) {
                $(sink.column(&column!($field: $type = $role), &self.$field);)*
            }

            fn take(
                source: &mut impl $crate::tables::ColSource,
            ) -> Result<Self, $crate::tables::RowError> {
                Ok(Self { $($field: source.column(&column!($field: $type = $role))?,)* })
            }
        }
    };
}

/// One column of a definition.
macro_rules! column {
    ($field:ident : $type:ty = $role:expr) => {
        $crate::tables::Column {
            name: stringify!($field),
            cql: <$type as $crate::tables::ColumnType>::CQL,
            role: $role,
        }
    };
}

/// A partition key's type, shared by the tables that are kept under it.
macro_rules! partition {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident : $type:ty),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            $($(#[$fmeta])* pub $field: $type,)+
        }

        cols!($name { $($field: $type = $crate::tables::ColumnRole::Part),+ });
    };
}

/// Defines a table: its row, its key, and the definition that adapters see. The partition key's
/// type is made by `partition!` and must have the columns of `part`, in their order.
///
/// Value columns bear tags that rise; a tag is never used again for something else.
macro_rules! table {
    (
        $(#[$meta:meta])*
        $name:literal, $row:ident, $key:ident, $partition:ident;
        part { $($(#[$pmeta:meta])* $p:ident : $ptype:ty),+ $(,)? }
        cluster { $($(#[$cmeta:meta])* $c:ident : $ctype:ty => $order:ident),* $(,)? }
        values { $($(#[$vmeta:meta])* $tag:literal $v:ident : $vtype:ty),+ $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $row {
            $($(#[$pmeta])* pub $p: $ptype,)+
            $($(#[$cmeta])* pub $c: $ctype,)*
            $($(#[$vmeta])* pub $v: $vtype,)+
        }

        #[doc = concat!("The key of a [`", stringify!($row), "`].")]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $key {
            $($(#[$pmeta])* pub $p: $ptype,)+
            $($(#[$cmeta])* pub $c: $ctype,)*
        }

        cols!($row {
            $($p: $ptype = $crate::tables::ColumnRole::Part,)+
            $($c: $ctype = $crate::tables::ColumnRole::$order,)*
            $($v: $vtype = $crate::tables::ColumnRole::Value($tag),)+
        });
        cols!($key {
            $($p: $ptype = $crate::tables::ColumnRole::Part,)+
            $($c: $ctype = $crate::tables::ColumnRole::$order,)*
        });

        impl $crate::tables::Table for $row {
            type Key = $key;
            type Partition = $partition;
            const DEF: &'static $crate::tables::TableDef = &$crate::tables::TableDef {
                name: $name,
                cols: &[
                    $(column!($p: $ptype = $crate::tables::ColumnRole::Part),)+
                    $(column!($c: $ctype = $crate::tables::ColumnRole::$order),)*
                    $(column!($v: $vtype = $crate::tables::ColumnRole::Value($tag)),)+
                ],
            };

            fn key(&self) -> $key {
                $key { $($p: self.$p.clone(),)+ $($c: self.$c.clone(),)* }
            }
        }

        impl From<&$row> for $partition {
            fn from(row: &$row) -> Self {
                Self { $($p: row.$p.clone(),)+ }
            }
        }

        impl From<&$key> for $partition {
            fn from(key: &$key) -> Self {
                Self { $($p: key.$p.clone(),)+ }
            }
        }

        // Tags that rise are what lets a reader skip the columns it does not know.
        const _: () = {
            let mut tags: &[u8] = &[$($tag),+];
            while let [first, rest @ ..] = tags {
                if let [second, ..] = rest {
                    assert!(*first < *second, "value tags must rise");
                }
                tags = rest;
            }
        };
    };
}
