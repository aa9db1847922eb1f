//! The groups of a simulated cluster: every call of a member passes fault points, and a member that
//! ends without a word keeps what it has until it counts as dead.
//!
//! ```text
//!  leaves ─────────────────────────────▶ others are given what it had
//!  dies ──▶ silent ── SESSION ── buried ─▶ the same
//! ```
//!
//! Fault sites. Points: `group.join.before`, `group.release.before`, `group.commit.before`,
//! `group.leave.before`, and the same with `after`. Choices of the same names without that: 1 it was
//! not done and is told so, 2 it was done and is told that it was not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use infra_ports::groups::{Change, ConsumerGroups, GroupError, GroupMember};
use infra_ports::memory::{Faults, MemoryGroups};
use parking_lot::Mutex;
use projectors::share::group_name;
use projectors::{PROJECTIONS, generations, origin};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use super::weather::Exposed;

/// How long a member may be silent before it counts as dead.
const SESSION: Duration = Duration::from_secs(3);

/// Who died, and when that was noticed.
type Silent = Vec<(Option<Duration>, Arc<dyn GroupMember>)>;

/// What keeps the groups, whoever lives or dies.
pub(super) struct Brokers {
    groups: MemoryGroups,
    silent: Mutex<Silent>,
}

impl Brokers {
    pub(super) fn new(partitions: u32) -> Arc<Self> {
        Arc::new(Self {
            groups: MemoryGroups::new(partitions),
            silent: Mutex::default(),
        })
    }

    /// The groups, as a process with these faults reaches them.
    pub(super) fn reached(brokers: &Arc<Self>, faults: Exposed) -> Arc<dyn ConsumerGroups> {
        Arc::new(Reached {
            brokers: Arc::clone(brokers),
            faults: Arc::new(faults),
        })
    }

    /// Every member of every group counts as dead.
    pub(super) fn give_up(&self) {
        for name in PROJECTIONS {
            if let Some(topic) = origin(name) {
                self.groups
                    .cut_off(&group_name(name, generations::FIRST), topic);
            }
        }
    }

    /// Gives up those who have been silent for long enough.
    pub(super) fn look_after(&self, now: Duration) {
        let mut silent = self.silent.lock();
        for (since, _) in silent.iter_mut() {
            since.get_or_insert(now);
        }
        silent.retain(|(since, _)| since.is_none_or(|since| now < since + SESSION));
    }
}

/// The groups of the brokers, from one process.
struct Reached {
    brokers: Arc<Brokers>,
    faults: Arc<Exposed>,
}

#[async_trait]
impl ConsumerGroups for Reached {
    async fn join(&self, group: &str, topic: Topic) -> Result<Arc<dyn GroupMember>, GroupError> {
        self.faults.point("group.join.before").await;
        let fate = Fate::of(&self.faults, "group.join")?;
        let inner = self.brokers.groups.join(group, topic).await?;
        let member: Arc<dyn GroupMember> = Arc::new(Member {
            inner,
            brokers: Arc::clone(&self.brokers),
            faults: Arc::clone(&self.faults),
            has_left: AtomicBool::new(false),
        });
        fate.told()?;
        self.faults.point("group.join.after").await;
        Ok(member)
    }
}

/// What becomes of a call that is carried out.
struct Fate {
    is_told: bool,
}

impl Fate {
    /// The fate of the next call.
    ///
    /// # Errors
    /// It is not carried out.
    fn of(faults: &Exposed, site: &'static str) -> Result<Self, GroupError> {
        match faults.choose(site, 3) {
            0 => Ok(Self { is_told: true }),
            1 => Err(unavailable()),
            _ => Ok(Self { is_told: false }),
        }
    }

    fn told(&self) -> Result<(), GroupError> {
        if self.is_told {
            Ok(())
        } else {
            Err(unavailable())
        }
    }
}

fn unavailable() -> GroupError {
    GroupError::Unavailable("as the run chose".to_owned())
}

struct Member {
    inner: Arc<dyn GroupMember>,
    brokers: Arc<Brokers>,
    faults: Arc<Exposed>,
    has_left: AtomicBool,
}

#[async_trait]
impl GroupMember for Member {
    // Without faults of its own: a change that was taken from the group must not be dropped.
    async fn change(&self) -> Result<Change, GroupError> {
        self.inner.change().await
    }

    async fn release(&self, partitions: &[Partition]) -> Result<(), GroupError> {
        self.faults.point("group.release.before").await;
        let fate = Fate::of(&self.faults, "group.release")?;
        self.inner.release(partitions).await?;
        fate.told()?;
        self.faults.point("group.release.after").await;
        Ok(())
    }

    async fn commit(&self, next: &[(Partition, Offset)]) -> Result<(), GroupError> {
        self.faults.point("group.commit.before").await;
        let fate = Fate::of(&self.faults, "group.commit")?;
        self.inner.commit(next).await?;
        fate.told()
    }

    async fn committed(&self, partition: Partition) -> Result<Option<Offset>, GroupError> {
        self.inner.committed(partition).await
    }

    async fn leave(&self) -> Result<(), GroupError> {
        self.faults.point("group.leave.before").await;
        let fate = Fate::of(&self.faults, "group.leave")?;
        self.has_left.store(true, Ordering::Relaxed);
        self.inner.leave().await?;
        fate.told()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if !self.has_left.load(Ordering::Relaxed) {
            let dead = (None, Arc::clone(&self.inner));
            self.brokers.silent.lock().push(dead);
        }
    }
}
