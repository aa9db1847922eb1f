//! How workers and gateways of several processes find each other and are linked: a worker serves its
//! link and keeps a lease that says where; a gateway looks at the leases and links to each.

mod dial;
mod lease;
mod look;
mod served;

pub(crate) use look::Linked;
pub(crate) use served::Served;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use infra_link_tcp::Secret;
use infra_ports::registry::NodeName;
use serde::{Deserialize, Serialize};

use crate::config::Config as NodeConfig;

/// The group of the workers' leases.
const WORKERS: &str = "workers";

/// Where a worker serves its link, and what both ends know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where a worker takes the links of gateways. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// What a worker says its address is, `host:port`, where gateways reach it by another one than it
    /// listens on. Without it, `link.listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    /// File whose first line is the secret that workers and gateways of one platform know: at least
    /// 16 bytes. Needed with a registry that processes share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// Bytes that may wait for one gateway before its link is cut, and its users resume.
    pub queue_bytes: usize,
    /// Of a gateway: the next worker in line for a partition tells its users too, so that nobody resumes
    /// when the first is lost. Each record of `users` is read and sent over a link twice.
    pub hot_standby: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7810)),
            advertise: None,
            secret_file: None,
            queue_bytes: 64 << 20,
            hot_standby: false,
        }
    }
}

impl Config {
    fn secret(&self) -> anyhow::Result<Secret> {
        let Some(file) = &self.secret_file else {
            bail!("link.secret_file names no file");
        };
        let text = std::fs::read_to_string(file);
        let text = text.with_context(|| format!("the link's secret in {}", file.display()))?;
        let line = text.lines().next().unwrap_or_default();
        Secret::new(line.as_bytes()).with_context(|| file.display().to_string())
    }

    fn of_link(&self) -> infra_link_tcp::Config {
        infra_link_tcp::Config::with_queue(self.queue_bytes)
    }
}

/// The name of this process among the others: the configured one, else the host's and a number that no
/// other process has.
pub(crate) fn name(config: &NodeConfig) -> anyhow::Result<NodeName> {
    if let Some(name) = &config.name {
        return NodeName::new(name).with_context(|| format!("name = {name:?}"));
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let host: String = host.chars().filter(|c| fits(*c)).take(40).collect();
    let number = fastrand::u32(..);
    Ok(NodeName::new(&format!("n-{host}-{number:08x}"))?)
}

fn workers() -> NodeName {
    NodeName::new(WORKERS).expect("a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_a_name_gets_one_of_its_own() {
        let config = NodeConfig::default();
        assert_ne!(name(&config).unwrap(), name(&config).unwrap());
        let named = |name: &str| NodeConfig {
            name: Some(name.to_owned()),
            ..NodeConfig::default()
        };
        assert_eq!(name(&named("worker-1")).unwrap().as_str(), "worker-1");
        assert!(name(&named("a b")).is_err());
    }

    #[test]
    fn the_secret_is_the_first_line_of_its_file_and_an_error_says_which_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let config = Config {
            secret_file: Some(file.clone()),
            ..Config::default()
        };
        assert!(format!("{:#}", config.secret().unwrap_err()).contains("secret"));
        std::fs::write(&file, "short\n").unwrap();
        assert!(config.secret().is_err());
        std::fs::write(&file, "sixteen or more bytes\n").unwrap();
        assert!(!format!("{:?}", config.secret().unwrap()).contains("sixteen"));
        assert!(Config::default().secret().is_err());
    }
}
