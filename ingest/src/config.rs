//! What can be configured of ingest: where the keys are, how much a client may ask for, and how long
//! HTTP waits for a verdict. Limits that are part of the protocol are constants, not settings.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The configuration of ingest. Holds no secret: keys stand in a file of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// File with the keys that tokens are checked with: a JWK set ([`crate::Keys::from_jwk_set`]).
    /// Without one, only the development key is valid. Read once, when the node starts: a key that is
    /// added or withdrawn counts from the next start on, and sessions live until their tokens expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<PathBuf>,
    /// How long an HTTP command waits for its verdict before it is answered with 202.
    #[serde(with = "humantime_serde")]
    pub verdict_within: Duration,
    /// How many devices, and how many addresses, are remembered for their rates; beyond that those
    /// with the most allowance left are forgotten first. About 150 bytes each.
    pub remembered: NonZeroU32,
    /// Commands of one device of one user.
    pub commands: Rate,
    /// Marks of one device of one user, after the gateway has merged them.
    pub marks: Rate,
    /// Reads of one device of one user, over frames and HTTP, and marks that the tables must be asked for.
    pub reads: Rate,
    /// HTTP requests and handshakes of one address, before any token is looked at.
    pub addresses: Rate,
}

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// So many a second in the long run; finer than a nanosecond apart is not told apart.
    pub per_second: NonZeroU32,
    /// So many at once, after a pause.
    pub burst: NonZeroU32,
}

impl Rate {
    /// A rate; zero is taken as one, since "never" is no rate.
    #[must_use]
    pub fn new(per_second: u32, burst: u32) -> Self {
        let at_least_one = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self {
            per_second: at_least_one(per_second),
            burst: at_least_one(burst),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keys: None,
            verdict_within: Duration::from_secs(5),
            remembered: NonZeroU32::MIN.saturating_add(99_999),
            commands: Rate::new(200, 1_000),
            // A device that comes back marks every chat it has missed something in.
            marks: Rate::new(2_000, 10_000),
            // A device that shows a chat list asks for a page of each chat on it.
            reads: Rate::new(500, 2_000),
            // Many people may stand behind one address.
            addresses: Rate::new(1_000, 5_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_survives_json_and_unknown_keys_are_refused() {
        let config = Config::default();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), config);
        assert!(serde_json::from_str::<Config>(r#"{"rate":1}"#).is_err());
        let zero = r#"{"commands":{"per_second":0,"burst":1}}"#;
        assert!(serde_json::from_str::<Config>(zero).is_err());
    }
}
