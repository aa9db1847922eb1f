//! A whole node in the test's own process, on a free port and a data folder of its own.

use std::net::{Ipv4Addr, SocketAddr};

use infra_node::config::Config;
use infra_node::node::{Adapters, Node};
use schemas::ids::{DeviceId, UserId};
use tempfile::TempDir;

/// A node with its data folder, which goes when the platform is dropped.
pub struct Platform {
    node: Node,
    config: Box<Config>,
    data: TempDir,
}

impl Platform {
    /// Starts a node with the default configuration.
    ///
    /// # Errors
    /// When the node does not start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(|_| {}).await
    }

    /// Starts a node with a changed configuration.
    ///
    /// # Errors
    /// When the node does not start.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> anyhow::Result<Self> {
        Self::start_on(change, |adapters| adapters).await
    }

    /// Starts a node with a changed configuration on changed adapters.
    ///
    /// # Errors
    /// When the node does not start.
    pub async fn start_on(
        change: impl FnOnce(&mut Config),
        adapt: impl FnOnce(Adapters) -> Adapters,
    ) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let mut config = Box::new(Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data: data.path().to_owned(),
            ..Config::default()
        });
        change(&mut config);
        let adapters = adapt(Box::pin(Adapters::open(&config)).await?);
        let node = Box::pin(Node::start(Config::clone(&config), adapters)).await?;
        Ok(Self { node, config, data })
    }

    /// Stops the node in order and starts another one on the same data and port.
    ///
    /// # Errors
    /// When the node does not start again.
    pub async fn restart(self) -> anyhow::Result<Self> {
        let Self {
            node,
            mut config,
            data,
        } = self;
        config.listen = node.address();
        node.shutdown().await?;
        let adapters = Box::pin(Adapters::open(&config)).await?;
        let node = Box::pin(Node::start(Config::clone(&config), adapters)).await?;
        Ok(Self { node, config, data })
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The folder with log and tables.
    pub fn data(&self) -> &std::path::Path {
        self.data.path()
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("ws://{}/v1/connect", self.node.address())
    }

    /// Where HTTP is served.
    pub fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.node.address())
    }

    /// A token for a user's device.
    ///
    /// # Errors
    /// When the names are no ids.
    pub fn token(&self, user: &str, device: &str) -> anyhow::Result<String> {
        self.node.mint(&UserId::new(user)?, &DeviceId::new(device)?)
    }

    /// Stops the node in order.
    ///
    /// # Panics
    /// When it did not go in order: nothing a test does to a sound node may have that effect.
    #[expect(clippy::panic, reason = "a test may fail loudly")]
    pub async fn shutdown(self) {
        if let Err(error) = self.try_shutdown().await {
            panic!("the node did not go down in order: {error:#}");
        }
    }

    /// Stops the node in order.
    ///
    /// # Errors
    /// What did not go in order: a test that broke a part of the node says what it is to be.
    pub async fn try_shutdown(self) -> anyhow::Result<()> {
        self.node.shutdown().await
    }
}
