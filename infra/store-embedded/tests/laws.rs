//! The embedded store keeps the laws of the table store.
//!
//! A crash is a copy of the directory while the store is open: what a killed process leaves behind.
#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use infra_ports::TableStore;
use infra_ports::laws::store::StorePlace;
use infra_store_embedded::{Config, EmbeddedStore};
use tempfile::TempDir;

struct Place {
    dir: TempDir,
    now: Mutex<Now>,
}

struct Now {
    crashes: u32,
    open: Option<EmbeddedStore>,
}

impl Place {
    fn path(&self, crashes: u32) -> PathBuf {
        self.dir.path().join(crashes.to_string())
    }
}

#[async_trait]
impl StorePlace for Place {
    async fn open(&self) -> Arc<dyn TableStore> {
        let mut now = self.now.lock().unwrap();
        let config = Config {
            path: self.path(now.crashes),
            min_free_bytes: 0,
            ..Config::default()
        };
        let store = EmbeddedStore::open(&config).unwrap();
        now.open = Some(store.clone());
        Arc::new(store)
    }

    async fn crash(&self) {
        let mut now = self.now.lock().unwrap();
        copy(&self.path(now.crashes), &self.path(now.crashes + 1));
        now.crashes += 1;
        now.open = None;
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn keeps_the_laws() {
    infra_ports::laws::store::run(async || Place {
        dir: tempfile::tempdir().unwrap(),
        now: Mutex::new(Now {
            crashes: 0,
            open: None,
        }),
    })
    .await;
}
