//! Bytes that are no event: refused by name, without a panic, whatever they are.

use proptest::prelude::*;
use schemas::avro::{
    DecodeError, LogEvent, MAX_EVENT_BYTES, Malformed, SUBJECTS, SchemaStore, describe,
};
use schemas::events::ChatEvent;
use schemas::topics::TOPICS;

use super::any_event::any_event;
use super::one_event::{OneEvent, samples};

/// Decoding must come back; a value that comes out must encode again.
fn decode_everywhere(bytes: &[u8]) {
    for spec in TOPICS {
        if let Ok(event) = OneEvent::decode(spec.topic, bytes) {
            assert!(event.encode().is_ok(), "{event:?}");
        }
    }
}

fn header(index: usize) -> Vec<u8> {
    samples()[index % SUBJECTS.len()].encode().unwrap()[..10].to_vec()
}

/// A frame of that event type around whatever a test likes.
fn with_datum(index: usize, datum: &[u8]) -> Vec<u8> {
    let mut bytes = header(index);
    bytes.extend_from_slice(datum);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        decode_everywhere(&bytes);
    }

    #[test]
    fn random_datum_under_a_known_schema_never_panics(
        index in 0..SUBJECTS.len(),
        datum in proptest::collection::vec(any::<u8>(), 0..256),
    ) {
        let bytes = with_datum(index, &datum);
        decode_everywhere(&bytes);
        let _: Result<_, DecodeError> = describe(&bytes);
    }

    #[test]
    fn flipped_byte_never_panics(event in any_event(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = event.encode().unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        decode_everywhere(&bytes);
    }

    #[test]
    fn event_cut_short_is_malformed(event in any_event(), at in any::<prop::sample::Index>()) {
        let bytes = event.encode().unwrap();
        let short = &bytes[..at.index(bytes.len())];
        let refused = OneEvent::decode(event.subject().topic(), short).unwrap_err();
        prop_assert!(!refused.is_unknown(), "{}", refused);
    }

    #[test]
    fn bytes_after_the_datum_are_malformed(event in any_event(), more in proptest::collection::vec(any::<u8>(), 1..9)) {
        let mut bytes = event.encode().unwrap().to_vec();
        bytes.extend_from_slice(&more);
        let refused = OneEvent::decode(event.subject().topic(), &bytes).unwrap_err();
        let counted = matches!(refused, DecodeError::Malformed(Malformed::Trailing { left_bytes, .. }) if left_bytes == more.len());
        prop_assert!(counted, "{}", refused);
        prop_assert!(describe(&bytes).is_err());
    }
}

#[test]
fn unknown_fingerprint_asks_for_an_upgrade() {
    let bytes = [0xC3, 0x01, 1, 0, 0, 0, 0, 0, 0, 0, 42];
    let refused = ChatEvent::decode(&bytes).unwrap_err();
    assert!(refused.is_unknown());
    assert!(matches!(
        refused,
        DecodeError::UnknownSchema { fingerprint: 1 }
    ));
}

#[test]
fn missing_or_foreign_frame_is_malformed() {
    for bytes in [
        &b""[..],
        b"\xC3",
        b"\xC3\x01\x00",
        b"\xC3\x02\0\0\0\0\0\0\0\0",
        b"{\"a\":1} and more",
    ] {
        let refused = ChatEvent::decode(bytes).unwrap_err();
        assert!(
            matches!(refused, DecodeError::Malformed(Malformed::Frame)),
            "{refused}"
        );
    }
}

#[test]
fn bytes_over_the_limit_are_malformed_before_anything_is_read() {
    let bytes = with_datum(0, &vec![0; MAX_EVENT_BYTES]);
    let refused = ChatEvent::decode(&bytes).unwrap_err();
    assert!(matches!(
        refused,
        DecodeError::Malformed(Malformed::TooLarge { .. })
    ));
}

#[test]
fn negative_position_is_malformed() {
    let whole = samples()[2].encode().unwrap();
    // The last field is the target; zigzag 1 is minus one.
    let mut bytes = whole[..whole.len() - 1].to_vec();
    bytes.push(1);
    let refused = ChatEvent::decode(&bytes).unwrap_err();
    assert!(
        matches!(refused, DecodeError::Malformed(Malformed::Datum { .. })),
        "{refused}"
    );
}

#[test]
fn id_that_is_not_canonical_is_malformed() {
    let whole = samples()[0].encode().unwrap();
    let mut bytes = whole.to_vec();
    bytes[11] = b'X';
    let refused = ChatEvent::decode(&bytes).unwrap_err();
    assert!(
        matches!(refused, DecodeError::Malformed(Malformed::Datum { .. })),
        "{refused}"
    );
    assert!(refused.to_string().contains("chat id"), "{refused}");
}

#[test]
fn promised_lengths_are_not_believed() {
    // As length of a text the largest long there is; as count of a list one that is negative, so
    // that a size in bytes follows.
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    let negative = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x02];
    for (index, subject) in SUBJECTS.iter().enumerate() {
        for datum in [&huge[..], &negative[..]] {
            let bytes = with_datum(index, datum);
            let topic = subject.topic();
            assert!(!OneEvent::decode(topic, &bytes).unwrap_err().is_unknown());
            assert!(!describe(&bytes).unwrap_err().is_unknown());
        }
    }
    assert!(SchemaStore::released().open(&with_datum(0, &huge)).is_ok());
}
