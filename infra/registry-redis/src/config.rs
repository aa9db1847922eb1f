//! Settings of the registry on Redis.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use openssl::ssl::SslConnector;
use redis::IntoConnectionInfo;
use serde::{Deserialize, Serialize, Serializer};

/// Settings of the registry.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where Redis is: `redis://host:port`, or `rediss://` for TLS, and `/database` where it is not the
    /// first one. A password in it is not printed; better it stands in a file.
    #[serde(serialize_with = "without_password")]
    pub url: String,
    /// Who logs in; without it, Redis's own default user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// File whose first line is the password. Without it, none is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// File with the authorities (PEM) that may have signed the certificate of a `rediss://`; without it,
    /// the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
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
            user: None,
            password_file: None,
            ca_file: None,
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
        "the registry's url is not redis://host:port or rediss://host:port (it may hold a password and is not shown)"
    )]
    Url,
    /// The password cannot be read.
    #[error("the registry's password in {file}: {reason}")]
    Password {
        /// Where it was looked for.
        file: PathBuf,
        /// Why it is not there.
        reason: String,
    },
    /// The authorities cannot be read, or there is no TLS that needs them.
    #[error("the registry's ca_file: {0}")]
    Authorities(String),
    /// A `{` would decide on a key's slot.
    #[error("the registry's key prefix may not contain {{")]
    Prefix,
}

/// Without what stands in the URL before the host: it may hold a password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &shown(&self.url))
            .field("user", &self.user)
            .field("password_file", &self.password_file)
            .field("ca_file", &self.ca_file)
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
        // TLS is put under the connection by ourselves: the `tls` room.
        let url = self.url.replacen("rediss://", "redis://", 1);
        let mut info = url
            .as_str()
            .into_connection_info()
            .map_err(|_| ConfigError::Url)?;
        let mut login = info.redis_settings().clone();
        if let Some(user) = &self.user {
            login = login.set_username(user);
        }
        if let Some(file) = &self.password_file {
            let text = std::fs::read_to_string(file).map_err(|reason| ConfigError::Password {
                file: file.clone(),
                reason: reason.to_string(),
            })?;
            login = login.set_password(text.lines().next().unwrap_or_default());
        }
        info = info.set_redis_settings(login);
        redis::Client::open(info).map_err(|_| ConfigError::Url)
    }

    /// Whom a connection with TLS trusts; none without TLS.
    pub(crate) fn trusted(&self) -> Result<Option<SslConnector>, ConfigError> {
        match (self.url.starts_with("rediss://"), &self.ca_file) {
            (false, None) => Ok(None),
            (false, Some(_)) => Err(ConfigError::Authorities("no rediss:// needs it".to_owned())),
            (true, ca_file) => crate::tls::connector(ca_file.as_deref())
                .map(Some)
                .map_err(|error| ConfigError::Authorities(error.to_string())),
        }
    }
}

/// A URL without who logs in.
fn shown(url: &str) -> String {
    let parts = url.rsplit_once('@');
    let scheme = url.split_once("://").map_or("redis", |(scheme, _)| scheme);
    parts.map_or_else(
        || url.to_owned(),
        |(_, host)| format!("{scheme}://…@{host}"),
    )
}

fn without_password<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shown(url))
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
        config.url = "redis://localhost:1".to_owned();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        config.password_file = Some(file.clone());
        let error = config.client().unwrap_err();
        assert!(
            error.to_string().contains("password"),
            "{error} names the file"
        );
        std::fs::write(&file, "hunter2\n").unwrap();
        let client = config.client().unwrap();
        let login = client.get_connection_info().redis_settings().clone();
        assert_eq!(login.password(), Some("hunter2"));
        assert!(!format!("{config:?}").contains("hunter2"));
        config.key_prefix = "a{b}".to_owned();
        assert_eq!(config.client().unwrap_err(), ConfigError::Prefix);
    }
}
