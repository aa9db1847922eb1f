//! Where a scenario takes place: a node of its own as a process, or one that runs already.
//!
//! A node of its own is the program that was built beside, on a fresh folder on a real disk, with
//! limits on rates raised so far that they do not matter; it is stopped by its id. Everything set
//! otherwise than by default is said in [`SETTINGS`].

use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use infra_testkit::process::{NodeProcess, RunningNode, beside};
use rustix::fs::statfs;
use schemas::ids::{DeviceId, UserId};
use tempfile::TempDir;

use crate::fleet::Target;
use crate::fleet::tally::Latencies;
use crate::raw::server::Server;
use crate::raw::zeroed::ZeroedFile;
use crate::raw::{echo, fsync, sends};
use crate::scenarios::measure::Span;

/// What a node of ours has set otherwise than by default.
pub const SETTINGS: &[(&str, &str)] = &[
    ("CURSUS__INGEST__COMMANDS__PER_SECOND", "1000000"),
    ("CURSUS__INGEST__COMMANDS__BURST", "1000000"),
    ("CURSUS__INGEST__MARKS__PER_SECOND", "1000000"),
    ("CURSUS__INGEST__MARKS__BURST", "1000000"),
    ("CURSUS__INGEST__ADDRESSES__PER_SECOND", "1000000"),
    ("CURSUS__INGEST__ADDRESSES__BURST", "1000000"),
    ("CURSUS__CONNECTIONS", "8192"),
    ("CURSUS__CONNECTIONS_PER_ADDRESS", "8192"),
    ("CURSUS__DELIVERY__MAX_SESSIONS", "19000"),
    ("CURSUS__TRACE", "warn"),
];
/// `TMPFS_MAGIC` (Linux, statfs(2)).
const TMPFS: u64 = 0x0102_1994;

/// Where the load goes, and what stands beside.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// A node that runs already, as 127.0.0.1:7800, or several of one cluster, separated by commas;
    /// without it, one is started
    #[arg(long, global = true, value_delimiter = ',')]
    pub node: Vec<String>,
    /// The data folder of that node: its development key makes the tokens
    #[arg(long, global = true)]
    pub data: Option<PathBuf>,
    /// The program of the node that is started; without it, the `cursus` built beside this one
    #[arg(long, global = true)]
    pub program: Option<PathBuf>,
    /// Where the started node keeps its data: a folder on a real disk
    #[arg(long, global = true, default_value = "target/load-data")]
    pub scratch: PathBuf,
}

/// A node to be loaded.
pub struct Stage {
    node: NodeProcess,
    /// Other nodes of the same cluster.
    others: Vec<SocketAddr>,
    running: Option<RunningNode>,
    /// For the node's data and the raw loops; goes when the stage does.
    scratch: TempDir,
    /// The program that serves as a bare server: this one.
    bare: PathBuf,
    names: Cell<usize>,
    /// What the raw loop writes into, on the same disk.
    raw: RefCell<ZeroedFile>,
}

impl Stage {
    /// Sets it up: starts the node, unless one runs already.
    ///
    /// # Errors
    /// When the node does not start, or its folder would not be on a disk.
    pub fn set_up(place: &Place) -> anyhow::Result<Self> {
        Self::set_up_with(place, &[])
    }

    /// The same with more settings of the node that is started.
    ///
    /// # Errors
    /// As [`set_up`](Self::set_up).
    pub fn set_up_with(place: &Place, more: &[(&str, &str)]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&place.scratch)?;
        let scratch = tempfile::tempdir_in(&place.scratch)?;
        on_disk(scratch.path())?;
        let (bare, names) = (std::env::current_exe()?, Cell::new(0));
        let raw = RefCell::new(ZeroedFile::make(&scratch.path().join("raw"))?);
        if let Some((first, others)) = place.node.split_first() {
            let data = place.data.as_ref().context("--node needs --data")?;
            let mut node = NodeProcess::new(Path::new(""), data, &[])?;
            node.address = address_of(first)?;
            let others = others.iter().map(|other| address_of(other));
            return Ok(Self {
                node,
                others: others.collect::<anyhow::Result<_>>()?,
                running: None,
                scratch,
                bare,
                names,
                raw,
            });
        }
        let program = place.program.clone().map_or_else(|| beside("cursus"), Ok)?;
        let mut node = NodeProcess::new(&program, &scratch.path().join("node"), &[])?;
        std::fs::create_dir_all(&node.data)?;
        let set = SETTINGS
            .iter()
            .chain(more)
            .map(|(n, v)| ((*n).into(), (*v).into()));
        node.environment = set.collect();
        let running = Some(node.start()?);
        Ok(Self {
            node,
            others: Vec::new(),
            running,
            scratch,
            bare,
            names,
            raw,
        })
    }

    /// Where a fleet connects.
    #[must_use]
    pub fn target(&self) -> Target {
        Target {
            address: self.node.address,
            path: "/v1/connect".to_owned(),
        }
    }

    /// Where the `n`-th of several processes connects, and the folder with the key for its tokens.
    #[must_use]
    pub fn node(&self, n: usize) -> (SocketAddr, &Path) {
        let place = n % (self.others.len() + 1);
        let other = place.checked_sub(1).and_then(|n| self.others.get(n));
        (*other.unwrap_or(&self.node.address), &self.node.data)
    }

    /// The URL of a path.
    #[must_use]
    pub fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.node.address)
    }

    /// A name that no other scenario on this node has.
    #[must_use]
    pub fn fresh_name(&self) -> String {
        self.names.set(self.names.get() + 1);
        format!("l{}-{}", std::process::id(), self.names.get())
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

    /// How long write and fdatasync take on the disk of the node's data, of so many records a second.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn fsync(&self, rate: u64, span: Span) -> anyhow::Result<Latencies> {
        let [warm_up, seconds] = [span.warm_up, span.seconds].map(Duration::from_secs_f64);
        fsync::measure(&mut self.raw.borrow_mut(), rate, warm_up, seconds)
    }

    /// Starts a bare echo server.
    ///
    /// # Errors
    /// When it does not start.
    pub fn echo(&self) -> anyhow::Result<Server> {
        Server::start(&self.bare, echo::ARGUMENT)
    }

    /// Starts a bare server that writes what one says to all.
    ///
    /// # Errors
    /// When it does not start.
    pub fn sends(&self) -> anyhow::Result<Server> {
        Server::start(&self.bare, sends::ARGUMENT)
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
