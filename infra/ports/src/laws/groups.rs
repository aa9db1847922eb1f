//! The laws of consumer groups: what every adapter of [`ConsumerGroups`] keeps.
//!
//! A law gets groups over a topic of [`LAW_PARTITIONS`] partitions which nobody has joined yet. An
//! adapter that loses a wake-up makes [`run`] wait for ever, so its test sets a deadline around it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a law that is broken fails loudly"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{Either, select, select_all};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use super::log::LAW_PARTITIONS;
use crate::groups::{Change, ConsumerGroups, GroupError, GroupMember};

const TOPIC: Topic = Topic::Chats;
/// Calls that are made while something must not happen.
const CALLS: u64 = 50;

/// A member, and what it has.
struct Held {
    member: Arc<dyn GroupMember>,
    has: BTreeSet<Partition>,
}

/// Runs all laws, each in a group of its own.
///
/// # Panics
/// When a law is broken.
pub async fn run(groups: &dyn ConsumerGroups) {
    the_only_member_has_all_and_groups_are_apart(groups).await;
    partitions_have_one_owner_while_members_come_and_go(groups).await;
    nobody_is_given_what_is_not_let_go(groups).await;
    the_owner_commits_and_nobody_else(groups).await;
    who_has_left_is_told_nothing_more(groups).await;
}

async fn join(groups: &dyn ConsumerGroups, group: &str) -> Held {
    Held {
        member: groups.join(group, TOPIC).await.unwrap(),
        has: BTreeSet::new(),
    }
}

fn all() -> BTreeSet<Partition> {
    (0..LAW_PARTITIONS).map(Partition).collect()
}

/// Takes changes in, and lets go at once of what is taken, until it is so. No partition has two
/// owners at any time.
async fn until(held: &mut [Held], so: impl Fn(&[Held]) -> bool) {
    while !so(held) {
        let changes = held.iter().map(|held| held.member.change());
        let (change, at, others) = select_all(changes).await;
        drop(others);
        match change.unwrap() {
            Change::Given(partitions) => {
                for partition in partitions {
                    let owned = held.iter().any(|held| held.has.contains(&partition));
                    assert!(!owned, "{partition} has an owner already");
                    held[at].has.insert(partition);
                }
            }
            Change::Taken(partitions) => {
                for partition in &partitions {
                    assert!(held[at].has.remove(partition), "only what one has is taken");
                }
                held[at].member.release(&partitions).await.unwrap();
            }
            Change::Lost(partitions) => panic!("{partitions:?} were lost, though all answer"),
        }
    }
}

/// Every partition has an owner, and every member some.
fn shared(held: &[Held]) -> bool {
    let sum: usize = held.iter().map(|held| held.has.len()).sum();
    sum == LAW_PARTITIONS as usize && held.iter().all(|held| !held.has.is_empty())
}

async fn the_only_member_has_all_and_groups_are_apart(groups: &dyn ConsumerGroups) {
    let mut one = [join(groups, "alone").await];
    until(&mut one, shared).await;
    assert_eq!(one[0].has, all());
    let mut other = [join(groups, "apart").await];
    until(&mut other, shared).await;
    assert_eq!(other[0].has, all());
    one[0].member.leave().await.unwrap();
    other[0].member.leave().await.unwrap();
}

async fn partitions_have_one_owner_while_members_come_and_go(groups: &dyn ConsumerGroups) {
    let mut held = vec![join(groups, "shared").await];
    until(&mut held, shared).await;
    for _ in 1..LAW_PARTITIONS {
        held.push(join(groups, "shared").await);
        until(&mut held, shared).await;
    }
    while held.len() > 1 {
        held.remove(0).member.leave().await.unwrap();
        until(&mut held, shared).await;
    }
    let last = held.remove(0);
    // Dropped, not told: another one gets all the same.
    drop(last);
    let mut next = [join(groups, "shared").await];
    until(&mut next, shared).await;
    next[0].member.leave().await.unwrap();
}

async fn nobody_is_given_what_is_not_let_go(groups: &dyn ConsumerGroups) {
    let mut one = [join(groups, "awaited").await];
    until(&mut one, shared).await;
    let other = join(groups, "awaited").await.member;
    let taken = match select(one[0].member.change(), other.change()).await {
        Either::Left((Ok(Change::Taken(taken)), _)) => taken,
        Either::Left((change, _)) | Either::Right((change, _)) => panic!("{change:?}"),
    };
    let mut waits = other.change();
    for offset in 0..CALLS {
        // What was taken is the member's until it lets go.
        let next: Vec<_> = all().into_iter().map(|p| (p, Offset(offset))).collect();
        one[0].member.commit(&next).await.unwrap();
        assert!(waits.as_mut().now_or_never().is_none());
    }
    one[0].member.release(&taken).await.unwrap();
    assert_eq!(waits.await.unwrap(), Change::Given(taken));
    one[0].member.leave().await.unwrap();
    other.leave().await.unwrap();
}

async fn the_owner_commits_and_nobody_else(groups: &dyn ConsumerGroups) {
    let mut held = vec![join(groups, "commits").await];
    until(&mut held, shared).await;
    held.push(join(groups, "commits").await);
    until(&mut held, shared).await;
    let (ours, theirs) = (*held[0].has.first().unwrap(), *held[1].has.first().unwrap());
    let (one, other) = (&held[0].member, &held[1].member);
    assert_eq!(one.committed(ours).await.unwrap(), None);
    one.commit(&[(ours, Offset(7))]).await.unwrap();
    let refused = one.commit(&[(ours, Offset(9)), (theirs, Offset(9))]).await;
    assert!(matches!(refused, Err(GroupError::NotOurs(p)) if p == theirs));
    assert_eq!(other.committed(ours).await.unwrap(), Some(Offset(7)));
    assert_eq!(other.committed(theirs).await.unwrap(), None);
    held.remove(0).member.leave().await.unwrap();
    until(&mut held, shared).await;
    let heir = &held[0].member;
    assert_eq!(heir.committed(ours).await.unwrap(), Some(Offset(7)));
    heir.commit(&[(ours, Offset(8))]).await.unwrap();
    assert_eq!(heir.committed(ours).await.unwrap(), Some(Offset(8)));
    heir.leave().await.unwrap();
}

async fn who_has_left_is_told_nothing_more(groups: &dyn ConsumerGroups) {
    let mut held = [join(groups, "left").await];
    until(&mut held, shared).await;
    let member = &held[0].member;
    let waits = member.change();
    member.leave().await.unwrap();
    assert!(matches!(waits.await, Err(GroupError::Left)));
    member.leave().await.unwrap();
    let place = Partition(0);
    let committed = member.commit(&[(place, Offset(1))]).await;
    assert!(matches!(committed, Err(GroupError::Left)));
    assert!(matches!(
        member.release(&[place]).await,
        Err(GroupError::Left)
    ));
    assert!(matches!(
        member.committed(place).await,
        Err(GroupError::Left)
    ));
}
