//! The configuration of a whole node: defaults < TOML < environment `CURSUS__…` < flags.
//!
//! Each part's own `Config` stands beside the part; unknown keys are refused; secrets are never
//! printed. `cursus config` prints the effective one. What contradicts itself is refused when a node
//! starts ([`crate::contradictions`]).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

pub use crate::adapters::{log, registry, store};
use crate::roles::Roles;
pub use crate::schema_registry;
use crate::{links, traces};

/// What can be configured, and its defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What this process does, with commas between: `all`, or some of `gateway`, `ingest`, `worker`,
    /// `projectors`, `projector:chats,inbox`.
    pub roles: Roles,
    /// The name of this process among the others of its platform. Without it, one made of the host's
    /// name and a number, another one at each start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where HTTP and WebSocket are served. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where `/healthz`, `/readyz` and `/metrics` are served apart; without it, beside all else at
    /// `listen`, where those who are not on this machine share their address's rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operators_listen: Option<SocketAddr>,
    /// Where log, tables and the development key are kept.
    pub data: PathBuf,
    /// What is traced, in `tracing_subscriber`'s filter syntax.
    pub trace: String,
    /// Where spans go, if anywhere.
    pub telemetry: traces::Config,
    /// Where clients are sent when this node goes down: a WebSocket URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect_to: Option<String>,
    /// How long a graceful shutdown may take.
    #[serde(with = "humantime_serde")]
    pub shutdown_within: Duration,
    /// How long something may wait without getting any further before the node is not ready: a
    /// record for its consumer, a batch for the sockets, the log for its disk.
    #[serde(with = "humantime_serde")]
    pub ready_lag: Duration,
    /// HTTP connections at once; sessions are counted apart (`delivery.max_sessions`).
    pub connections: u32,
    /// And from one address (of IPv6 the /64), sockets included that have not said who they are; one
    /// that has as many is turned away at the door.
    pub connections_per_address: u32,
    /// Sockets at once, from all addresses together, that brought no token in their handshake and
    /// have not said hello yet; one more is told to try later.
    pub sockets_without_hello: u32,
    /// Which log, and its settings.
    pub log: log::Config,
    /// Which store, and its settings.
    pub store: store::Config,
    /// The schema registry.
    pub schema_registry: schema_registry::Config,
    /// How processes find each other.
    pub registry: registry::Config,
    /// The link between workers and gateways of several processes.
    pub link: links::Config,
    /// Checks and limits of commands.
    pub ingest: ingest::Config,
    /// The projector engine.
    pub projectors: projectors::Config,
    /// Sessions and delivery.
    pub delivery: delivery::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            roles: Roles::default(),
            name: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 7800)),
            operators_listen: None,
            data: PathBuf::from("./data"),
            trace: "info,fjall=warn,lsm_tree=warn".to_owned(),
            telemetry: traces::Config::default(),
            reconnect_to: None,
            shutdown_within: Duration::from_secs(20),
            ready_lag: Duration::from_secs(5),
            connections: 2_048,
            connections_per_address: 1_024,
            sockets_without_hello: 2_048,
            log: log::Config::default(),
            store: store::Config::default(),
            schema_registry: schema_registry::Config::default(),
            registry: registry::Config::default(),
            link: links::Config::default(),
            ingest: ingest::Config::default(),
            projectors: projectors::Config::default(),
            delivery: delivery::Config::default(),
        }
    }
}

/// What flags may override.
#[derive(Debug, Clone, Default, Serialize, clap::Args)]
pub struct Overrides {
    /// What this process does: all, or some of gateway,ingest,worker,projectors,projector:chats,inbox
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Roles>,
    /// Where HTTP and WebSocket are served, as 127.0.0.1:7800; port 0 takes a free one
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Where log, tables and the development key are kept
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// What is traced, as info,delivery=debug
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

impl Config {
    /// The effective configuration. `file` must exist when it is named; `cursus.toml` in the
    /// working directory is read when there is one.
    ///
    /// # Errors
    /// When a file cannot be read, a key is unknown or a value is not of its kind: the message
    /// names the key and where it came from.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> anyhow::Result<Self> {
        if let Some(path) = file {
            anyhow::ensure!(
                path.is_file(),
                "no configuration file at {}",
                path.display()
            );
        }
        let found = file
            .or(Some(Path::new("cursus.toml")))
            .filter(|path| path.is_file());
        let mut layers = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = found {
            layers = layers.merge(Toml::file_exact(path));
        }
        let config = layers
            .merge(Env::prefixed("CURSUS__").split("__"))
            .merge(Serialized::defaults(overrides))
            .extract()?;
        Ok(config)
    }

    /// The configuration as TOML, for people. There are no secrets in it: keys are named by file.
    ///
    /// # Errors
    /// When a value has no TOML form, which is a defect.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        Ok(toml::to_string_pretty(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_below_flags_and_unknown_keys_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.toml");
        std::fs::write(&file, "trace = \"debug\"\n[delivery]\nmax_sessions = 7\n").unwrap();
        let overrides = Overrides {
            trace: Some("warn".into()),
            ..Overrides::default()
        };
        let config = Config::load(Some(&file), &overrides).unwrap();
        assert_eq!(
            (config.trace.as_str(), config.delivery.max_sessions),
            ("warn", 7)
        );
        for bad in [
            "nonsense = 1",
            "[delivery]\nnonsense = 1",
            "listen = 7",
            "[log.embedded]\nsegment_bytes = -1",
            "[log]\nkind = \"paper\"",
            "[store.cassandra]\npassword = \"hunter2\"",
            "roles = \"gateway,butler\"",
        ] {
            std::fs::write(&file, bad).unwrap();
            assert!(
                Config::load(Some(&file), &Overrides::default()).is_err(),
                "{bad}"
            );
        }
        assert!(Config::load(Some(&folder.path().join("none")), &Overrides::default()).is_err());
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (file, config) = (folder.path().join("c.toml"), Config::default());
        std::fs::write(&file, config.to_toml().unwrap()).unwrap();
        assert_eq!(
            Config::load(Some(&file), &Overrides::default()).unwrap(),
            config
        );
    }
}
