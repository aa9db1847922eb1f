//! Settings of the link, and its secret.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// The versions of the protocol that this build speaks.
pub(crate) const VERSIONS: RangeInclusive<u16> = 1..=1;
/// The shortest secret, in bytes.
const MIN_SECRET_BYTES: usize = 16;

/// Bounds and times of the link. Both ends should have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What may wait to be sent over one connection, before it is cut: 64 MiB. A
    /// gateway that comes asks for all its users at once, in some 40 bytes each.
    pub queue_bytes: usize,
    /// How often something is sent, a ping if nothing else: 2 s.
    pub ping_every: Duration,
    /// How long nothing may come, before a connection is given up: 6 s.
    pub silent_for: Duration,
    /// How long a connection may take until both ends trust each other: 3 s.
    pub hello_within: Duration,
    /// The first pause before a connection is made anew; it doubles: 50 ms.
    pub first_pause: Duration,
    /// The longest pause: 2 s.
    pub longest_pause: Duration,
    /// Gateways of one worker, those that have not proved themselves included: 1,024.
    pub connections: usize,
    /// The versions spoken.
    pub(crate) versions: RangeInclusive<u16>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue_bytes: 64 << 20,
            ping_every: Duration::from_secs(2),
            silent_for: Duration::from_secs(6),
            hello_within: Duration::from_secs(3),
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(2),
            connections: 1_024,
            versions: VERSIONS,
        }
    }
}

impl Config {
    /// The defaults, but that so many bytes may wait to be sent.
    #[must_use]
    pub fn with_queue(queue_bytes: usize) -> Self {
        Self {
            queue_bytes,
            ..Self::default()
        }
    }
}

/// What workers and gateways of one platform know and nobody else. Never printed.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

/// A secret that is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link's secret has fewer than {MIN_SECRET_BYTES} bytes")]
pub struct SecretError;

impl Secret {
    /// Takes bytes as the secret.
    ///
    /// # Errors
    /// When there are fewer than 16.
    pub fn new(bytes: &[u8]) -> Result<Self, SecretError> {
        match bytes.len() < MIN_SECRET_BYTES {
            true => Err(SecretError),
            false => Ok(Self(bytes.into())),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
