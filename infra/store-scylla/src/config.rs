//! Settings of the store on Cassandra.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslConnectorBuilder, SslMethod};
use openssl::x509::store::X509StoreBuilder;
use serde::{Deserialize, Serialize};

use crate::errors::ConnectError;

/// Settings of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Nodes to begin with: `host:port`, with commas between; the others are learned from them.
    pub contact_points: String,
    /// Where the tables are. Created when it does not exist.
    pub keyspace: String,
    /// The data centre whose nodes are asked; without it, any node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub datacentre: Option<String>,
    /// Replicas of a keyspace that is created: in the data centre or, without one, in each.
    pub replicas: u16,
    /// How tables that are created are compacted: `leveled`, or `unified` on Cassandra 5 and later.
    pub compaction: Compaction,
    /// Who logs in; without it, nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// File with their password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Connections are encrypted, and nodes show certificates for the addresses they are reached at.
    pub tls: bool,
    /// File with the authorities (PEM) that such certificates may be signed by; without it, the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// How long a request may take, its retries included, before it is answered as unavailable.
    #[serde(with = "humantime_serde")]
    pub answer_within: Duration,
    /// Write requests under way at once; the others wait for their turn.
    pub writes_at_once: usize,
}

/// How tables are compacted. Not by time windows: write timestamps are positions in a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compaction {
    /// Levels: Cassandra and ScyllaDB know it.
    #[default]
    Leveled,
    /// Unified: Cassandra 5 and later.
    Unified,
}

impl Compaction {
    /// As an option of a table.
    pub(crate) const fn option(self) -> &'static str {
        match self {
            Self::Leveled => "compaction = {'class': 'LeveledCompactionStrategy'}",
            Self::Unified => "compaction = {'class': 'UnifiedCompactionStrategy'}",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            contact_points: "127.0.0.1:9042".to_owned(),
            keyspace: "cursus".to_owned(),
            datacentre: None,
            replicas: 3,
            compaction: Compaction::default(),
            user: None,
            password_file: None,
            tls: false,
            ca_file: None,
            answer_within: Duration::from_secs(10),
            writes_at_once: 64,
        }
    }
}

/// What a user shows to be let in. Not printed.
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Refuses what no waiting mends.
    pub(crate) fn check(&self) -> Result<(), ConnectError> {
        if !self.names_a_keyspace() {
            return Err(ConnectError::Config(
                "the keyspace is no name of lower case letters, digits and underscores",
            ));
        }
        if !self.names_a_datacentre() {
            return Err(ConnectError::Config("the data centre is no name"));
        }
        if self.writes_at_once == 0 {
            return Err(ConnectError::Config("no writes at once at all"));
        }
        self.trusted()?;
        self.credentials().map(drop)
    }

    /// Whom a connection with TLS trusts; none without TLS.
    pub(crate) fn trusted(&self) -> Result<Option<SslConnectorBuilder>, ConnectError> {
        match (self.tls, &self.ca_file) {
            (false, None) => Ok(None),
            (false, Some(_)) => Err(ConnectError::Config("a ca_file, and no tls")),
            (true, ca_file) => connector(ca_file.as_deref()).map(Some).map_err(|reason| {
                ConnectError::Authorities {
                    file: ca_file.clone().unwrap_or_default(),
                    reason,
                }
            }),
        }
    }

    /// The user and their password; none when nobody logs in.
    pub(crate) fn credentials(&self) -> Result<Option<Credentials>, ConnectError> {
        let (Some(user), Some(file)) = (&self.user, &self.password_file) else {
            return match (&self.user, &self.password_file) {
                (None, None) => Ok(None),
                _ => Err(ConnectError::Config(
                    "a user without a password file, or one without a user",
                )),
            };
        };
        Ok(Some(Credentials {
            user: user.clone(),
            password: first_line(file)?,
        }))
    }

    /// True when the keyspace's name may stand in a statement as it is.
    pub(crate) fn names_a_keyspace(&self) -> bool {
        let name = &self.keyspace;
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        begins && name.len() <= 48 && name.chars().all(plain)
    }

    /// True when the data centre's name may stand in a statement as it is.
    pub(crate) fn names_a_datacentre(&self) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let name = self.datacentre.as_deref();
        name.is_none_or(|name| !name.is_empty() && name.chars().all(plain))
    }
}

/// Trusts these authorities and no others; without a file, the system's.
fn connector(ca_file: Option<&Path>) -> Result<SslConnectorBuilder, ErrorStack> {
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    if let Some(file) = ca_file {
        connector.set_cert_store(X509StoreBuilder::new()?.build());
        connector.set_ca_file(file)?;
    }
    Ok(connector)
}

fn first_line(file: &Path) -> Result<String, ConnectError> {
    let read = std::fs::read_to_string(file);
    let text = read.map_err(|reason| ConnectError::Password {
        file: file.to_owned(),
        reason,
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_read_and_not_printed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let mut config = Config {
            user: Some("cursus".to_owned()),
            password_file: Some(file.clone()),
            ..Config::default()
        };
        let credentials = config.credentials().unwrap().unwrap();
        assert_eq!(credentials.password, "hunter2");
        assert!(!format!("{config:?} {credentials:?}").contains("hunter2"));
        std::fs::remove_file(&file).unwrap();
        let error = config.credentials().unwrap_err().to_string();
        assert!(error.contains("password"), "{error} names the file");
        config.password_file = None;
        assert!(config.credentials().is_err(), "a user without a password");
        config.user = None;
        assert!(config.credentials().unwrap().is_none());
    }

    #[test]
    fn what_would_break_out_of_a_statement_is_no_name() {
        let named = |keyspace: &str, datacentre: &str| {
            let config = Config {
                keyspace: keyspace.to_owned(),
                datacentre: Some(datacentre.to_owned()),
                ..Config::default()
            };
            (config.names_a_keyspace(), config.names_a_datacentre())
        };
        assert_eq!(named("cursus_2", "eu-west.1"), (true, true));
        for bad in ["", "a b", "a'", "a;", "Ä"] {
            assert_eq!(named(bad, bad), (false, false), "{bad:?}");
        }
        assert!(!named("Cursus", "x").0 && !named("1a", "x").0);
    }
}
