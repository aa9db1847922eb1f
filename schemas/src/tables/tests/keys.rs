//! Byte order of keys is value order, for every type and direction.

use std::cmp::Ordering;
use std::fmt::Debug;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::{key, value};
use super::*;
use crate::ids::{ChatId, DeviceId, UserId};
use crate::position::{Generation, Ordinal, Partition, Seq, Timestamp};

fn bytes_of<T: ColumnType>(role: ColumnRole, value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    value.wire(|wire| key::put(T::CQL, role, wire, &mut out));
    out
}

/// Two values compare as their bytes do, backwards when falling, also with bytes behind them.
fn ordered<T: ColumnType + Ord + Debug>(a: &T, b: &T) {
    for (role, wanted) in [(ColumnRole::Asc, a.cmp(b)), (ColumnRole::Desc, b.cmp(a))] {
        let (x, y) = (bytes_of(role, a), bytes_of(role, b));
        assert_eq!(x.cmp(&y), wanted, "{a:?} {b:?} {role:?}");
        if wanted != Ordering::Equal {
            assert!(!x.starts_with(&y) && !y.starts_with(&x), "{a:?} {b:?}");
        }
        let mut rest = x.as_slice();
        let mut wire = Vec::new();
        key::take(T::CQL, role, &mut rest, &mut wire).unwrap();
        assert_eq!(T::from_wire(&wire).as_ref(), Ok(a));
        assert!(rest.is_empty());
    }
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![Just('\0'), Just('\u{1}'), Just('a'), any::<char>()],
        0..6,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

fn blob() -> impl Strategy<Value = Bytes> {
    let byte = prop_oneof![Just(0u8), Just(1), Just(0xFE), Just(0xFF), any::<u8>()];
    proptest::collection::vec(byte, 0..6).prop_map(Bytes::from)
}

proptest! {
    #[test]
    fn numbers(a in any::<i64>(), b in any::<i64>(), small in any::<bool>()) {
        let b = if small { a.wrapping_add(b % 3) } else { b };
        ordered(&a, &b);
        ordered(&Timestamp(a), &Timestamp(b));
        let (a, b) = (a.unsigned_abs() >> 1, b.unsigned_abs() >> 1);
        ordered(&Seq(a), &Seq(b));
        ordered(&Ordinal(a), &Ordinal(b));
        let (a, b) = ((a >> 32) as u32, (b >> 32) as u32);
        ordered(&Partition(a), &Partition(b));
        ordered(&Generation(a), &Generation(b));
        ordered(&(a % 2 == 0), &(b % 2 == 0));
    }

    #[test]
    fn texts_and_blobs((a, b) in (text(), text()), (x, y) in (blob(), blob())) {
        ordered(&a, &b);
        ordered(&compact_str::CompactString::from(&*a), &compact_str::CompactString::from(&*b));
        ordered(&x, &y);
    }

    #[test]
    fn ids(a in "[a-z0-9_-]{1,4}", b in "[a-z0-9_-]{1,4}") {
        let user = |text: &str| UserId::new(text).unwrap();
        ordered(&user(&a), &user(&b));
        ordered(&Some(DeviceId::new(&a).unwrap()), &DeviceId::new(&b).ok());
        ordered(&None, &DeviceId::new(&b).ok());
        if let (Ok(x), Ok(y)) = (ChatId::direct(&user(&a), &user("q")), ChatId::direct(&user(&b), &user("q"))) {
            ordered(&x, &y);
        }
    }

    #[test]
    fn varints_are_read_in_one_way(number in any::<u64>(), bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
        let mut out = Vec::new();
        value::put_varint(number, &mut out);
        prop_assert_eq!(value::take_varint(&mut out.as_slice()), Some(number));
        let mut rest = bytes.as_slice();
        if let Some(number) = value::take_varint(&mut rest) {
            let mut again = Vec::new();
            value::put_varint(number, &mut again);
            again.extend_from_slice(rest);
            prop_assert_eq!(again, bytes);
        }
    }
}

#[test]
fn a_bound_above_all_positions_is_behind_all_of_them() {
    let top = bytes_of(ColumnRole::Asc, &Seq(u64::MAX));
    assert!(top > bytes_of(ColumnRole::Asc, &Seq(1 << 62)));
    assert_eq!(top, bytes_of(ColumnRole::Asc, &Seq(1 << 63)));
}

#[test]
fn a_prefix_is_the_beginning_of_exactly_its_keys() {
    let key = |target, what: &str| OverlayKey {
        chat: ChatId::new("d.a.b").unwrap(),
        bucket: Bucket(0),
        target: Seq(target),
        what: what.into(),
    };
    let prefix = encode_cluster_prefix::<OverlayRow>(&key(7, "anything"), 1);
    let begins = |k: &OverlayKey| encode_key::<OverlayRow>(k).1.starts_with(&prefix);
    assert!(begins(&key(7, "")) && begins(&key(7, "edited")));
    assert!(!begins(&key(8, "")) && !begins(&key(6, "edited")));
    assert!(encode_cluster_prefix::<OverlayRow>(&key(7, "x"), 0).is_empty());
    let whole = encode_cluster_prefix::<OverlayRow>(&key(7, "x"), 2);
    assert_eq!(whole, encode_key::<OverlayRow>(&key(7, "x")).1);
}
