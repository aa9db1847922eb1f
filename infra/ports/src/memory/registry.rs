//! The session registry in memory: for one process, fast tests and the simulation. It can be taken
//! away and can lose everything, as a real one does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use schemas::ids::UserId;
use schemas::position::Timestamp;

use crate::registry::{
    Allowed, Buckets, Fence, Lease, Leases, NodeName, Presence, Rate, RegistryError, SessionRecord,
    SessionRegistry, Taken, presence_of,
};
use crate::runtime::Runtime;

/// Something that lasts until a moment, in milliseconds of the registry's clock.
struct Until<T> {
    what: T,
    until: i64,
}

#[derive(Default)]
struct User {
    sessions: BTreeMap<(NodeName, u64), Until<SessionRecord>>,
    seen: i64,
}

/// Since when something was kept up without a break.
#[derive(Default, Clone, Copy)]
struct Kept {
    since: i64,
    until: i64,
    ttl: i64,
}

impl Kept {
    /// Kept up from now until then; begun anew when it had lapsed.
    fn keep(&mut self, now: i64, until: i64, ttl: i64) {
        if self.until <= now {
            self.since = now;
        }
        (self.until, self.ttl) = (until, ttl);
    }

    fn is_settled(self, now: i64) -> bool {
        self.until > now && now - self.since >= self.ttl
    }
}

#[derive(Default)]
struct Group {
    last: u64,
    /// Those that have lapsed too: their fences are remembered.
    leases: BTreeMap<NodeName, Until<Lease>>,
    kept: Kept,
}

#[derive(Default)]
struct State {
    users: BTreeMap<UserId, User>,
    kept: Kept,
    groups: BTreeMap<NodeName, Group>,
    buckets: Buckets,
}

/// A registry in memory. A clone is the same one.
#[derive(Clone)]
pub struct MemoryRegistry {
    runtime: Arc<dyn Runtime>,
    state: Arc<Mutex<State>>,
    gone: Arc<AtomicBool>,
}

impl MemoryRegistry {
    /// An empty registry on the runtime's clock.
    #[must_use]
    pub fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self {
            runtime,
            state: Arc::default(),
            gone: Arc::default(),
        }
    }

    /// Takes it away, so that every call fails, or gives it back as it was.
    pub fn set_gone(&self, gone: bool) {
        self.gone.store(gone, Ordering::Release);
    }

    /// Loses everything.
    pub fn lose_everything(&self) {
        *self.state.lock() = State::default();
    }

    fn look(&self) -> Result<(MutexGuard<'_, State>, i64), RegistryError> {
        if self.gone.load(Ordering::Acquire) {
            return Err(RegistryError::Unavailable("taken away".to_owned()));
        }
        Ok((self.state.lock(), self.runtime.now().0))
    }
}

fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 2)
}

impl User {
    fn forget_lapsed(&mut self, now: i64) {
        self.sessions.retain(|_, session| session.until > now);
    }
}

impl Group {
    /// The live lease of a name that is not this one.
    fn held_by_other(&self, name: &NodeName, fence: Fence, now: i64) -> Option<Fence> {
        let held = self.leases.get(name)?;
        (held.until > now && held.what.fence != fence).then_some(held.what.fence)
    }

    fn is_held(&self, now: i64) -> bool {
        self.leases.values().any(|lease| lease.until > now)
    }

    fn put(&mut self, lease: Lease, now: i64, ttl: i64) {
        if !self.is_held(now) {
            self.kept.since = now;
        }
        (self.kept.until, self.kept.ttl) = (i64::MAX, ttl);
        self.last = self.last.max(lease.fence.0);
        let until = now.saturating_add(ttl);
        let name = lease.name.clone();
        self.leases.insert(name, Until { what: lease, until });
    }
}

#[async_trait]
impl SessionRegistry for MemoryRegistry {
    async fn renew(&self, sessions: &[SessionRecord], ttl: Duration) -> Result<(), RegistryError> {
        let (mut state, now) = self.look()?;
        let ttl = millis(ttl);
        for session in sessions {
            let user = state.users.entry(session.user.clone()).or_default();
            user.forget_lapsed(now);
            user.seen = now;
            let key = (session.gateway.clone(), session.session);
            let newer = user.sessions.get(&key);
            if newer.is_some_and(|newer| newer.what.epoch > session.epoch) {
                continue;
            }
            let what = session.clone();
            let until = now.saturating_add(ttl);
            user.sessions.insert(key, Until { what, until });
        }
        state.kept.keep(now, now.saturating_add(ttl / 2), ttl);
        Ok(())
    }

    async fn remove(&self, sessions: &[SessionRecord]) -> Result<(), RegistryError> {
        let (mut state, now) = self.look()?;
        for session in sessions {
            let Some(user) = state.users.get_mut(&session.user) else {
                continue;
            };
            let key = (session.gateway.clone(), session.session);
            let is_ours = |kept: &Until<SessionRecord>| kept.what.epoch <= session.epoch;
            if user.sessions.get(&key).is_some_and(is_ours) {
                user.sessions.remove(&key);
                user.seen = now;
            }
        }
        Ok(())
    }

