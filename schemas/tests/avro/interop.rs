//! The reference implementation reads what we write, writes what we read, and agrees on
//! fingerprints.

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use schemas::avro::{SUBJECTS, SchemaStore, Subject};

use super::any_event::any_event;
use super::one_event::{OneEvent, samples};

fn newest(subject: Subject) -> Schema {
    Schema::parse_str(subject.released().last().unwrap()).unwrap()
}

fn read(schema: &Schema, mut datum: &[u8]) -> Value {
    let reader = GenericDatumReader::builder(schema).build().unwrap();
    let value = reader.read_value(&mut datum).unwrap();
    assert!(datum.is_empty());
    value
}

/// The reference writer orders a map as it likes, so events are compared, not bytes.
fn through_the_reference(event: &OneEvent) -> OneEvent {
    let subject = event.subject();
    let schema = newest(subject);
    let ours = event.encode().unwrap();
    let value = read(&schema, &ours[10..]);
    assert!(value.validate(&schema));
    let mut theirs = ours[..10].to_vec();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    writer.write_value_ref(&mut theirs, &value).unwrap();
    OneEvent::decode(subject.topic(), &theirs).unwrap()
}

#[test]
fn every_event_type_passes_through_the_reference_implementation() {
    for event in samples() {
        assert_eq!(through_the_reference(&event), event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_event_passes_through_the_reference_implementation(event in any_event()) {
        prop_assert_eq!(through_the_reference(&event), event);
    }
}

#[test]
fn list_in_blocks_with_and_without_sizes_is_read() {
    let event = samples().into_iter().nth(4).unwrap();
    let ours = event.encode().unwrap();
    let one_block = b"\x04\x06bob\x06eve\x00";
    let two_blocks = b"\x01\x08\x06bob\x02\x06eve\x00";
    let at = ours
        .windows(one_block.len())
        .position(|w| w == one_block)
        .unwrap();
    let (before, after) = (&ours[..at], &ours[at + one_block.len()..]);
    let theirs = [before, two_blocks, after].concat();
    assert_eq!(
        OneEvent::decode(event.subject().topic(), &theirs).unwrap(),
        event
    );
}

#[test]
fn fingerprints_are_those_of_the_reference_implementation() {
    for subject in SUBJECTS {
        for json in subject.released() {
            let theirs = Schema::parse_str(json).unwrap().fingerprint::<Rabin>();
            let mut frame = vec![0xC3, 0x01];
            frame.extend_from_slice(&theirs.bytes);
            let (release, _) = SchemaStore::released().open(&frame).unwrap();
            assert_eq!(release.subject, *subject);
        }
    }
}
