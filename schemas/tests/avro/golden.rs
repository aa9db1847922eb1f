//! Golden bytes: the sample of every released version, kept for ever beside its schema.
//!
//! `released/<subject>/v<n>.golden.hex` holds the bytes in hexadecimal digits. They are written
//! once, when the version is released, and never again.

use schemas::avro::{SUBJECTS, SchemaStore, Subject};

use super::one_event::{OneEvent, samples};

fn path(subject: Subject, version: usize) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("avro/released/{subject}/v{version}.golden.hex"))
}

fn golden(subject: Subject, version: usize) -> Vec<u8> {
    let path = path(subject, version);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| {
        let sample = samples().into_iter().find(|s| s.subject() == subject);
        let hex = sample.map(|s| to_hex(&s.encode().unwrap()));
        panic!("{}: {e}; the sample is now {hex:?}", path.display())
    });
    let digits: Vec<u8> = text.trim().bytes().collect();
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn golden_bytes_of_every_released_version_decode() {
    for subject in SUBJECTS {
        for version in 1..=subject.released().len() {
            let bytes = golden(*subject, version);
            let (release, _) = SchemaStore::released().open(&bytes).unwrap();
            assert_eq!(
                (release.subject, release.version as usize),
                (*subject, version)
            );
            let event = OneEvent::decode(subject.topic(), &bytes).unwrap();
            assert_eq!(event.subject(), *subject);
        }
    }
}

#[test]
fn newest_golden_bytes_are_the_sample_to_the_byte() {
    for sample in samples() {
        let subject = sample.subject();
        let bytes = golden(subject, subject.released().len());
        assert_eq!(
            to_hex(&sample.encode().unwrap()),
            to_hex(&bytes),
            "{subject}"
        );
        assert_eq!(OneEvent::decode(subject.topic(), &bytes).unwrap(), sample);
    }
}
