//! Settings of the registry on Redis.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// Settings of the registry.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where Redis is: `redis://[user:password@]host:port[/database]`. Never printed whole.
    pub url: String,
    /// What stands before each key, so that several platforms can share a Redis; without `{`.
    pub key_prefix: String,
    /// How long Redis may take to answer, and to take a connection.
    #[serde(with = "humantime_serde")]
    pub answer_within: Duration,
    /// How long it is remembered when somebody was seen last.
    #[serde(with = "humantime_serde")]
    pub last_seen_for: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            key_prefix: "cursus:".to_owned(),
            answer_within: Duration::from_millis(500),
            last_seen_for: Duration::from_secs(30 * 24 * 3_600),
        }
    }
}

/// Why settings are of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not the address of a Redis; it is not repeated, because a password may stand in it.
    #[error(
        "the registry's url is not redis://host:port (it may hold a password and is not shown)"
    )]
    Url,
    /// A `{` would decide on a key's slot.
    #[error("the registry's key prefix may not contain {{")]
    Prefix,
}

/// Without what stands in the URL before the host: it may hold a password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self
            .url
            .rsplit_once('@')
            .map_or_else(|| self.url.clone(), |(_, host)| format!("redis://…@{host}"));
        f.debug_struct("Config")
            .field("url", &host)
            .field("key_prefix", &self.key_prefix)
            .field("answer_within", &self.answer_within)
            .field("last_seen_for", &self.last_seen_for)
            .finish()
    }
}

impl Config {
    /// The client of these settings; connects nowhere.
    pub(crate) fn client(&self) -> Result<redis::Client, ConfigError> {
        if self.key_prefix.contains('{') {
            return Err(ConfigError::Prefix);
        }
        redis::Client::open(self.url.as_str()).map_err(|_| ConfigError::Url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed_not_even_of_an_address_that_is_none() {
        let mut config = Config {
            url: "redis://ada:hunter2@localhost:1/0".to_owned(),
            ..Config::default()
        };
        let printed = format!("{config:?}");
        assert!(printed.contains("localhost:1") && !printed.contains("hunter2"));
        assert!(config.client().is_ok());
        config.url = "rodis://ada:hunter2@localhost".to_owned();
        let error = config.client().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        config.key_prefix = "a{b}".to_owned();
        assert_eq!(config.client().unwrap_err(), ConfigError::Prefix);
    }
}
