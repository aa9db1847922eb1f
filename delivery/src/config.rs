//! What can be configured of delivery. Limits that are part of the protocol are constants, not
//! settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The configuration of delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Sockets that this process holds at most; keep it below the limit of open files.
    pub max_sessions: usize,
    /// Sockets of one user at most, over all devices; one more is told to try later.
    pub sessions_per_user: usize,
    /// Bytes that may wait for one session before it counts as a slow consumer.
    pub outbox_bytes: usize,
    /// Frames that may wait for one session before it counts as a slow consumer.
    pub outbox_frames: usize,
    /// How long a socket may stay open without a valid token.
    #[serde(with = "humantime_serde")]
    pub hello_within: Duration,
    /// A session that was silent for so long is pinged.
    #[serde(with = "humantime_serde")]
    pub ping_after: Duration,
    /// A session that was silent for so long is closed.
    #[serde(with = "humantime_serde")]
    pub dead_after: Duration,
    /// How long marks are gathered before they are appended; longer, up to 100 ms, while appends take longer.
    #[serde(with = "humantime_serde")]
    pub mark_tick: Duration,
    /// What was pushed and not marked after so long is pushed again, after 2, 4, 8, 16 and 32 s.
    #[serde(with = "humantime_serde")]
    pub retry_after: Duration,
    /// How long a new session waits for its inbox to be as new as the log.
    #[serde(with = "humantime_serde")]
    pub inbox_within: Duration,
    /// How long a read, or a mark that needs one, may wait for the tables before it is refused with
    /// `unavailable`.
    #[serde(with = "humantime_serde")]
    pub tables_within: Duration,
    /// How long a closing session may take to read what waits for it.
    #[serde(with = "humantime_serde")]
    pub close_within: Duration,
    /// When a client of a server that goes down should come back, at the earliest.
    #[serde(with = "humantime_serde")]
    pub reconnect_after: Duration,
    /// Records that the worker takes from the log at once, at most.
    pub worker_batch: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_sessions: 15_000,
            sessions_per_user: 100,
            outbox_bytes: 4 << 20,
            outbox_frames: 8_192,
            hello_within: Duration::from_secs(10),
            ping_after: Duration::from_secs(30),
            dead_after: Duration::from_secs(45),
            mark_tick: Duration::from_millis(5),
            retry_after: Duration::from_secs(5),
            inbox_within: Duration::from_secs(2),
            tables_within: Duration::from_secs(10),
            close_within: Duration::from_secs(2),
            reconnect_after: Duration::from_millis(200),
            worker_batch: 1_024,
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
        assert!(serde_json::from_str::<Config>(r#"{"sockets":1}"#).is_err());
    }
}
