//! Which partitions an instance has now: all of its topic, or those that a consumer group gives it.
//!
//! ```text
//!  given     checkpoints are read, folding goes on from there
//!  taken     what is folded is written and checkpointed, states are dropped, then it is released
//!  lost      what is folded and not written is dropped, as are all states
//! ```
//!
//! The group only says who reads. How far is said by the checkpoints beside the rows; the group's
//! committed offsets mirror them for other people's tools, now and then, and nothing waits for that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use infra_ports::groups::{Change, ConsumerGroups, GroupError, GroupMember};
use infra_ports::{BoxFuture, Runtime};
use parking_lot::Mutex;
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use super::retry::Retry;
use super::stop::Stop;

/// How long a member that was given nothing is thought to wait for its share: longer, and others
/// have it all.
const GIVEN_WITHIN: Duration = Duration::from_secs(10);
/// How long an orderly end waits for the group to take note.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// A group that an instance shares its topic's partitions with.
#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) groups: Arc<dyn ConsumerGroups>,
    pub(crate) name: String,
    pub(crate) topic: Topic,
}

/// An instance's place in its group; nothing at all where it has every partition for good.
pub(crate) struct Membership {
    group: Option<Group>,
    member: Option<Arc<dyn GroupMember>>,
    runtime: Arc<dyn Runtime>,
    joined: Duration,
    mirror: Arc<Mirror>,
}

/// What the group has been told to have committed.
#[derive(Default)]
struct Mirror {
    committed: Mutex<BTreeMap<Partition, Offset>>,
    busy: AtomicBool,
}

impl Membership {
    pub(crate) fn new(group: Option<Group>, runtime: Arc<dyn Runtime>) -> Self {
        Self {
            group,
            member: None,
            joined: runtime.elapsed(),
            runtime,
            mirror: Arc::default(),
        }
    }

    /// False where every partition is the instance's for good.
    pub(crate) fn is_shared(&self) -> bool {
        self.group.is_some()
    }

    /// Joins the group, if there is one; what it has is told by [`Self::change`].
    pub(crate) async fn join(&mut self, retry: &Retry) -> Result<(), Stop> {
        let Some(group) = &self.group else {
            return Ok(());
        };
        let join = || group.groups.join(&group.name, group.topic);
        self.member = Some(retry.run("join a group", join).await?);
        self.joined = self.runtime.elapsed();
        self.mirror.committed.lock().clear();
        Ok(())
    }

    /// Waits for the next change; for ever without a group. Cancel safe.
    pub(crate) async fn change(&self) -> Result<Change, GroupError> {
        match &self.member {
            Some(member) => member.change().await,
            None => std::future::pending().await,
        }
    }

    /// True when it was given nothing for so long that others must have it all.
    pub(crate) fn is_idle(&self) -> bool {
        self.runtime.elapsed().saturating_sub(self.joined) >= GIVEN_WITHIN
    }

    /// Lets go of partitions that were taken: nothing more of them is written here.
    pub(crate) async fn release(
        &self,
        retry: &Retry,
        partitions: &[Partition],
    ) -> Result<(), Stop> {
        self.forget(partitions);
        let Some(member) = &self.member else {
            return Ok(());
        };
        let release = || member.release(partitions);
        retry.run("release partitions", release).await
    }

    /// No longer mirrors these.
    pub(crate) fn forget(&self, partitions: &[Partition]) {
        let mut committed = self.mirror.committed.lock();
        committed.retain(|partition, _| !partitions.contains(partition));
    }

    /// Has the group commit what is applied, beside the caller. A failure is of no consequence.
    pub(crate) fn mirror(&self, applied: &BTreeMap<Partition, Offset>) {
        if let Some(commit) = self.commit(applied) {
            self.runtime.spawn("group-commit", commit);
        }
    }

    /// The commit of what is new, unless there is nothing or one is under way.
    fn commit(&self, applied: &BTreeMap<Partition, Offset>) -> Option<BoxFuture<'static, ()>> {
        let member = Arc::clone(self.member.as_ref()?);
        let mirror = Arc::clone(&self.mirror);
        let next: Vec<(Partition, Offset)> = {
            let committed = mirror.committed.lock();
            let is_new = |(partition, next): &(&Partition, &Offset)| {
                committed.get(*partition) != Some(*next)
            };
            let new = applied.iter().filter(is_new);
            new.map(|(partition, next)| (*partition, *next)).collect()
        };
        if next.is_empty() || mirror.busy.swap(true, Ordering::AcqRel) {
            return None;
        }
        Some(Box::pin(async move {
            match member.commit(&next).await {
                Ok(()) => mirror.committed.lock().extend(next),
                Err(error) => tracing::debug!(%error, "a commit to a group failed"),
            }
            mirror.busy.store(false, Ordering::Release);
        }))
    }

    /// Leaves: others are given what was the instance's. Commits before, if that goes quickly.
    pub(crate) async fn leave(&self, applied: &BTreeMap<Partition, Offset>) {
        let Some(member) = &self.member else { return };
        let commit = self.commit(applied);
        let leave = async {
            if let Some(commit) = commit {
                commit.await;
            }
            member.leave().await
        };
        tokio::select! {
            biased;
            left = leave => if let Err(error) = left {
                tracing::debug!(%error, "on leaving a group");
            },
            () = self.runtime.sleep(LEAVE_WITHIN) => {}
        }
    }
}
