//! The embedded log keeps the laws of the port, with roomy segments and with tiny ones.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests may fail loudly"
)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use infra_log_embedded::{Config, EmbeddedLog};
use infra_ports::laws::log::{LAW_AT, LAW_PARTITIONS, LogPlace};
use infra_ports::log::EventLog;
use parking_lot::Mutex;
use schemas::position::Timestamp;
use tempfile::TempDir;

struct Place {
    directory: TempDir,
    config: Config,
    open: Mutex<Option<Arc<EmbeddedLog>>>,
}

impl Place {
    fn new(config: Config) -> Self {
        Self {
            directory: TempDir::new().unwrap(),
            config,
            open: Mutex::new(None),
        }
    }
}

#[async_trait]
impl LogPlace for Place {
    async fn open(&self) -> Arc<dyn EventLog> {
        drop(self.open.lock().take());
        let config = Config {
            directory: self.directory.path().join("log"),
            ..self.config.clone()
        };
        let log = Arc::new(EmbeddedLog::open(config).unwrap());
        *self.open.lock() = Some(Arc::clone(&log));
        log
    }

    async fn crash(&self) {
        let log = self.open.lock().take().expect("it is open");
        assert_eq!(Arc::strong_count(&log), 1, "a crash takes the last handle");
    }

    async fn expire(&self) {
        let log = Arc::clone(self.open.lock().as_ref().expect("it is open"));
        let far = Timestamp(LAW_AT.0 + 8 * 24 * 60 * 60 * 1000);
        assert!(
            log.enforce_retention(far).unwrap() > 0,
            "segments are dropped"
        );
    }
}

async fn keeps_the_laws(config: Config) {
    let config = Config {
        partitions: LAW_PARTITIONS,
        ..config
    };
    let laws = infra_ports::laws::log::run(async || Place::new(config.clone()));
    tokio::time::timeout(Duration::from_secs(120), laws)
        .await
        .expect("no wake-up is lost");
}

/// Segments must be small enough for retention to find sealed ones.
fn small() -> Config {
    Config {
        segment_bytes: 32 << 10,
        zero_ahead_bytes: 8 << 10,
        ..Config::default()
    }
}

#[tokio::test]
async fn the_embedded_log_keeps_the_laws() {
    keeps_the_laws(small()).await;
}

#[tokio::test]
async fn it_keeps_them_with_tiny_segments_and_nothing_in_memory() {
    keeps_the_laws(Config {
        segment_bytes: 4096,
        zero_ahead_bytes: 1024,
        memory_bytes: 0,
        index_every_bytes: 64,
        ..Config::default()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_them_without_zeros_ahead_on_several_threads() {
    keeps_the_laws(Config {
        zero_ahead_bytes: 0,
        memory_bytes: 2000,
        ..small()
    })
    .await;
}
