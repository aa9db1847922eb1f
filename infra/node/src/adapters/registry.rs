//! The registry that a node finds the others in: of this process only, or on Redis.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use infra_ports::Runtime;
use infra_ports::memory::MemoryRegistry;
use infra_ports::registry::SessionRegistry;
use infra_registry_redis::RedisRegistry;
use serde::{Deserialize, Serialize};

/// Which registry, and how workers keep their places in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where workers are found: in this process only (`memory`), or by all processes that share a
    /// `redis`.
    pub kind: Kind,
    /// How long a worker that was not heard of counts as there; it renews its lease each third of it.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// How often a gateway looks which workers there are.
    #[serde(with = "humantime_serde")]
    pub look_every: Duration,
    /// The registry on Redis.
    pub redis: infra_registry_redis::Config,
}

/// The kinds of registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// In this process.
    #[default]
    Memory,
    /// On Redis.
    Redis,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kind: Kind::default(),
            lease: Duration::from_secs(3),
            look_every: Duration::from_millis(250),
            redis: infra_registry_redis::Config::default(),
        }
    }
}

pub(super) fn open(
    config: &Config,
    runtime: &Arc<dyn Runtime>,
) -> anyhow::Result<Arc<dyn SessionRegistry>> {
    Ok(match config.kind {
        Kind::Memory => Arc::new(MemoryRegistry::new(Arc::clone(runtime))),
        Kind::Redis => Arc::new(RedisRegistry::new(&config.redis).context("the registry")?),
    })
}
