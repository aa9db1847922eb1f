//! Consumer groups in memory: of one process, for the embedded node and tests.
//!
//! Each partition has an owner and a target; members move towards the targets. A target stays where
//! its partition is as long as that is fair, so that a change moves as few as can be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;
use tokio::sync::Notify;

use crate::groups::{Change, ConsumerGroups, GroupError, GroupMember};

/// The groups of a log with so many partitions a topic.
#[derive(Debug)]
pub struct MemoryGroups {
    partitions: u32,
    groups: Mutex<BTreeMap<(String, Topic), Arc<Group>>>,
}

impl MemoryGroups {
    /// No group yet.
    pub fn new(partitions: u32) -> Self {
        Self {
            partitions,
            groups: Mutex::default(),
        }
    }

    /// Gives up every member of a group as if none had answered for a while: a fault for tests.
    pub fn cut_off(&self, group: &str, topic: Topic) {
        let groups = self.groups.lock();
        if let Some(group) = groups.get(&(group.to_owned(), topic)) {
            group.state.lock().cut_off();
            group.news.notify_waiters();
        }
    }
}

#[async_trait]
impl ConsumerGroups for MemoryGroups {
    async fn join(&self, group: &str, topic: Topic) -> Result<Arc<dyn GroupMember>, GroupError> {
        let mut groups = self.groups.lock();
        let group = groups.entry((group.to_owned(), topic));
        let group = Arc::clone(group.or_insert_with(|| Arc::new(Group::new(self.partitions))));
        let id = group.state.lock().join();
        group.news.notify_waiters();
        Ok(Arc::new(Member { group, id }))
    }
}

type Id = u64;

#[derive(Debug)]
struct Group {
    state: Mutex<State>,
    news: Notify,
}

