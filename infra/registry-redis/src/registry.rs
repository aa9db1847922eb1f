//! The port on Redis: which script is asked for what.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use infra_ports::registry::{
    Allowed, Lease, Leases, NodeName, Presence, Rate, RegistryError, SessionRecord,
    SessionRegistry, Taken, presence_of,
};
use schemas::ids::UserId;

use crate::config::{Config, ConfigError};
use crate::line::Line;
use crate::scripts::Scripts;
use crate::{leases, sessions};

/// Requests of one call under way at once.
const AT_ONCE: usize = 128;

/// The session registry on Redis.
pub struct RedisRegistry {
    line: Line,
    scripts: Scripts,
    prefix: String,
    remember: Duration,
    address: String,
}

impl fmt::Debug for RedisRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisRegistry").field(&self.address).finish()
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl RedisRegistry {
    /// The registry of these settings. Connects when it is first asked, so that a Redis that is down
    /// keeps nobody from starting.
    ///
    /// # Errors
    /// When the settings are of no use.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let client = config.client()?;
        let address = client.get_connection_info().addr().to_string();
        Ok(Self {
            line: Line::new(client, config.trusted()?, config.answer_within),
            scripts: Scripts::new(),
            prefix: config.key_prefix.clone(),
            remember: config.last_seen_for,
            address,
        })
    }

    fn user_key(&self, user: &UserId) -> String {
        format!("{}user:{user}", self.prefix)
    }

    fn group_key(&self, group: &NodeName) -> String {
        format!("{}lease:{group}", self.prefix)
    }

    async fn renew_user(
        &self,
        theirs: &[&SessionRecord],
        ttl: Duration,
    ) -> Result<(), RegistryError> {
        let Some(first) = theirs.first() else {
            return Ok(());
        };
        let mut script = self.scripts.renew.key(self.user_key(&first.user));
        script.arg(millis(ttl)).arg(millis(self.remember.max(ttl)));
        for session in theirs {
            let [field, epoch, rest] = sessions::encode(session);
            script.arg(field).arg(epoch).arg(rest);
        }
        self.line.run(&script).await
    }

    async fn remove_user(&self, theirs: &[&SessionRecord]) -> Result<(), RegistryError> {
        let Some(first) = theirs.first() else {
            return Ok(());
        };
        let mut script = self.scripts.remove.key(self.user_key(&first.user));
        for session in theirs {
            let [field, epoch, _] = sessions::encode(session);
            script.arg(field).arg(epoch);
        }
        self.line.run(&script).await
    }

    async fn look(&self, user: &UserId) -> Result<sessions::Found, RegistryError> {
        let script = self.scripts.look.key(self.user_key(user));
        let answer: Vec<String> = self.line.run(&script).await?;
        sessions::decode(user, answer)
    }

    async fn settled(&self) -> Result<bool, RegistryError> {
        let script = self.scripts.settled.key(format!("{}renewed", self.prefix));
        self.line.run(&script).await
    }
}

#[async_trait]
impl SessionRegistry for RedisRegistry {
    async fn renew(&self, sessions: &[SessionRecord], ttl: Duration) -> Result<(), RegistryError> {
        let users = sessions::by_user(sessions);
        stream::iter(users.iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |theirs| self.renew_user(theirs, ttl))
            .await?;
        // Last: it speaks for all that went before.
        let mut script = self.scripts.renewed.key(format!("{}renewed", self.prefix));
        script.arg(millis(ttl));
        self.line.run(&script).await
    }

    async fn remove(&self, sessions: &[SessionRecord]) -> Result<(), RegistryError> {
        let users = sessions::by_user(sessions);
        stream::iter(users.iter().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |theirs| self.remove_user(theirs))
            .await
    }

    async fn sessions_of(&self, user: &UserId) -> Result<Vec<SessionRecord>, RegistryError> {
        Ok(self.look(user).await?.live)
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<Presence>, RegistryError> {
        let looks: Vec<_> = users.iter().map(|user| self.look(user)).collect();
        let found: Vec<sessions::Found> =
            stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
        // After the looks: what was lost or not renewed before them shows here.
        let settled = self.settled().await?;
        let of = |found: sessions::Found| presence_of(!found.live.is_empty(), found.seen, settled);
        Ok(found.into_iter().map(of).collect())
    }

    async fn take_lease(
        &self,
        group: &NodeName,
        name: &NodeName,
        detail: &str,
        ttl: Duration,
    ) -> Result<Taken, RegistryError> {
        leases::check(detail)?;
        let mut script = self.scripts.take.key(self.group_key(group));
        script.arg(name.as_str()).arg(detail).arg(millis(ttl));
        leases::taken(self.line.run(&script).await?)
    }

    async fn renew_lease(
        &self,
        group: &NodeName,
        lease: &Lease,
        ttl: Duration,
    ) -> Result<bool, RegistryError> {
        leases::check(&lease.detail)?;
        let mut script = self.scripts.keep.key(self.group_key(group));
        script.arg(lease.name.as_str()).arg(&lease.detail);
        script.arg(millis(ttl)).arg(lease.fence.0);
        self.line.run(&script).await
    }

    async fn release_lease(&self, group: &NodeName, lease: &Lease) -> Result<(), RegistryError> {
        let mut script = self.scripts.release.key(self.group_key(group));
        script.arg(lease.name.as_str()).arg(lease.fence.0);
        self.line.run(&script).await
    }

    async fn leases(&self, group: &NodeName) -> Result<Leases, RegistryError> {
        let script = self.scripts.leases.key(self.group_key(group));
        leases::decode(self.line.run(&script).await?)
    }

    async fn spend(&self, key: &str, rate: Rate, cost: u32) -> Result<Allowed, RegistryError> {
        let mut script = self.scripts.spend.key(format!("{}rate:{key}", self.prefix));
        script
            .arg(rate.interval_us())
            .arg(rate.burst.max(1))
            .arg(cost);
        let wait: u64 = self.line.run(&script).await?;
        Ok(match wait {
            0 => Allowed::Yes,
            wait => Allowed::After(Duration::from_micros(wait)),
        })
    }
}
