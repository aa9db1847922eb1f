//! What a token says, and whether it says it now.
//!
//! Only read after the signature was found good, so that nobody learns from a refusal what a forged
//! token would have needed. Times are whole seconds (RFC 7519, 2, without fractions).

use schemas::errors::{Code, Refusal};
use schemas::ids::{DeviceId, Identity, UserId};
use schemas::position::Timestamp;
use serde::{Deserialize, Serialize};

/// How far ahead the issuer's clock may be, in seconds.
const AHEAD_SECONDS: u64 = 60;

/// The claims that a token must have; others are passed over.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    /// The user.
    pub(super) sub: UserId,
    /// The device.
    pub(super) device: DeviceId,
    /// For whom. Checked with the signature; here only to be written.
    #[serde(skip_deserializing)]
    pub(super) aud: &'static str,
    /// When it was made.
    pub(super) iat: u64,
    /// From when on it is valid, if later than `iat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<u64>,
    /// From when on it is not valid any more.
    pub(super) exp: u64,
}

impl Claims {
    /// Who the token speaks for, if now is its time.
    pub(super) fn identity(self, now: Timestamp) -> Result<Identity, Refusal> {
        let expires_at = milliseconds(self.exp);
        if expires_at <= now {
            return Err(Refusal::plain(Code::TokenExpired));
        }
        let from = self.nbf.map_or(self.iat, |nbf| nbf.max(self.iat));
        if milliseconds(from.saturating_sub(AHEAD_SECONDS)) > now {
            return Err(Refusal::new(
                Code::Unauthorized,
                "the token is not valid yet",
            ));
        }
        Ok(Identity {
            user: self.sub,
            device: self.device,
            expires_at,
        })
    }
}

fn milliseconds(seconds: u64) -> Timestamp {
    Timestamp(i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX))
}

/// Whole seconds of a time, rounded down; 0 before 1970.
pub(super) fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.0.div_euclid(1_000)).unwrap_or(0)
}
