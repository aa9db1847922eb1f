//! The registry on a real Redis, and on one in cluster mode, keeps the laws of the port.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests may fail loudly"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use infra_ports::laws::registry::RegistryPlace;
use infra_ports::registry::SessionRegistry;
use infra_registry_redis::{Config, RedisRegistry};
use infra_servers::Servers;

static PLACES: AtomicU32 = AtomicU32::new(0);

struct Place(Config);

impl Place {
    /// Keys of its own.
    fn new(address: &str) -> Self {
        let n = PLACES.fetch_add(1, Ordering::Relaxed);
        Self(Config {
            url: format!("redis://{address}"),
            key_prefix: format!("law{n}:"),
            answer_within: Duration::from_secs(20),
            ..Config::default()
        })
    }
}

#[async_trait]
impl RegistryPlace for Place {
    async fn open(&self) -> Arc<dyn SessionRegistry> {
        Arc::new(RedisRegistry::new(&self.0).unwrap())
    }

    async fn lose_everything(&self) {
        let client = redis::Client::open(self.0.url.as_str()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let ours = format!("{}*", self.0.key_prefix);
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg(ours)
            .query_async(&mut redis)
            .await
            .unwrap();
        for key in keys {
            let mut delete = redis::cmd("DEL");
            delete.arg(key).exec_async(&mut redis).await.unwrap();
        }
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_registry_on_redis_keeps_the_laws_also_in_cluster_mode() {
    let servers = Servers::start(&["redis", "redis-cluster"]).unwrap();
    for address in [servers.redis(), servers.redis_cluster()] {
        let laws = infra_ports::laws::registry::run(async || Place::new(address));
        let laws = tokio::time::timeout(Duration::from_secs(120), laws);
        laws.await.expect("the laws end");
    }
}
