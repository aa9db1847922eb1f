//! Events in the log: Avro frames of every type and every released schema.
//!
//! What reads as an event is written again, and reads as the same; what does not is refused by a
//! value. No length that stands in the bytes is believed.

use std::path::Path;

use schemas::avro::{LogEvent, describe};
use schemas::events::{AccountEvent, ChatEvent, DeadLetter, ReceiptEvent, UserEvent};

use super::{Target, linear};

/// The largest schema, read.
const SCHEMA_BYTES: u64 = 256 * 1024;

pub(super) struct Events;

impl Target for Events {
    fn name(&self) -> &'static str {
        "events"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        let released = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/avro/released");
        let mut samples = Vec::new();
        for subject in std::fs::read_dir(released).into_iter().flatten().flatten() {
            let files = std::fs::read_dir(subject.path()).into_iter().flatten();
            for file in files.flatten().map(|file| file.path()) {
                if file.extension().is_some_and(|extension| extension == "hex") {
                    let text = std::fs::read_to_string(file).unwrap_or_default();
                    samples.push(from_hex(&text));
                }
            }
        }
        samples.sort();
        assert!(samples.len() >= 20, "golden events of every type");
        samples
    }

    fn bound_bytes(&self, input_bytes: usize) -> u64 {
        // `describe` reads its schema anew each time.
        SCHEMA_BYTES + linear(input_bytes, 64)
    }

    fn run(&self, input: &[u8]) {
        again::<ChatEvent>(input);
        again::<ReceiptEvent>(input);
        again::<AccountEvent>(input);
        again::<UserEvent>(input);
        again::<DeadLetter>(input);
        drop(describe(input));
    }
}

fn again<E: LogEvent + PartialEq + std::fmt::Debug>(input: &[u8]) {
    let Ok(event) = E::decode(input) else { return };
    let bytes = match event.encode() {
        Ok(bytes) => bytes,
        Err(error) => panic!("{event:?} was read and cannot be written: {error}"),
    };
    match E::decode(&bytes) {
        Ok(second) => assert_eq!(second, event),
        Err(error) => panic!("{event:?} was written and cannot be read: {error}"),
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).filter_map(byte).collect()
}