impl Group {
    fn new(partitions: u32) -> Self {
        let places = (0..partitions).map(|p| (Partition(p), Place::default()));
        let state = State {
            last: 0,
            members: BTreeMap::new(),
            places: places.collect(),
        };
        Self {
            state: Mutex::new(state),
            news: Notify::new(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    last: Id,
    /// With what each was told of and does not know yet.
    members: BTreeMap<Id, Standing>,
    places: BTreeMap<Partition, Place>,
}

#[derive(Debug, Default)]
struct Standing {
    lost: Vec<Partition>,
}

/// One partition.
#[derive(Debug, Default)]
struct Place {
    owner: Option<Id>,
    target: Option<Id>,
    /// The owner was told to let go.
    told: bool,
    committed: Option<Offset>,
}

impl State {
    fn join(&mut self) -> Id {
        self.last += 1;
        self.members.insert(self.last, Standing::default());
        self.share_out();
        self.last
    }

    fn leave(&mut self, id: Id) {
        self.members.remove(&id);
        for place in self.places.values_mut().filter(|p| p.owner == Some(id)) {
            place.let_go();
        }
        self.share_out();
    }

    fn cut_off(&mut self) {
        for (partition, place) in &mut self.places {
            let owner = place.owner.and_then(|owner| self.members.get_mut(&owner));
            if let Some(standing) = owner {
                standing.lost.push(*partition);
            }
            place.let_go();
        }
    }

    /// Every member gets its fair share; what it has already stays with it up to that.
    fn share_out(&mut self) {
        let count = self.members.len();
        if count == 0 {
            self.places.values_mut().for_each(|p| p.target = None);
            return;
        }
        let (each, more) = (self.places.len() / count, self.places.len() % count);
        let shares = self.members.keys().enumerate();
        let mut open: BTreeMap<Id, usize> = shares
            .map(|(n, id)| (*id, each + usize::from(n < more)))
            .collect();
        for place in self.places.values_mut() {
            let kept = place.owner.filter(|owner| take_one(&mut open, *owner));
            place.target = kept;
        }
        for place in self.places.values_mut().filter(|p| p.target.is_none()) {
            let free = open.iter().find(|(_, left)| **left > 0).map(|(id, _)| *id);
            place.target = free.filter(|id| take_one(&mut open, *id));
        }
    }

    /// The next change of a member, if there is one.
    fn change(&mut self, id: Id) -> Result<Option<Change>, GroupError> {
        let standing = self.members.get_mut(&id).ok_or(GroupError::Left)?;
        let lost = std::mem::take(&mut standing.lost);
        if !lost.is_empty() {
            return Ok(Some(Change::Lost(lost)));
        }
        let ready = |place: &Place| place.owner.is_none() && place.target == Some(id);
        let given = self.mark(ready, |place| place.owner = Some(id));
        if !given.is_empty() {
            return Ok(Some(Change::Given(given)));
        }
        let over =
            |place: &Place| place.owner == Some(id) && place.target != Some(id) && !place.told;
        let taken = self.mark(over, |place| place.told = true);
        Ok((!taken.is_empty()).then_some(Change::Taken(taken)))
    }

    /// Marks all places that are such; which they are.
    fn mark(&mut self, such: impl Fn(&Place) -> bool, mark: impl Fn(&mut Place)) -> Vec<Partition> {
        let found = self.places.iter_mut().filter(|(_, place)| such(place));
        let marked = found.map(|(partition, place)| {
            mark(place);
            *partition
        });
        marked.collect()
    }

    /// The place of a partition that is the member's.
    fn own(&mut self, id: Id, partition: Partition) -> Result<&mut Place, GroupError> {
        if !self.members.contains_key(&id) {
            return Err(GroupError::Left);
        }
        let place = self.places.get_mut(&partition);
        let place = place.filter(|place| place.owner == Some(id));
        place.ok_or(GroupError::NotOurs(partition))
    }
}

fn take_one(open: &mut BTreeMap<Id, usize>, id: Id) -> bool {
    match open.get_mut(&id) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        Some(_) | None => false,
    }
}

impl Place {
    fn let_go(&mut self) {
        self.owner = None;
        self.told = false;
    }
}

#[derive(Debug)]
struct Member {
    group: Arc<Group>,
    id: Id,
}

#[async_trait]
impl GroupMember for Member {
    async fn change(&self) -> Result<Change, GroupError> {
        loop {
            let news = self.group.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if let Some(change) = self.group.state.lock().change(self.id)? {
                return Ok(change);
            }
            news.await;
        }
    }

    async fn release(&self, partitions: &[Partition]) -> Result<(), GroupError> {
        let mut state = self.group.state.lock();
        if !state.members.contains_key(&self.id) {
            return Err(GroupError::Left);
        }
        for partition in partitions {
            // One that was lost meanwhile is let go already.
            if let Ok(place) = state.own(self.id, *partition) {
                place.let_go();
            }
        }
        self.group.news.notify_waiters();
        Ok(())
    }

    async fn commit(&self, next: &[(Partition, Offset)]) -> Result<(), GroupError> {
        let mut state = self.group.state.lock();
        let wanted: BTreeSet<Partition> = next.iter().map(|(partition, _)| *partition).collect();
        for partition in wanted {
            state.own(self.id, partition)?;
        }
        for (partition, offset) in next {
            state.own(self.id, *partition)?.committed = Some(*offset);
        }
        Ok(())
    }

    async fn committed(&self, partition: Partition) -> Result<Option<Offset>, GroupError> {
        let state = self.group.state.lock();
        if !state.members.contains_key(&self.id) {
            return Err(GroupError::Left);
        }
        Ok(state.places.get(&partition).and_then(|p| p.committed))
    }

    async fn leave(&self) -> Result<(), GroupError> {
        self.group.state.lock().leave(self.id);
        self.group.news.notify_waiters();
        Ok(())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.group.state.lock().leave(self.id);
        self.group.news.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::laws;
    use crate::laws::log::LAW_PARTITIONS;

    /// Nothing in memory waits but for the members themselves.
    fn at_once<T>(future: impl Future<Output = T>) -> T {
        future.now_or_never().expect("it waits for nobody")
    }

    #[test]
    fn groups_in_memory_keep_the_laws() {
        at_once(laws::groups::run(&MemoryGroups::new(LAW_PARTITIONS)));
    }

    #[test]
    fn who_does_not_answer_loses_its_partitions_and_can_commit_nothing_for_them() {
        let groups = MemoryGroups::new(2);
        let member = at_once(groups.join("folds", Topic::Chats)).unwrap();
        let both = vec![Partition(0), Partition(1)];
        let given = at_once(member.change()).unwrap();
        assert_eq!(given, Change::Given(both.clone()));
        groups.cut_off("folds", Topic::Chats);
        let committed = at_once(member.commit(&[(Partition(0), Offset(1))]));
        assert!(matches!(committed, Err(GroupError::NotOurs(Partition(0)))));
        let changes = [(); 2].map(|()| at_once(member.change()).unwrap());
        assert_eq!(changes, [Change::Lost(both.clone()), Change::Given(both)]);
    }

    #[test]
    fn a_member_that_comes_moves_no_more_than_its_share() {
        let groups = MemoryGroups::new(9);
        let join = || at_once(groups.join("folds", Topic::Chats)).unwrap();
        let (first, second) = (join(), join());
        for member in [&first, &second] {
            at_once(member.change()).unwrap();
        }
        let third = join();
        let moved = [&first, &second].map(|member| match at_once(member.change()).unwrap() {
            Change::Taken(taken) => taken.len(),
            other => panic!("{other:?}"),
        });
        assert_eq!(moved, [2, 1]);
        drop(third);
    }
}
