//! A log whose last segment is not what was written: torn, flipped, spliced.
//!
//! It opens, or it is refused with the place that is wrong. Opened, it has every record that stands
//! before the first byte that differs, and nothing that was not written, in order.

use infra_log_embedded::OpenError;

use super::chain::{Chain, OPEN_BYTES};
use super::{Target, linear};

pub(super) struct Recovery {
    chains: Vec<Chain>,
}

impl Recovery {
    pub(super) fn new() -> Self {
        // Within one segment, and over several.
        let chains = [0, 9, 60].map(Chain::written).into();
        Self { chains }
    }
}

impl Target for Recovery {
    fn name(&self) -> &'static str {
        "recovery"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        let images = self.chains.iter().map(|chain| chain.image.clone());
        images.collect()
    }

    fn bound_bytes(&self, input_bytes: usize) -> u64 {
        OPEN_BYTES + linear(input_bytes, 64)
    }

    fn run(&self, image: &[u8]) {
        // The last segment of another log is no spoilt segment of this one.
        let claimed = self.chains.iter().find(|chain| chain.claims(image));
        let Some(chain) = claimed.or(self.chains.first()) else {
            return;
        };
        let same = same_bytes(image, &chain.image);
        let (least, most) = chain.bounds(same);
        let found = match chain.open(image) {
            Ok(found) => found,
            Err(OpenError::Damaged { position, .. }) => {
                assert!(
                    same < chain.image.len() || image.len() > same,
                    "nothing is wrong"
                );
                assert!(position <= image.len() as u64, "no such place");
                return;
            }
            Err(OpenError::Newer { .. }) => return,
            Err(error) => panic!("{error}"),
        };
        for ((found, least), most) in found.iter().zip(least).zip(most) {
            assert!(most.starts_with(found), "{found:?} are not of {most:?}");
            assert!(
                found.len() >= least,
                "{} of {least} before the tear",
                found.len()
            );
        }
    }
}

/// How many bytes at the front are the same; what is missing from a file reads as zeros.
fn same_bytes(image: &[u8], written: &[u8]) -> usize {
    let zeros = std::iter::repeat(&0);
    let pairs = image.iter().chain(zeros).zip(written);
    pairs.take_while(|(a, b)| a == b).count()
}
