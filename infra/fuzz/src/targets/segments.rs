//! Segment files by a forger: whatever they say, all their checksums are right.
//!
//! Lengths, offsets, partitions, claims and counts are then all that the log has to go by. It
//! opens or refuses; it never panics, and believes no length beyond the file.

use infra_log_embedded::OpenError;

use super::chain::{Chain, OPEN_BYTES, rechained, resealed, with_base};
use super::{Target, linear};

pub(super) struct Segments {
    chain: Chain,
}

impl Segments {
    pub(super) fn new() -> Self {
        Self {
            chain: Chain::written(9),
        }
    }
}

impl Target for Segments {
    fn name(&self) -> &'static str {
        "segments"
    }

    /// Whether the offsets are made to follow each other too, then the bytes.
    fn samples(&self) -> Vec<Vec<u8>> {
        let sample = |kind: u8, image: &[u8]| [&[kind], image].concat();
        let image = &self.chain.image;
        let mut samples = vec![sample(0, image), sample(1, image)];
        // Offsets that begin where there is no more room for any.
        for base in [u64::MAX, u64::MAX - 1, i64::MAX.cast_unsigned()] {
            samples.push(sample(1, &with_base(image.clone(), base)));
        }
        samples
    }

    fn bound_bytes(&self, input_bytes: usize) -> u64 {
        OPEN_BYTES + linear(input_bytes, 64)
    }

    fn run(&self, input: &[u8]) {
        let Some((kind, image)) = input.split_first() else {
            return;
        };
        let image = match kind % 2 {
            0 => image.to_vec(),
            _ => rechained(image.to_vec()),
        };
        match self.chain.open(&resealed(image)) {
            Ok(_) | Err(OpenError::Damaged { .. } | OpenError::Newer { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