    async fn sessions_of(&self, user: &UserId) -> Result<Vec<SessionRecord>, RegistryError> {
        let (state, now) = self.look()?;
        let sessions = state.users.get(user).into_iter();
        let sessions = sessions.flat_map(|user| user.sessions.values());
        let live = sessions.filter(|session| session.until > now);
        Ok(live.map(|session| session.what.clone()).collect())
    }

    async fn presence(&self, users: &[UserId]) -> Result<Vec<Presence>, RegistryError> {
        let (state, now) = self.look()?;
        let settled = state.kept.is_settled(now);
        let of = |user: &UserId| {
            let user = state.users.get(user);
            let mut sessions = user.into_iter().flat_map(|user| user.sessions.values());
            let is_live = sessions.any(|session| session.until > now);
            presence_of(is_live, user.map(|user| Timestamp(user.seen)), settled)
        };
        Ok(users.iter().map(of).collect())
    }

    async fn take_lease(
        &self,
        group: &NodeName,
        name: &NodeName,
        detail: &str,
        ttl: Duration,
    ) -> Result<Taken, RegistryError> {
        let (mut state, now) = self.look()?;
        let group = state.groups.entry(group.clone()).or_default();
        if let Some(other) = group.held_by_other(name, Fence(0), now) {
            return Ok(Taken::Held(other));
        }
        let clock = u64::try_from(now).unwrap_or(0).saturating_mul(1_000);
        let fence = Fence(clock.max(group.last + 1));
        let lease = Lease {
            name: name.clone(),
            fence,
            detail: detail.to_owned(),
        };
        group.put(lease, now, millis(ttl));
        Ok(Taken::Yes(fence))
    }

    async fn renew_lease(
        &self,
        group: &NodeName,
        lease: &Lease,
        ttl: Duration,
    ) -> Result<bool, RegistryError> {
        let (mut state, now) = self.look()?;
        let group = state.groups.entry(group.clone()).or_default();
        let newer = group.leases.get(&lease.name);
        if newer.is_some_and(|newer| newer.what.fence > lease.fence) {
            return Ok(false);
        }
        group.put(lease.clone(), now, millis(ttl));
        Ok(true)
    }

    async fn release_lease(&self, group: &NodeName, lease: &Lease) -> Result<(), RegistryError> {
        let (mut state, now) = self.look()?;
        let Some(group) = state.groups.get_mut(group) else {
            return Ok(());
        };
        if let Some(held) = group.leases.get_mut(&lease.name)
            && held.what.fence == lease.fence
        {
            held.until = held.until.min(now);
        }
        Ok(())
    }

    async fn leases(&self, group: &NodeName) -> Result<Leases, RegistryError> {
        let (state, now) = self.look()?;
        let Some(group) = state.groups.get(group) else {
            return Ok(Leases::default());
        };
        let live = group.leases.values().filter(|lease| lease.until > now);
        Ok(Leases {
            live: live.map(|lease| lease.what.clone()).collect(),
            settled: group.is_held(now) && group.kept.is_settled(now),
        })
    }

    async fn spend(&self, key: &str, rate: Rate, cost: u32) -> Result<Allowed, RegistryError> {
        let (mut state, _) = self.look()?;
        let now = self.runtime.elapsed().as_micros();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        Ok(state.buckets.spend(key, rate, cost, now))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::laws::registry::RegistryPlace;
    use crate::memory::{Chances, Executor, Halt, Node};

    /// Time passes when a law pauses.
    struct Place(Mutex<Executor>, MemoryRegistry);

    #[async_trait]
    impl RegistryPlace for Place {
        async fn open(&self) -> Arc<dyn SessionRegistry> {
            Arc::new(self.1.clone())
        }

        async fn lose_everything(&self) {
            self.1.lose_everything();
        }

        async fn pause(&self) {
            let halt = self.0.lock().run_for(Duration::from_millis(5));
            assert_eq!(halt, Halt::Done);
        }
    }

    #[test]
    fn the_registry_in_memory_keeps_the_laws() {
        let laws = crate::laws::registry::run(async || {
            let executor = Executor::seeded(1, Chances::CALM);
            let registry = MemoryRegistry::new(Arc::new(executor.runtime(Node(1))));
            Place(Mutex::new(executor), registry)
        });
        assert_eq!(laws.now_or_never(), Some(()));
    }

    #[test]
    fn a_registry_that_is_gone_says_so_of_everything() {
        let mut executor = Executor::seeded(1, Chances::CALM);
        let registry = MemoryRegistry::new(Arc::new(executor.runtime(Node(1))));
        registry.set_gone(true);
        let test = async move {
            let ada = UserId::new("ada").unwrap();
            let error = registry.presence(&[ada]).await.unwrap_err();
            assert!(error.is_retryable(), "{error}");
            assert!(registry.renew(&[], Duration::from_secs(1)).await.is_err());
        };
        executor.block_on(Node(1), test).unwrap();
    }
}
