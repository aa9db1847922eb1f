//! What is encoded decodes to the same; what does not fit is refused.

use proptest::prelude::*;
use schemas::avro::{
    DecodeError, EncodeError, LogEvent, MAX_EVENT_BYTES, Malformed, SchemaStore, describe,
};
use schemas::events::{Body, ChatEvent, MessageDeleted, MessageSent, ReceiptEvent};
use schemas::position::Seq;
use schemas::topics::Topic;

use super::any_event::any_event;
use super::one_event::{OneEvent, origin, samples};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_comes_back(event in any_event()) {
        let bytes = event.encode().unwrap();
        let back = OneEvent::decode(event.subject().topic(), &bytes).unwrap();
        prop_assert_eq!(&back, &event);
        prop_assert_eq!(back.encode().unwrap(), bytes);
    }
}

#[test]
fn frame_starts_with_the_marker_and_the_little_endian_fingerprint() {
    for event in samples() {
        let bytes = event.encode().unwrap();
        let (release, _) = SchemaStore::released().open(&bytes).unwrap();
        assert_eq!(bytes[..2], [0xC3, 0x01]);
        assert_eq!(bytes[2..10], release.fingerprint().to_le_bytes());
        assert_eq!(release.subject, event.subject());
    }
}

#[test]
fn position_above_the_largest_long_is_an_encode_error() {
    let target = Seq(i64::MAX.cast_unsigned() + 1);
    let origin = origin();
    let event = ChatEvent::MessageDeleted(MessageDeleted { origin, target });
    assert!(matches!(event.encode(), Err(EncodeError::Unfit { .. })));
}

#[test]
fn event_over_the_limit_is_an_encode_error() {
    let mut body = Body::text("");
    body.bytes = vec![0; MAX_EVENT_BYTES];
    let event = ChatEvent::MessageSent(MessageSent {
        origin: origin(),
        body,
        reply_to: None,
    });
    let refused = event.encode();
    assert!(
        matches!(refused, Err(EncodeError::TooLarge { size_bytes, .. }) if size_bytes > MAX_EVENT_BYTES)
    );
}

#[test]
fn encoding_works_again_after_a_refusal() {
    let whole = &samples()[2];
    let before = whole.encode().unwrap();
    position_above_the_largest_long_is_an_encode_error();
    assert_eq!(whole.encode().unwrap(), before);
}

#[test]
fn record_of_another_topic_is_malformed() {
    let bytes = samples()[0].encode().unwrap();
    let refused = ReceiptEvent::decode(&bytes).unwrap_err();
    assert!(!refused.is_unknown());
    assert!(matches!(
        refused,
        DecodeError::Malformed(Malformed::WrongTopic {
            topic: Topic::Receipts,
            ..
        })
    ));
}

#[test]
fn described_event_names_its_schema_and_fields() {
    for event in samples() {
        let (subject, version, json) = describe(&event.encode().unwrap()).unwrap();
        assert_eq!(subject, event.subject());
        assert_eq!(version as usize, subject.released().len());
        assert!(json.as_object().is_some_and(|fields| !fields.is_empty()));
    }
    let (_, _, json) = describe(&samples()[0].encode().unwrap()).unwrap();
    assert_eq!(json["origin"]["author"], "ada");
    assert_eq!(json["body"]["kind"], "image");
    assert_eq!(json["reply_to"], 7);
}
