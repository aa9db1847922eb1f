//! The laws of the session registry: what every adapter of [`SessionRegistry`] keeps.
//!
//! A law gets a fresh place and looks through the port only. Times to live that a law waits out are
//! short, those it relies on are long; it waits on conditions, so that a slow machine breaks no law.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a law that is broken fails loudly"
)]

mod leases;
mod limits;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use schemas::ids::{DeviceId, UserId};
use schemas::position::Timestamp;

use crate::registry::{NodeName, SessionRecord, SessionRegistry};

/// Long enough that nothing runs out while a law is at work.
const LONG: Duration = Duration::from_secs(600);
/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(150);

/// A place where a registry lives.
#[async_trait]
pub trait RegistryPlace: Send + Sync {
    /// A handle on the registry of this place, as another process would have it.
    async fn open(&self) -> Arc<dyn SessionRegistry>;

    /// Takes away everything that the registry of this place holds.
    async fn lose_everything(&self);

    /// Lets a few milliseconds pass.
    async fn pause(&self);
}

/// Runs all laws, each on a fresh place.
///
/// # Panics
/// When a law is broken.
pub async fn run<P: RegistryPlace>(fresh: impl AsyncFn() -> P) {
    sessions::run(&fresh).await;
    leases::run(&fresh).await;
    limits::run(&fresh).await;
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn session(name: &str, gateway: &str, number: u64, epoch: u64) -> SessionRecord {
    SessionRecord {
        user: user(name),
        gateway: node(gateway),
        session: number,
        epoch,
        device: DeviceId::new("phone").unwrap(),
        since: Timestamp(1_700_000_000_123),
    }
}
