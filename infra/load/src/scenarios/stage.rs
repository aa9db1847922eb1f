//! Where a scenario takes place: a node of its own as a process, or one that runs already.
//!
//! A node of its own is the program that was built beside, on a fresh folder on a real disk, with
//! limits on rates raised so far that they do not matter; it is stopped by its id. Everything set
//! otherwise than by default is said in [`SETTINGS`].

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use anyhow::Context;
use infra_testkit::process::{NodeProcess, RunningNode, beside};
use rustix::fs::statfs;
use schemas::ids::{DeviceId, UserId};
use tempfile::TempDir;

use crate::fleet::Target;
use crate::raw::echo::Echo;

/// What a node of ours has set otherwise than by default.
pub const SETTINGS: &[(&str, &str)] = &[
    ("CURSUS__INGEST__COMMANDS__PER_SECOND", "1000000"),
    ("CURSUS__INGEST__COMMANDS__BURST", "1000000"),
    ("CURSUS__INGEST__MARKS__PER_SECOND", "1000000"),
    ("CURSUS__INGEST__MARKS__BURST", "1000000"),
    ("CURSUS__INGEST__ADDRESSES__PER_SECOND", "1000000"),
    ("CURSUS__INGEST__ADDRESSES__BURST", "1000000"),
    ("CURSUS__CONNECTIONS", "8192"),
    ("CURSUS__DELIVERY__MAX_SESSIONS", "19000"),
    ("CURSUS__TRACE", "warn"),
];
/// `TMPFS_MAGIC` (Linux, statfs(2)).
const TMPFS: u64 = 0x0102_1994;

/// Where the load goes, and what stands beside.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// A node that runs already, as 127.0.0.1:7800; without it, one is started
    #[arg(long, requires = "data")]
    pub node: Option<String>,
    /// The data folder of that node: its development key makes the tokens
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// The program of the node that is started; without it, the `cursus` built beside this one
    #[arg(long)]
    pub program: Option<PathBuf>,
    /// Where the started node keeps its data: a folder on a real disk
    #[arg(long, default_value = "target/load-data")]
    pub scratch: PathBuf,
}

/// A node to be loaded.
pub struct Stage {
    node: NodeProcess,
    running: Option<RunningNode>,
    /// For the node's data and the raw loops; goes when the stage does.
    scratch: TempDir,
    echo: PathBuf,
}

impl Stage {
    /// Sets it up: starts the node, unless one runs already.
    ///
    /// # Errors
    /// When the node does not start, or its folder would not be on a disk.
    pub fn set_up(place: &Place) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&place.scratch)?;
        let scratch = tempfile::tempdir_in(&place.scratch)?;
        on_disk(scratch.path())?;
        let echo = std::env::current_exe()?;
        if let (Some(node), Some(data)) = (&place.node, &place.data) {
            let address = address_of(node)?;
            let mut node = NodeProcess::new(Path::new(""), data, &[])?;
            node.address = address;
            return Ok(Self {
                node,
                running: None,
                scratch,
                echo,
            });
        }
        let program = place.program.clone().map_or_else(|| beside("cursus"), Ok)?;
        let mut node = NodeProcess::new(&program, &scratch.path().join("node"), &[])?;
        std::fs::create_dir_all(&node.data)?;
        let set = SETTINGS.iter().map(|(n, v)| ((*n).into(), (*v).into()));
        node.environment = set.collect();
        let running = Some(node.start()?);
        Ok(Self {
            node,
            running,
            scratch,
            echo,
        })
    }

    /// Another program than this one serves as echo (`cursus-load`): for tests.
    #[must_use]
    pub fn with_echo(self, program: &Path) -> Self {
        Self {
            echo: program.to_owned(),
            ..self
        }
    }

    /// Where a fleet connects.
    #[must_use]
    pub fn target(&self) -> Target {
        Target {
            address: self.node.address,
            path: "/v1/connect".to_owned(),
        }
    }

    /// A token.
    ///
    /// # Errors
    /// When the names are no ids, or the key cannot be read.
    pub fn token(&self, user: &str, device: &str) -> anyhow::Result<String> {
        self.node
            .token(&UserId::new(user)?, &DeviceId::new(device)?)
    }

    /// The node's process, if it is ours.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(RunningNode::id)
    }

    /// A folder on the same disk as the node's data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Starts an echo server.
    ///
    /// # Errors
    /// When it does not start.
    pub fn echo(&self) -> anyhow::Result<Echo> {
        Echo::start(&self.echo)
    }
}

/// What the settings of our nodes are, in words.
#[must_use]
pub fn settings() -> String {
    let all: Vec<_> = SETTINGS.iter().map(|(n, v)| format!("{n}={v}")).collect();
    all.join(" ")
}

fn on_disk(folder: &Path) -> anyhow::Result<()> {
    let kind = u64::try_from(statfs(folder)?.f_type).unwrap_or(0);
    anyhow::ensure!(
        kind != TMPFS,
        "{} is in memory: name a folder on a disk with --scratch",
        folder.display()
    );
    Ok(())
}

fn address_of(node: &str) -> anyhow::Result<SocketAddr> {
    let bare = node
        .trim_start_matches("ws://")
        .trim_start_matches("http://");
    let host = bare.split('/').next().unwrap_or_default();
    let mut found = host
        .to_socket_addrs()
        .with_context(|| format!("no node at {node}"))?;
    found
        .find(SocketAddr::is_ipv4)
        .context("the node has no IPv4 address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_by_url_or_address() {
        for name in [
            "127.0.0.1:7800",
            "ws://127.0.0.1:7800/v1/connect",
            "http://127.0.0.1:7800",
        ] {
            assert_eq!(
                address_of(name).unwrap(),
                SocketAddr::from(([127, 0, 0, 1], 7800))
            );
        }
        assert!(address_of("nonsense").is_err());
    }
}
