//! The laws of the port.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use infra_ports::TableStore;
use infra_ports::laws::store::StorePlace;
use infra_store_scylla::{Config, ScyllaStore};

use super::{SERVERS, fresh};

struct Place(Config);

#[async_trait]
impl StorePlace for Place {
    async fn open(&self) -> Arc<dyn TableStore> {
        Arc::new(ScyllaStore::connect(self.0.clone()).await.unwrap())
    }

    /// A killed process takes nothing with it that it was answered.
    async fn crash(&self) {}
}

#[tokio::test]
async fn the_store_keeps_the_laws() {
    let servers = SERVERS.read().await;
    let laws = infra_ports::laws::store::run(async || Place(fresh(&servers)));
    tokio::time::timeout(Duration::from_secs(600), laws)
        .await
        .expect("no wake-up is lost");
}
