//! Rows come back as they went, whatever was added to their table, and garbage never panics.
#![expect(unreachable_pub, reason = "the tables defined here are the tests' own")]

use std::collections::BTreeSet;
use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::ids::UserId;
use crate::position::Seq;

fn round_trip<T: Table + PartialEq + Debug>(seed: u64)
where
    T::Key: PartialEq + Debug,
    T::Partition: for<'a> From<&'a T> + for<'a> From<&'a T::Key>,
{
    let row = T::take(&mut Any::new(seed)).unwrap();
    let bytes = encode_row(&row);
    let again = decode_row::<T>(&bytes.partition, &bytes.cluster, &bytes.values);
    assert_eq!(again.as_ref(), Ok(&row));
    let key = encode_key::<T>(&row.key());
    assert_eq!((&key.0, &key.1), (&bytes.partition, &bytes.cluster));
    assert_eq!(decode_key::<T>(&key.0, &key.1), Ok(row.key()));
    assert_eq!(
        encode_partition::<T>(&T::Partition::from(&row)),
        bytes.partition
    );
    assert_eq!(
        encode_partition::<T>(&T::Partition::from(&row.key())),
        bytes.partition
    );

    let whole = [&*bytes.partition, &*bytes.cluster].concat();
    assert_eq!(
        split_key(T::DEF, &whole),
        Ok((&*bytes.partition, &*bytes.cluster))
    );
    assert!(split_key(T::DEF, &whole[..bytes.partition.len() - 1]).is_err());

    let mut cells: Vec<Option<Vec<u8>>> = Vec::new();
    let (p, c, v) = (&bytes.partition, &bytes.cluster, &bytes.values);
    cql::walk_row(T::DEF, p, c, v, |cell| cells.push(cell.map(<[u8]>::to_vec))).unwrap();
    let cells: Vec<Option<&[u8]>> = cells.iter().map(Option::as_deref).collect();
    assert_eq!(cql::row_of(T::DEF, &cells), Ok(bytes));
}

/// Whatever is cut off or changed, the answer is a row or an error.
fn damaged<T: Table>(seed: u64, at: usize, by: u8) {
    let row = encode_row(&T::take(&mut Any::new(seed)).unwrap());
    for part in 0..3 {
        let mut bytes = row.clone();
        let hit =
            [&mut bytes.partition, &mut bytes.cluster, &mut bytes.values][part].as_mut_slice();
        if let Some(byte) = hit.get_mut(at % hit.len().max(1)) {
            *byte ^= by;
        }
        let (p, c, v) = (&bytes.partition, &bytes.cluster, &bytes.values);
        if let Ok(row) = decode_row::<T>(p, c, v) {
            assert!(decode_row::<T>(p, c, &encode_row(&row).values).is_ok());
        }
        let shorter = p.len() - 1;
        assert!(
            decode_row::<T>(&p[..shorter], c, v).is_err(),
            "a cut partition key is no key"
        );
        let _parts: Result<_, _> = cql::walk_row(T::DEF, p, c, v, |_| ());
    }
}

proptest! {
    #[test]
    fn rows_and_keys_come_back(seed in any::<u64>()) {
        for_all!(round_trip(seed));
    }

    #[test]
    fn damage_is_an_error_or_another_row(seed in any::<u64>(), at in 0usize..200, by in 1u8..) {
        for_all!(damaged(seed, at, by));
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60), cut in 0usize..60) {
        fn read<T: Table>(a: &[u8], b: &[u8]) {
            let _any: Result<T, _> = decode_row(a, b, a);
            let _any: Result<T, _> = decode_row(b, a, b);
        }
        let (a, b) = bytes.split_at(cut.min(bytes.len()));
        for_all!(read(a, b));
    }
}

partition!(
    /// Of the two tables below.
    TestPartition {
        /// Key.
        user: UserId
    }
);

mod first {
    use super::{Seq, TestPartition, UserId};
    table! {
        /// A table as it was first.
        "test", FirstRow, FirstKey, TestPartition;
        part {
            /// Key.
            user: UserId,
        }
        cluster {}
        values {
            /// Value.
            2 seq: Seq,
        }
    }
}

mod later {
    use super::{Seq, TestPartition, UserId};
    table! {
        /// The same table with columns added before, behind and without an absent value.
        "test", LaterRow, LaterKey, TestPartition;
        part {
            /// Key.
            user: UserId,
        }
        cluster {}
        values {
            /// Added.
            1 title: String,
            /// Value.
            2 seq: Seq,
            /// Added.
            7 pinned: bool,
        }
    }
}

#[test]
fn a_column_added_later_reads_as_absent_and_one_not_known_is_skipped() {
    let user = UserId::new("ada").unwrap();
    let old = first::FirstRow {
        user: user.clone(),
        seq: Seq(5),
    };
    let new = later::LaterRow {
        user,
        title: String::new(),
        seq: Seq(5),
        pinned: false,
    };
    let bytes = encode_row(&old);
    let read = decode_row::<later::LaterRow>(&bytes.partition, &bytes.cluster, &bytes.values);
    assert_eq!(read, Ok(new.clone()));
    let written = later::LaterRow {
        title: "x".into(),
        pinned: true,
        ..new
    };
    let bytes = encode_row(&written);
    assert_eq!(
        decode_row(&bytes.partition, &bytes.cluster, &bytes.values),
        Ok(old)
    );
    // Read without the column, an id has nothing to be.
    let none = decode_row::<MessageRow>(
        &encode_partition::<MessageRow>(&BucketPartition {
            chat: crate::ids::ChatId::new("d.a.b").unwrap(),
            bucket: Bucket(0),
        }),
        &[0x80, 0, 0, 0, 0, 0, 0, 1],
        &[],
    );
    assert_eq!(none, Err(RowError::Missing("author")));
}

#[test]
fn tables_have_names_of_their_own_and_something_to_write() {
    let names: Vec<&str> = TABLES.iter().map(|t| t.name).collect();
    let sorted: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(sorted.len(), names.len());
    for table in TABLES {
        assert!(
            table
                .name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'_')
        );
        assert!(table.partition().count() > 0 && table.values().count() > 0);
        let rank = |c: &Column| match c.role {
            ColumnRole::Part => 0,
            ColumnRole::Asc | ColumnRole::Desc => 1,
            ColumnRole::Value(_) => 2,
        };
        assert!(table.cols.is_sorted_by_key(rank));
    }
}

#[test]
fn bytes_of_a_row_are_those_of_the_format() {
    let row = CursorRow {
        user: UserId::new("ada").unwrap(),
        device: None,
        chat: crate::ids::ChatId::new("d.ada.bob").unwrap(),
        seq: Seq(300),
        ordinal: crate::position::Ordinal(2),
        since: Seq(0),
    };
    let bytes = encode_row(&row);
    assert_eq!(bytes.partition, b"ada\x00\x01");
    assert_eq!(bytes.cluster, b"\x00\x01d.ada.bob\x00\x01");
    let values = b"\x01\x08\0\0\0\0\0\0\x01\x2c\x02\x08\0\0\0\0\0\0\0\x02\x03\x08\0\0\0\0\0\0\0\0";
    assert_eq!(bytes.values, values);
}
