//! The session registry: which gateway holds which user's sessions, which workers are alive, who is
//! online, and rates that gateways share.
//!
//! What it holds can be made again by those who renew it, so it is durable nowhere: a registry that
//! lost everything is whole again one time to live later. Until then it says so (`settled`,
//! [`Presence::Unknown`]) and is not taken for news of an empty world. The clock is the registry's
//! own; those of its callers are of no account. Every call ends within a bound of the adapter's own,
//! and one that cannot be answered says [`RegistryError::Unavailable`].

mod leases;
mod limits;
mod rendezvous;
mod sessions;

pub use leases::{Fence, Lease, Leases, Taken, members};
pub use limits::{Allowed, Bucket, Buckets, Rate, SharedLimits};
pub use rendezvous::{Assignment, Place};
pub use sessions::{Presence, SessionRecord, presence_of};

use std::time::Duration;

use async_trait::async_trait;
use schemas::ids::UserId;

/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// The longest detail of a lease, in bytes.
pub const MAX_DETAIL_BYTES: usize = 1_024;

/// The name of a process or of a group of them: `[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Box<str>);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a name is 1 to {MAX_NAME_BYTES} of a-z, A-Z, 0-9, _, - and ., and does not begin with .")]
pub struct NameError;

impl NodeName {
    /// Checks the text and takes it as a name.
    ///
    /// # Errors
    /// When it is not one.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        let fits = (1..=MAX_NAME_BYTES).contains(&text.len());
        if !fits || text.starts_with('.') || !text.bytes().all(ok) {
            return Err(NameError);
        }
        Ok(Self(text.into()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for NodeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What can go wrong with the registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// It is gone, or did not answer in time; what was asked may have happened.
    #[error("the registry is unavailable: {0}")]
    Unavailable(String),
    /// It refuses what it was asked, or holds what is not ours: trying again does not help.
    #[error("the registry cannot be used: {0}")]
    Refused(String),
}

impl RegistryError {
    /// True when trying again later may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// The session registry. All methods may be called from many tasks at once; each is idempotent but
/// for [`take_lease`](SessionRegistry::take_lease) and [`spend`](SessionRegistry::spend).
#[async_trait]
pub trait SessionRegistry: Send + Sync + 'static {
    /// Registers sessions, or renews them, for `ttl` from now. To be called by every gateway at least
    /// every third of `ttl`, also with no session at all: only a registry that is being renewed can
    /// tell who is offline. All gateways use one `ttl`.
    ///
    /// A session that was registered with a newer epoch stays as it is. Ordering: none between
    /// sessions. Of an error, some may have been registered.
    async fn renew(&self, sessions: &[SessionRecord], ttl: Duration) -> Result<(), RegistryError>;

    /// Removes sessions in order. One that was registered anew with a newer epoch stays.
    async fn remove(&self, sessions: &[SessionRecord]) -> Result<(), RegistryError>;

    /// The live sessions of a user, by gateway and number.
    async fn sessions_of(&self, user: &UserId) -> Result<Vec<SessionRecord>, RegistryError>;

    /// Who is online, in the order asked.
    ///
    /// [`Presence::Unknown`] is said of whom nothing is known, and of everybody without a session for
    /// one `ttl` after the registry was lost or not renewed. A gateway that is alone in not reaching
    /// the registry is not told from one that is gone: after `ttl` its users have been seen last.
    ///
    /// # Errors
    /// `Unavailable`: the presence of all is unknown.
    async fn presence(&self, users: &[UserId]) -> Result<Vec<Presence>, RegistryError>;

    /// Takes the lease of a name in a group for `ttl`, when nobody has it; `detail` (at most
    /// [`MAX_DETAIL_BYTES`]) is for those who look, as an address. The fence of a lease is larger than
    /// every one given before in its group, also before a loss of all that the registry held unless
    /// its clock was set back by more than that took.
    ///
    /// A second process that asks under the same name stands by: it has the lease once the first one
    /// gives it up or lets it lapse.
    async fn take_lease(
        &self,
        group: &NodeName,
        name: &NodeName,
        detail: &str,
        ttl: Duration,
    ) -> Result<Taken, RegistryError>;

    /// Renews a lease for `ttl` from now; false when another has it or had it since: whoever hears that
    /// stops what the lease is for. A registry that lost everything takes the lease in again.
    async fn renew_lease(
        &self,
        group: &NodeName,
        lease: &Lease,
        ttl: Duration,
    ) -> Result<bool, RegistryError>;

    /// Gives a lease up; one that another has by now stays.
    async fn release_lease(&self, group: &NodeName, lease: &Lease) -> Result<(), RegistryError>;

    /// The live leases of a group.
    async fn leases(&self, group: &NodeName) -> Result<Leases, RegistryError>;

    /// Spends `cost` of the allowance of a key, shared by all who name it. One round trip; the key is
    /// forgotten once its allowance is full again. A cost over the burst counts as the burst.
    async fn spend(&self, key: &str, rate: Rate, cost: u32) -> Result<Allowed, RegistryError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_fit_into_keys_are_names() {
        for good in ["a", "worker-1", "host.example_7"] {
            assert_eq!(NodeName::new(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(MAX_NAME_BYTES + 1);
        for bad in ["", ".since", "a b", "a{b}", "a/b", "ä", &long] {
            assert_eq!(NodeName::new(bad), Err(NameError), "{bad}");
        }
    }
}
